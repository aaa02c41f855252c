"""The warm-up of MMDetection 2 before, or over, a learning rate policy.

mmcv multiplies the policy's value by a factor that reaches 1 *at* iteration ``warmup_iters``; MMEngine's schedulers
reach their end one iteration before ``end``. So ``end`` is ``warmup_iters + 1``, and the values are the same. (The
stock configs of MMDetection 3 write ``end=warmup_iters``, and warm up one iteration faster.)

MMEngine multiplies what the other schedulers left. That is the same thing as long as the policy multiplies too. A
policy that ends at ``min_lr`` adds, and is then kept apart: it starts after the warm-up, with the phase it would have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deeplake_mmdet.config.upgrade.lr_span import FOREVER, NoCounterpart, Schedule, Span


@dataclass(frozen=True)
class Warmup:
    """``warmup``, ``warmup_iters``, ``warmup_ratio`` and ``warmup_by_epoch``.

    Attributes:
        kind: ``'constant'``, ``'linear'`` or ``'exp'``.
        length: Number of iterations, or of epochs.
        ratio: The factor that it starts with, in (0, 1].
        by_epoch: Whether ``length`` counts epochs.
    """

    kind: str
    length: int
    ratio: float
    by_epoch: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Warmup | None:
        """Read a warm-up from ``lr_config``.

        Raises:
            NoCounterpart: A kind or a value that MMDetection 2 does not accept either.
        """
        kind = given.get('warmup')
        if kind is None:
            return None
        length, ratio = given.get('warmup_iters', 0), given.get('warmup_ratio', 0.1)
        if kind not in ('constant', 'linear', 'exp'):
            raise NoCounterpart('warmup', f"expected 'constant', 'linear' or 'exp', but got {kind!r}.")
        if length <= 0 or not 0 < ratio <= 1:
            raise NoCounterpart(
                'warmup', f'expected warmup_iters > 0 and warmup_ratio in (0, 1], but got {length} and {ratio}.'
            )
        return cls(kind, int(length), ratio, given.get('warmup_by_epoch', False))

    def schedule(self, span: Span) -> Schedule:
        """The warm-up alone, as factors."""
        return self._by_epoch(span) if self.by_epoch else Schedule(self._by_iteration())

    def _by_iteration(self) -> list[dict[str, Any]]:
        until = {'by_epoch': False, 'begin': 0, 'end': self.length + 1}
        if self.kind == 'linear':
            return [{'type': 'LinearLR', 'start_factor': self.ratio, **until}]
        if self.kind == 'constant':
            return [{'type': 'ConstantLR', 'factor': self.ratio, **until}]
        growth = self.ratio ** (-1 / self.length)
        return [_constant(self.ratio), {'type': 'ExponentialLR', 'gamma': growth, **until}]

    def _by_epoch(self, span: Span) -> Schedule:
        """Epochs of unknown length: MMEngine multiplies them out, and then ends one iteration early."""
        if self.kind == 'exp':
            raise NoCounterpart(
                'warmup_by_epoch',
                'an exponential warm-up has no counterpart in epochs. Give warmup_iters in iterations, or '
                "warmup='linear'.",
            )
        converted = {'by_epoch': True, 'convert_to_iter_based': True, 'begin': 0, 'end': self.length}
        early = [f'the warm-up ends one iteration before the end of its {self.length} epochs']
        if self.kind == 'linear':
            return Schedule([{'type': 'LinearLR', 'start_factor': self.ratio, **converted}], early)
        if not span.loop.by_epoch:
            return Schedule([{'type': 'ConstantLR', 'factor': self.ratio, **converted}], early)
        exact = {'by_epoch': True, 'begin': 0, 'end': self.length + 1}
        return Schedule([{'type': 'ConstantLR', 'factor': self.ratio, **exact}])


def _constant(factor: float) -> dict[str, Any]:
    return {'type': 'ConstantLR', 'factor': factor, 'by_epoch': False, 'begin': 0, 'end': FOREVER}


def over(main: Schedule, warmup: Warmup, span: Span) -> Schedule:
    """A warm-up over a policy whose schedulers stay as they are."""
    ramp = warmup.schedule(span)
    differences = [*ramp.differences, *main.differences]
    if not main.scales:
        differences.append(
            'a policy with a lowest value is identical only if the warm-up ends within the first epoch, and deviates '
            'by a few percent if it lasts for several'
            if span.by_epoch
            else 'a policy with a lowest value deviates by a fraction of a percent where the warm-up is short'
        )
    return replace(main, schedulers=[*ramp.schedulers, *main.schedulers], differences=differences)


def before(
    value_at: Callable[[int], float], main: Callable[[dict[str, int]], dict[str, Any]], warmup: Warmup, span: Span
) -> Schedule:
    """A warm-up followed by a policy that continues where it would be without one.

    Args:
        value_at: The policy's value after so many iterations, as a multiple of its start.
        main: Makes the policy's scheduler from ``begin`` and ``last_step``.
        warmup: Counted in iterations, and shorter than training.
        span: Where the policy counts iterations too.
    """
    reached = value_at(warmup.length)
    ramp = warmup.schedule(span)
    rest = main({'begin': warmup.length + 1, 'last_step': warmup.length})
    difference = f'up to {1 - reached:.1e} of its value lower during the warm-up, identical afterwards'
    return Schedule([*ramp.schedulers, _constant(reached), rest], [difference], False, 'eta_min' in rest)
