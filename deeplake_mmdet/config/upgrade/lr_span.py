"""Over what a learning rate of MMDetection 2 changes, and the words in which MMEngine's schedulers say it.

Where MMEngine cannot give the identical value, the difference is stated, not hidden: a learning rate that is a little
wrong shows nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.upgrade.loops import Loop

FOREVER = 10**9  # MMEngine's own word for no end


class NoCounterpart(Exception):
    """Something of MMDetection 2 that no scheduler of MMEngine does.

    Args:
        key: The key below ``lr_config``.
        why: Why not, and how MMDetection 3 says it.
    """

    def __init__(self, key: str, why: str) -> None:
        super().__init__(key, why)
        self.key, self.why = key, why


@dataclass
class Schedule:
    """What a learning rate policy becomes.

    Attributes:
        schedulers: MMEngine's schedulers, in the order in which they act.
        differences: Where their values differ from MMDetection 2's; empty if nowhere.
        scales: Whether each scheduler only multiplies the value that it finds, so that the order does not matter.
        relative: Whether an absolute ``min_lr`` was written as a multiple of the optimizer's learning rate.
    """

    schedulers: list[dict[str, Any]]
    differences: list[str] = field(default_factory=list)
    scales: bool = True
    relative: bool = False


@dataclass(frozen=True)
class Span:
    """The unit in which a policy counts, beside the one in which training does.

    Attributes:
        loop: The training loop.
        by_epoch: Whether the policy changes the value once an epoch.
        base: The value that the schedule starts from; None if the config does not say.
    """

    loop: Loop
    by_epoch: bool
    base: float | None

    @property
    def length(self) -> int:
        """Epochs or iterations of the whole training, in the loop's unit.

        Raises:
            NoCounterpart: The config does not say.
        """
        if not self.loop.length:
            raise NoCounterpart('policy', 'needs to know how long training runs. Add train_cfg=dict(max_epochs=…).')
        return self.loop.length

    @property
    def converts(self) -> bool:
        """Whether the length in iterations is known only once the data is: MMEngine then multiplies by itself."""
        return self.loop.by_epoch and not self.by_epoch

    @property
    def steps(self) -> dict[str, Any]:
        """How a scheduler is told to count in the policy's unit."""
        return {'by_epoch': self.by_epoch}

    @property
    def whole(self) -> dict[str, Any]:
        """How a scheduler is told that its begin and end are of the whole training."""
        return {'by_epoch': True, 'convert_to_iter_based': True} if self.converts else {'by_epoch': self.by_epoch}

    def ratio(self, value: float) -> float:
        """A value as a multiple of the one that the schedule starts from.

        Raises:
            NoCounterpart: The config does not say where it starts.
        """
        if not self.base:
            raise NoCounterpart('min_lr', 'can be translated only beside an optimizer with its lr. Add optimizer.lr.')
        return value / self.base


def lowest(given: dict[str, Any]) -> dict[str, Any]:
    """MMEngine's words for ``min_lr`` or ``min_lr_ratio``.

    Raises:
        NoCounterpart: Not exactly one of them is given.
    """
    value, ratio = given.get('min_lr'), given.get('min_lr_ratio')
    if (value is None) == (ratio is None):
        raise NoCounterpart('min_lr', 'expected one of min_lr and min_lr_ratio. Keep one of them.')
    return {'eta_min': value} if ratio is None else {'eta_min_ratio': ratio}
