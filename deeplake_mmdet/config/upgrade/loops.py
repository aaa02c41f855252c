"""``runner`` and ``total_epochs`` become ``train_cfg``: how long training runs, and in which unit.

The unit decides more than the loop: checkpoints and log lines count in it too. MMDetection 2's ``IterBasedRunner`` told
its hooks so by itself, MMDetection 3 wants it written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.config.upgrade.inheritance import inherit
from deeplake_mmdet.config.upgrade.notes import Notes

_RUNNERS = {'EpochBasedRunner': True, 'IterBasedRunner': False}
_WAY = "Write train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=…) or dict(type='IterBasedTrainLoop', max_iters=…)."


@dataclass(frozen=True)
class Loop:
    """How long training runs.

    Attributes:
        by_epoch: Whether it counts epochs; iterations otherwise.
        length: Number of epochs or iterations; None if the config does not say.
    """

    by_epoch: bool
    length: int | None

    @property
    def key(self) -> str:
        return 'max_epochs' if self.by_epoch else 'max_iters'

    @property
    def type(self) -> str:
        return 'EpochBasedTrainLoop' if self.by_epoch else 'IterBasedTrainLoop'

    @property
    def runner(self) -> dict[str, Any]:
        """The loop in MMDetection 2's words."""
        return {'type': 'EpochBasedRunner' if self.by_epoch else 'IterBasedRunner', self.key: self.length}


def unit(by_epoch: bool) -> str:
    """What is counted, in words."""
    return 'epochs' if by_epoch else 'iterations'


def read_loop(config: Any) -> Loop | None:
    """The loop that ``train_cfg`` describes; None if there is none (an old ``train_cfg`` was the model's)."""
    train_cfg = config.get('train_cfg')
    if not isinstance(train_cfg, Mapping) or not {'type', 'by_epoch', 'max_epochs', 'max_iters'} & set(train_cfg):
        return None
    by_epoch = train_cfg.get('by_epoch', 'max_iters' not in train_cfg)
    return Loop(by_epoch, train_cfg.get('max_epochs' if by_epoch else 'max_iters'))


def upgrade_loop(config: Any, notes: Notes) -> tuple[Loop | None, Loop | None]:
    """Translate ``runner`` and ``total_epochs``.

    Args:
        config: An MMEngine config or mapping; changed in place.
        notes: Takes what was translated, and problems.

    Returns:
        The base's loop and the config's own, which are the same if neither key is there.
    """
    before = read_loop(config)
    given = [key for key in ('runner', 'total_epochs') if key in config]
    if not given:
        return before, before
    after = _wanted(config, before, notes)
    if after is None:
        return before, before
    _write(config, before, after)
    if (before is not None and before.by_epoch != after.by_epoch) or not after.by_epoch:
        _count_in(config, after, notes)
    notes.translated(' and '.join(given), f'train_cfg ({after.type}, {after.key}={after.length})')
    return before, after


def _wanted(config: Any, before: Loop | None, notes: Notes) -> Loop | None:
    """What the old keys ask for; None after a problem."""
    runner, epochs = config.pop('runner', None), config.pop('total_epochs', None)
    if runner is None:
        return Loop(True, epochs)
    inherited = inherit(before.runner if before else None, runner)
    by_epoch = _RUNNERS.get(inherited.get('type', 'EpochBasedRunner'))
    unknown = sorted(set(inherited) - {'type', 'max_epochs', 'max_iters'})
    if by_epoch is None or unknown:
        what = f'has the keys {unknown}' if unknown else f'{inherited["type"]!r} is a runner'
        notes.problem('runner', f'{what} that MMDetection 3 does not know. {_WAY}')
        return None
    loop = Loop(by_epoch, inherited.get('max_epochs' if by_epoch else 'max_iters'))
    if not loop.length:
        notes.problem('runner', f'expected {loop.key}, but got {dict(runner)}. {_WAY}')
        return None
    if epochs is not None and loop != Loop(True, epochs):
        notes.problem('total_epochs', f'is {epochs}, but runner has {loop.key}={loop.length}. Keep one of them.')
        return None
    return loop


def _write(config: Any, before: Loop | None, after: Loop) -> None:
    """Keep what the base says about validation, unless it counts in the other unit."""
    if before is not None and before.by_epoch == after.by_epoch:
        train_cfg = dict(config['train_cfg'])
        if 'by_epoch' not in train_cfg:
            train_cfg['type'] = train_cfg.get('type', after.type)
    else:
        train_cfg = {'type': after.type}
    config['train_cfg'] = {**train_cfg, after.key: after.length}


def _count_in(config: Any, loop: Loop, notes: Notes) -> None:
    """Let log lines and checkpoints count in the loop's unit."""
    config['log_processor'] = inherit(
        config.get('log_processor') or {'type': 'LogProcessor'}, {'by_epoch': loop.by_epoch}
    )
    checkpoint = (config.get('default_hooks') or {}).get('checkpoint')
    old = bool((checkpoint or {}).get('by_epoch', True))
    if not checkpoint or old == loop.by_epoch:
        return
    config['default_hooks'] = inherit(config['default_hooks'], {'checkpoint': {'by_epoch': loop.by_epoch}})
    if 'interval' in checkpoint and 'interval' not in (config.get('checkpoint_config') or {}):
        notes.problem(
            'checkpoint_config.interval',
            f'the base saves every {checkpoint["interval"]} {unit(old)}, but this runner counts {unit(loop.by_epoch)}. '
            'Add checkpoint_config=dict(interval=…).',
        )
