"""The learning rate policies of MMDetection 2 (mmcv 1.x) as schedulers of MMEngine, with the same values.

mmcv computes each value from the start; MMEngine computes it from the previous one. Both give the same curve, if the
lengths are right: MMEngine's linear and polynomial schedulers arrive one step before their ``end``, its cosine at it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from deeplake_mmdet.config.upgrade.lr_span import NoCounterpart, Schedule, Span, lowest
from deeplake_mmdet.config.upgrade.lr_warmups import Warmup, before, over

GENERAL = ('policy', 'by_epoch', 'warmup', 'warmup_iters', 'warmup_ratio', 'warmup_by_epoch')
Policy = Callable[[dict[str, Any], Span, Warmup | None], Schedule]


def _warmed(main: Schedule, warmup: Warmup | None, span: Span) -> Schedule:
    return main if warmup is None else over(main, warmup, span)


def _fixed(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    return _warmed(Schedule([]), warmup, span)


def _step(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    step, gamma, least = given.get('step'), given.get('gamma', 0.1), given.get('min_lr')
    if isinstance(step, (list, tuple)) and all(isinstance(at, int) and at > 0 for at in step):
        milestones = list(itertools.accumulate(step, max))  # mmcv passes a milestone only after those before it
    elif isinstance(step, int) and step > 0:
        milestones = []
    else:
        raise NoCounterpart('step', f'expected a list of positive ints or one, but got {step!r}.')
    if least is not None:
        return _warmed(_step_down_to(span.ratio(least), milestones, step, gamma, span), warmup, span)
    if milestones:
        scheduler = {'type': 'MultiStepLR', 'milestones': milestones, 'gamma': gamma}
    elif isinstance(step, int):
        scheduler = {'type': 'StepLR', 'step_size': step, 'gamma': gamma}
    else:
        return _fixed(given, span, warmup)
    return _warmed(Schedule([{**scheduler, **span.steps}]), warmup, span)


def _step_down_to(least: float, milestones: list[int], period: Any, gamma: float, span: Span) -> Schedule:
    """Steps of ``gamma``, the last of which is shorter and ends at ``least`` times the start."""
    if least > 1 or not 0 < gamma < 1:
        raise NoCounterpart('min_lr', 'expected a value below the learning rate, and gamma between 0 and 1.')
    if least <= 0:
        raise NoCounterpart('min_lr', 'expected a positive value. Leave it out: steps never reach 0.')
    full = math.floor(math.log(least) / math.log(gamma) + 1e-9)
    if not milestones:
        milestones = [period * (i + 1) for i in range(full + 1)]
    schedulers = [{'type': 'MultiStepLR', 'milestones': milestones[:full], 'gamma': gamma, **span.steps}]
    rest = least / gamma**full
    if len(milestones) > full and rest < 1 - 1e-9:
        schedulers.append({'type': 'MultiStepLR', 'milestones': [milestones[full]], 'gamma': rest, **span.steps})
    return Schedule([scheduler for scheduler in schedulers if scheduler['milestones']], relative=True)


def _exp(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    if 'gamma' not in given:
        raise NoCounterpart('gamma', "policy 'exp' needs it.")
    return _warmed(Schedule([{'type': 'ExponentialLR', 'gamma': given['gamma'], **span.steps}]), warmup, span)


def _arrive(span: Span) -> tuple[int, list[str]]:
    """The ``end`` by which MMEngine's linear and polynomial schedulers arrive when training ends."""
    if not span.converts:
        return span.length + 1, []
    return span.length, ['the end is reached one iteration early']


