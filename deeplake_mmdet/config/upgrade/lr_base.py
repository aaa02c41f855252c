"""A base's ``param_scheduler`` in MMDetection 2's words, so that a child's ``lr_config`` can inherit from it.

``lr_config=dict(step=[16, 22])`` means little without the policy and the warm-up of the base. The stock configs' three
forms (steps or one cosine after a linear warm-up, and YOLOX's) can be said in the old words; any other schedule cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.loops import Loop

_WARMUPS = {'LinearLR': ('linear', 'start_factor'), 'ConstantLR': ('constant', 'factor')}
_NEEDLESS = ('verbose', 'end_factor', '_scope_')
_LENGTHLESS = ('MultiStepLR', 'StepLR', 'ExponentialLR')


def old_words(param_scheduler: Any, loop: Loop | None) -> dict[str, Any] | None:
    """The ``lr_config`` that a stock config of MMDetection 2 would have had for this schedule.

    Args:
        param_scheduler: One scheduler or a list of them, or None.
        loop: The base's loop.

    Returns:
        The ``lr_config``; None if the old words do not suffice, or if there is nothing to say.
    """
    schedulers = _listed(param_scheduler)
    if loop is None or not schedulers:
        return None
    if len(schedulers) == 3:
        return _yolox(schedulers, loop)
    config = _warmup(schedulers[0])
    rest = schedulers[1:] if config else schedulers
    if len(rest) > 1:
        return None
    policy = _policy(rest[0], loop) if rest else {'policy': 'fixed'}
    return None if policy is None else {**(config or {}), **policy}


def _yolox(schedulers: list[Any], loop: Loop) -> dict[str, Any] | None:
    """The three schedulers of YOLOX: quadratic warm-up, cosine, and constant last epochs."""
    ramp, cosine, flat = schedulers
    converted = all(one.get('by_epoch', True) and one.get('convert_to_iter_based') for one in (ramp, cosine))
    types = [str(one.get('type')).rpartition('.')[2] for one in (ramp, cosine, flat)]
    if types != ['QuadraticWarmupLR', 'CosineAnnealingLR', 'ConstantLR'] or not converted or flat.get('factor') != 1:
        return None
    joined = ramp.get('end') == cosine.get('begin') and cosine.get('end') == flat.get('begin')
    if not joined or not loop.length or flat.get('end') != loop.length or 'eta_min' not in cosine:
        return None
    return {
        'policy': 'YOLOX', 'by_epoch': False, 'warmup': 'exp', 'warmup_by_epoch': True, 'warmup_ratio': 1,
        'warmup_iters': ramp['end'], 'num_last_epochs': loop.length - cosine['end'], 'min_lr': cosine['eta_min'],
    }  # fmt: skip


def depends_on_length(param_scheduler: Any) -> bool:
    """Whether the schedule would look different if training took longer."""
    return any(
        scheduler.get('type') not in _LENGTHLESS and _warmup(scheduler) is None
        for scheduler in _listed(param_scheduler)
    )


def _listed(param_scheduler: Any) -> list[Any]:
    if not param_scheduler:
        return []
    return [param_scheduler] if isinstance(param_scheduler, Mapping) else list(param_scheduler)


def _warmup(scheduler: Mapping[str, Any]) -> dict[str, Any] | None:
    """A warm-up counted in iterations from the start; None if it is something else."""
    kind, factor = _WARMUPS.get(str(scheduler.get('type')), (None, ''))
    known = {'type', 'begin', 'end', 'by_epoch', factor, *_NEEDLESS}
    if kind is None or set(scheduler) - known or 'end' not in scheduler or scheduler.get('end_factor', 1) != 1:
        return None
    if scheduler.get('by_epoch', True) or scheduler.get('begin', 0):
        return None
    return {'warmup': kind, 'warmup_iters': scheduler['end'], 'warmup_ratio': scheduler.get(factor, 1 / 3)}


def _policy(scheduler: Mapping[str, Any], loop: Loop) -> dict[str, Any] | None:
    """Steps, or one cosine over the whole training; None if it is something else."""
    given = {key: value for key, value in scheduler.items() if key not in _NEEDLESS}
    kind, by_epoch = given.pop('type', None), given.pop('by_epoch', True)
    begin, end = given.pop('begin', 0), given.pop('end', loop.length)
    words: dict[str, Any] = {'by_epoch': by_epoch}
    if kind == 'MultiStepLR' and not begin and set(given) <= {'milestones', 'gamma'}:
        return {'policy': 'step', 'step': list(given['milestones']), 'gamma': given.get('gamma', 0.1), **words}
    whole = not begin and end == loop.length and given.pop('T_max', loop.length) == loop.length
    if (
        kind == 'CosineAnnealingLR'
        and whole
        and by_epoch == loop.by_epoch
        and set(given) <= {'eta_min', 'eta_min_ratio'}
    ):
        if 'eta_min_ratio' in given:
            return {'policy': 'CosineAnnealing', 'min_lr_ratio': given['eta_min_ratio'], **words}
        return {'policy': 'CosineAnnealing', 'min_lr': given.get('eta_min', 0), **words}
    return None
