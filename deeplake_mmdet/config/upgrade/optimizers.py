"""``optimizer``, ``optimizer_config`` and ``fp16`` become ``optim_wrapper``.

A child may name one setting only (``optimizer=dict(lr=0.001)``); the rest then comes from the base, whichever form that
has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.inheritance import inherit
from deeplake_mmdet.config.upgrade.notes import Notes

_KEYS = ('optimizer', 'optimizer_config', 'fp16')
_CONSTRUCTORS = {'DefaultOptimizerConstructor': 'DefaultOptimWrapperConstructor'}
_KNOWN_CONSTRUCTORS = (
    'DefaultOptimWrapperConstructor',
    'LearningRateDecayOptimizerConstructor',
)
_HALF = {'Fp16OptimizerHook', 'GradientCumulativeFp16OptimizerHook'}
_HOOKS = {'OptimizerHook', 'GradientCumulativeOptimizerHook', *_HALF}
_REDUCING = ('coalesce', 'bucket_size_mb', 'distributed')
_DEFAULT_SCALE = 512.0


def upgrade_optimizer(config: Any, notes: Notes) -> None:
    """Translate the optimizer's keys.

    Args:
        config: An MMEngine config or mapping; changed in place.
        notes: Takes what was translated, and problems.
    """
    given = [key for key in _KEYS if key in config]
    if not given:
        return
    wrapper = dict(config.get('optim_wrapper') or {})
    optimizer, settings, half = (config.pop(key, None) for key in _KEYS)
    if optimizer is not None:
        _optimizer(wrapper, optimizer, notes)
    if settings is not None:
        _settings(wrapper, settings, notes)
    if half is not None:
        unknown = sorted(set(half) - {'loss_scale', *_REDUCING, '_delete_'})
        if unknown:
            notes.problem('fp16', f"has unknown keys {unknown}. Write optim_wrapper=dict(type='AmpOptimWrapper', …).")
        _mixed_precision(wrapper, half.get('loss_scale', _DEFAULT_SCALE))
    if not wrapper:
        return
    wrapper.setdefault('type', 'OptimWrapper')
    config['optim_wrapper'] = wrapper
    notes.translated(', '.join(given), f'optim_wrapper ({_summary(wrapper)})')


def _summary(wrapper: Mapping[str, Any]) -> str:
    """What a reader of the log wants to see of a wrapper."""
    optimizer = wrapper.get('optimizer') or {}
    parts = [wrapper['type'], f'{optimizer.get("type")} lr={optimizer.get("lr")}']
    parts += [
        f'{key}={dict(wrapper[key]) if isinstance(wrapper[key], Mapping) else wrapper[key]}'
        for key in ('clip_grad', 'accumulative_counts', 'loss_scale')
        if wrapper.get(key) is not None
    ]
    return ', '.join(parts)


def _optimizer(wrapper: dict[str, Any], given: Mapping[str, Any], notes: Notes) -> None:
    """Settings of single parameters stood inside of the optimizer, and now stand beside it."""
    beside = ('paramwise_cfg', 'constructor')
    base = {**(wrapper.get('optimizer') or {}), **{key: wrapper[key] for key in beside if key in wrapper}}
    merged = inherit(base, given)
    if 'type' not in merged:
        notes.problem(
            'optimizer',
            f'expected one optimizer with a type, but got the keys {sorted(merged)}. Write optim_wrapper='
            "dict(optimizer=dict(type='SGD', …)); several optimizers need an OptimWrapperDict and its constructor.",
        )
        return
    for key in beside:
        wrapper.pop(key, None)
        if merged.get(key) is not None:
            wrapper[key] = merged.pop(key)
        merged.pop(key, None)
    if 'constructor' in wrapper:
        wrapper['constructor'] = _constructor(wrapper['constructor'], notes)
    wrapper['optimizer'] = merged


def _constructor(name: str, notes: Notes) -> str:
    name = _CONSTRUCTORS.get(name, name)
    if name not in _KNOWN_CONSTRUCTORS:
        from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS

        if OPTIM_WRAPPER_CONSTRUCTORS.get(name) is None:
            notes.problem(
                'optimizer.constructor',
                f'{name!r} is not registered in MMDetection 3. Register it in OPTIM_WRAPPER_CONSTRUCTORS '
                '(its __call__ returns an OptimWrapper) and import it by custom_imports.',
            )
    return name


def _settings(wrapper: dict[str, Any], given: Mapping[str, Any], notes: Notes) -> None:
    """Gradient clipping, accumulation and mixed precision, which were options of a hook."""
    base = {'grad_clip': wrapper.get('clip_grad'), 'cumulative_iters': wrapper.get('accumulative_counts', 1)}
    merged = inherit(base, given)
    kind = merged.pop('type', 'OptimizerHook')
    clip, counts = merged.pop('grad_clip', None), merged.pop('cumulative_iters', 1)
    scale = merged.pop('loss_scale', _DEFAULT_SCALE if kind in _HALF else None)
    for key in _REDUCING:
        if merged.pop(key, None) is not None:
            notes.dropped(f'optimizer_config.{key}', 'DistributedDataParallel reduces the gradients')
    if merged.pop('detect_anomalous_params', False):
        notes.problem(
            'optimizer_config.detect_anomalous_params',
            "is an option of the model's wrapper. Write "
            "model_wrapper_cfg=dict(type='MMDistributedDataParallel', detect_anomalous_params=True).",
        )
    if kind not in _HOOKS or merged:
        what = f'the keys {sorted(merged)}' if kind in _HOOKS else f'type {kind!r}'
        notes.problem('optimizer_config', f'{what} is unknown to MMDetection 3. Write a registered optim_wrapper.type.')
    for key, value, nothing in (('clip_grad', clip, None), ('accumulative_counts', counts, 1)):
        wrapper.pop(key, None)
        if value != nothing:
            wrapper[key] = value
    if scale is not None:
        _mixed_precision(wrapper, scale)


def _mixed_precision(wrapper: dict[str, Any], scale: Any) -> None:
    """A number was a fixed scale; as a float it still is one."""
    wrapper['type'] = 'AmpOptimWrapper'
    wrapper['loss_scale'] = float(scale) if isinstance(scale, (int, float)) else scale