def _poly(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    power, least = given.get('power', 1.0), given.get('min_lr', 0.0)
    end, differences = _arrive(span)

    def scheduler(begin: dict[str, int]) -> dict[str, Any]:
        until = {'end': end + begin['begin'], **begin}
        return {'type': 'PolyLR', 'power': power, 'eta_min': least, **until, **span.whole}

    def value_at(step: int) -> float:
        return span.ratio(least) + (1 - span.ratio(least)) * (1 - step / span.length) ** power

    if warmup and least and _apart(span, warmup):
        return before(value_at, scheduler, warmup, span)
    return _warmed(Schedule([scheduler({'begin': 0})], differences, not least), warmup, span)


def _apart(span: Span, warmup: Warmup) -> bool:
    """Whether a policy can start after the warm-up: its phase must be known, and the warm-up must end."""
    return not span.loop.by_epoch and not warmup.by_epoch and warmup.length < span.length and bool(span.base)


def _linear(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    value = lowest(given)
    ratio = value['eta_min_ratio'] if 'eta_min_ratio' in value else span.ratio(value['eta_min'])
    end, differences = _arrive(span)
    scheduler = {'type': 'LinearLR', 'start_factor': 1.0, 'end_factor': ratio, 'begin': 0, 'end': end, **span.whole}
    return _warmed(Schedule([scheduler], differences, relative='eta_min' in value), warmup, span)


def _cosine(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    value = lowest(given)

    def scheduler(begin: dict[str, int]) -> dict[str, Any]:
        shape = {'T_max': span.length, 'end': span.length, **begin}
        return {'type': 'CosineAnnealingLR', **value, **shape, **span.whole}

    def value_at(step: int) -> float:
        ratio = value['eta_min_ratio'] if 'eta_min_ratio' in value else span.ratio(value['eta_min'])
        return ratio + (1 - ratio) * (1 + math.cos(math.pi * step / span.length)) / 2

    scales = not any(value.values())
    if warmup and not scales and _apart(span, warmup):
        return before(value_at, scheduler, warmup, span)
    return _warmed(Schedule([scheduler({'begin': 0})], [], scales), warmup, span)


def _flat_cosine(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    value, start = lowest(given), given.get('start_percent', 0.75)
    exact = span.length * start
    begin = exact if span.converts and exact != round(exact) else round(exact)
    if begin >= span.length:
        return _fixed(given, span, warmup)
    scheduler = {'type': 'CosineAnnealingLR', **value, 'begin': begin, 'end': span.length, **span.whole}
    differences = ['the descent may begin one iteration early'] if isinstance(begin, float) else []
    ends_before = warmup and not span.loop.by_epoch and not warmup.by_epoch and warmup.length < begin
    return _warmed(Schedule([scheduler], differences, bool(ends_before) or not any(value.values())), warmup, span)


def _cosine_restart(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    value, periods = lowest(given), list(given.get('periods') or [])
    weights = list(given.get('restart_weights', [1]))
    if len(periods) != len(weights):
        raise NoCounterpart('periods', f'expected as many as restart_weights, but got {periods} and {weights}.')
    zero = not any(value.values())
    if not zero and (warmup or any(weight != 1 for weight in weights)):
        raise NoCounterpart(
            'policy',
            'with a lowest value, restarts of MMEngine have other values under a warm-up and under restart_weights. '
            "Write param_scheduler with type='CosineRestartLR'.",
        )
    if warmup and (span.by_epoch or warmup.by_epoch or warmup.length > periods[0]):
        raise NoCounterpart(
            'warmup', 'must end within the first period, both counted in iterations: a restart sets the value anew.'
        )
    scheduler = {
        'type': 'CosineRestartLR', 'periods': periods, 'restart_weights': weights, 'begin': 0, **value, **span.steps,
    }  # fmt: skip
    main = Schedule([scheduler])
    return main if warmup is None else Schedule([scheduler, *warmup.schedule(span).schedulers])


def _one_cycle(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    if warmup or not isinstance(given.get('max_lr'), (int, float, list)):
        raise NoCounterpart('policy', "expected max_lr and no warmup. Write param_scheduler with type='OneCycleLR'.")
    names = ('pct_start', 'anneal_strategy', 'div_factor', 'final_div_factor', 'three_phase')
    scheduler = {'type': 'OneCycleLR', 'eta_max': given['max_lr']}
    scheduler.update({name: given[name] for name in names if name in given})
    if given.get('total_steps'):
        return Schedule([{**scheduler, 'total_steps': given['total_steps'], 'by_epoch': False}])
    return Schedule([{**scheduler, 'total_steps': span.length, 'end': span.length, **span.whole}])


def _yolox(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    """Quadratic warm-up in epochs, a cosine that is one iteration ahead, and constant last epochs."""
    value, last = lowest(given), given.get('num_last_epochs')
    if warmup is None or not warmup.by_epoch or warmup.ratio != 1 or not span.converts or last is None:
        raise NoCounterpart(
            'policy',
            "'YOLOX' is translated with by_epoch=False, warmup_by_epoch=True, warmup_ratio=1 and num_last_epochs, as "
            'the stock configs have it. Write param_scheduler as configs/yolox of MMDetection 3 does.',
        )
    end = span.length - last
    if end <= warmup.length:
        raise NoCounterpart('num_last_epochs', f'{last} and the warm-up leave nothing of {span.length} epochs.')
    ramp = {'type': 'mmdet.QuadraticWarmupLR', 'begin': 0, 'end': warmup.length, **span.whole}
    shape = {'T_max': end - warmup.length, 'begin': warmup.length, 'end': end, 'last_step': 0}
    return Schedule([ramp, {'type': 'CosineAnnealingLR', **value, **shape, **span.whole}])


def _none(given: dict[str, Any], span: Span, warmup: Warmup | None) -> Schedule:
    raise NoCounterpart(
        'policy',
        f'{given["policy"]!r} has no scheduler of its own in MMEngine. Write param_scheduler as a list of schedulers, '
        'each with its begin and end.',
    )


POLICIES: dict[str, tuple[Policy, tuple[str, ...]]] = {
    'Fixed': (_fixed, ()),
    'Step': (_step, ('step', 'gamma', 'min_lr')),
    'Exp': (_exp, ('gamma',)),
    'Poly': (_poly, ('power', 'min_lr')),
    'LinearAnnealing': (_linear, ('min_lr', 'min_lr_ratio')),
    'CosineAnnealing': (_cosine, ('min_lr', 'min_lr_ratio')),
    'FlatCosineAnnealing': (_flat_cosine, ('start_percent', 'min_lr', 'min_lr_ratio')),
    'CosineRestart': (_cosine_restart, ('periods', 'restart_weights', 'min_lr', 'min_lr_ratio')),
    'OneCycle': (
        _one_cycle,
        ('max_lr', 'total_steps', 'pct_start', 'anneal_strategy', 'div_factor', 'final_div_factor', 'three_phase'),
    ),
    'YOLOX': (_yolox, ('num_last_epochs', 'min_lr', 'min_lr_ratio')),
    'Inv': (_none, ('gamma', 'power')),
    'Cyclic': (_none, ('target_ratio', 'cyclic_times', 'step_ratio_up', 'anneal_strategy', 'gamma')),
}
