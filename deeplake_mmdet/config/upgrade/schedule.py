"""How a model is trained: ``runner``, ``optimizer``, ``optimizer_config``, ``fp16``, ``lr_config``, and the momentum.

They become ``train_cfg``, ``optim_wrapper`` and ``param_scheduler``. The learning rate is the same at every iteration,
or the note says by how much it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.dicts import unknown_key
from deeplake_mmdet.config.upgrade.inheritance import DELETE, inherit
from deeplake_mmdet.config.upgrade.loops import Loop, unit, upgrade_loop
from deeplake_mmdet.config.upgrade.lr_base import depends_on_length, old_words
from deeplake_mmdet.config.upgrade.lr_policies import GENERAL, POLICIES
from deeplake_mmdet.config.upgrade.lr_span import NoCounterpart, Schedule, Span
from deeplake_mmdet.config.upgrade.lr_warmups import Warmup
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.optimizers import upgrade_optimizer

_WAY = 'Give lr_config in full (policy, warmup), or write param_scheduler as MMDetection 3 does.'
_BY_ITERATION = ('Cyclic', 'OneCycle')  # policies of mmcv that never count epochs
_MOMENTUM = {'min_momentum': 'min_lr', 'min_momentum_ratio': 'min_lr_ratio'}


def upgrade_schedule(config: Any, notes: Notes) -> None:
    """Translate all keys of the training schedule; nothing happens where there are none.

    Args:
        config: An MMEngine config or mapping; changed in place.
        notes: Takes what was translated, and problems.
    """
    before, after = upgrade_loop(config, notes)
    upgrade_optimizer(config, notes)
    if 'lr_config' in config:
        _learning_rate(config, before, after, notes)
    elif before != after and depends_on_length(config.get('param_scheduler')):
        _stretch(config, before, after, notes)
    if 'momentum_config' in config:
        _momentum(config, after, notes)


def _learning_rate(config: Any, before: Loop | None, after: Loop | None, notes: Notes) -> None:
    """Replace the base's schedule by what ``lr_config`` says, alone or over the base's."""
    given = config.pop('lr_config')
    if given is None:
        config.pop('param_scheduler', None)
        notes.translated('lr_config=None', 'no param_scheduler')
        return
    base = None if given.get(DELETE) else old_words(config.get('param_scheduler'), before)
    if base is not None and _name(given.get('policy', base['policy'])) == _name(base['policy']):
        given = inherit(base, given)
    elif 'policy' in given:
        given = inherit(None, given)
    else:
        notes.problem(
            'lr_config',
            f'changes only {sorted(given)}, but the base has no schedule of MMDetection 2 to change. {_WAY}',
        )
        return
    _put(config, 'lr_config', given, after, notes)


def _stretch(config: Any, before: Loop | None, after: Loop | None, notes: Notes) -> None:
    """A longer or shorter training changes a schedule that ends with it."""
    base = old_words(config['param_scheduler'], before)
    if base is None:
        notes.problem(
            'runner',
            f"trains for {_said(after)}, but the base's param_scheduler is made for {_said(before)} and has no form of "
            f'MMDetection 2 that could be stretched. {_WAY}',
        )
        return
    _put(config, "the base's schedule", base, after, notes)


def _said(loop: Loop | None) -> str:
    return f'{loop.length} {unit(loop.by_epoch)}' if loop else 'an unknown time'


def _put(config: Any, source: str, given: Mapping[str, Any], loop: Loop | None, notes: Notes) -> None:
    """Write the schedule, and how it differs."""
    optim_wrapper = config.get('optim_wrapper') or {}
    base = (optim_wrapper.get('optimizer') or {}).get('lr')
    try:
        schedule = translate(given, loop or Loop(True, None), base)
    except NoCounterpart as problem:
        notes.problem(f'lr_config.{problem.key}', problem.why)
        return
    if schedule.schedulers:
        config['param_scheduler'] = schedule.schedulers
    else:
        config.pop('param_scheduler', None)
    differences = list(schedule.differences)
    if schedule.relative and _uneven(optim_wrapper):
        differences.append('parameters with an lr_mult end at that multiple of min_lr')
    words = ', '.join(f'{key}={value!r}' for key, value in given.items())
    names = ', '.join(scheduler['type'] for scheduler in schedule.schedulers) or 'none'
    how = '; '.join(differences) or 'the same value at every iteration'
    notes.translated(f'{source} ({words})', f'param_scheduler ({names}): {how}')


def translate(given: Mapping[str, Any], loop: Loop, base: float | None) -> Schedule:
    """MMEngine's schedulers for an ``lr_config``.

    Args:
        given: The ``lr_config``, with its policy.
        loop: The training loop.
        base: The optimizer's learning rate, if known.

    Raises:
        NoCounterpart: No scheduler of MMEngine does the same.
    """
    name = _name(given['policy'])
    if name not in POLICIES:
        raise NoCounterpart('policy', f'{given["policy"]!r} is unknown. The policies are {", ".join(POLICIES)}.')
    policy, keys = POLICIES[name]
    unknown = sorted(set(given) - {*GENERAL, *keys})
    if unknown:
        raise NoCounterpart(unknown[0], f'{unknown_key(unknown[0], [*GENERAL, *keys])} ({name})')
    by_epoch = given.get('by_epoch', loop.by_epoch and name not in _BY_ITERATION)
    if by_epoch and not loop.by_epoch:
        raise NoCounterpart('by_epoch', 'must be False where training counts iterations, as param_scheduler has it.')
    return policy(dict(given), Span(loop, by_epoch, base), Warmup.of(given))


def _name(policy: str) -> str:
    """A policy's name as mmcv completes it: all in lower case, it begins with a capital."""
    return policy.title() if policy == policy.lower() else policy


def _uneven(optim_wrapper: Mapping[str, Any]) -> bool:
    """Whether some parameters have a learning rate of their own."""
    paramwise = optim_wrapper.get('paramwise_cfg') or {}
    own = any('lr_mult' in str(key) for key in paramwise)
    return own or 'constructor' in optim_wrapper or 'lr_mult' in str(paramwise.get('custom_keys'))


def _momentum(config: Any, loop: Loop | None, notes: Notes) -> None:
    """Add momentum schedulers beside those of the learning rate; mmcv's two know the same policies."""
    given = config.pop('momentum_config')
    if given is None:
        return
    try:
        schedulers = _momentum_schedulers(inherit(None, given), loop or Loop(True, None))
    except NoCounterpart as problem:
        notes.problem(f'momentum_config.{problem.key}', problem.why)
        return
    old = config.get('param_scheduler') or []
    config['param_scheduler'] = [*([old] if isinstance(old, Mapping) else old), *schedulers]
    notes.translated('momentum_config', f'param_scheduler ({", ".join(one["type"] for one in schedulers)})')


def _momentum_schedulers(given: dict[str, Any], loop: Loop) -> list[dict[str, Any]]:
    name = _name(given.get('policy', ''))
    if name not in ('Step', 'CosineAnnealing') or given.get('warmup') or (name == 'Step' and 'min_momentum' in given):
        raise NoCounterpart(
            'policy',
            "expected 'step' without min_momentum, or 'CosineAnnealing', and no warmup: MMEngine has no other. "
            "Write them into param_scheduler, such as dict(type='CosineAnnealingMomentum', …).",
        )
    if name == 'Step':
        given.setdefault('gamma', 0.5)  # mmcv's default differs from the learning rate's
    given.setdefault('by_epoch', True)
    schedule = translate({_MOMENTUM.get(key, key): value for key, value in given.items()}, loop, None)
    return [{**one, 'type': one['type'].removesuffix('LR') + 'Momentum'} for one in schedule.schedulers]
