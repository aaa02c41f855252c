"""``checkpoint_config`` and ``custom_hooks``: most hooks kept their names, some have other options, a few are gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.inheritance import inherit
from deeplake_mmdet.config.upgrade.loops import read_loop
from deeplake_mmdet.config.upgrade.notes import Notes

_CHECKPOINT = (
    'interval', 'by_epoch', 'save_optimizer', 'out_dir', 'max_keep_ckpts', 'save_last', 'filename_tmpl',
    'file_client_args',
)  # fmt: skip
_CHECKPOINT_DROPPED = {
    'meta': 'MMEngine writes classes, config and versions by itself',
    'create_symlink': 'the file last_checkpoint names the latest one',
    'type': 'it is the only checkpoint hook',
}
_KNOWN = (
    'NumClassCheckHook', 'CheckInvalidLossHook', 'SetEpochInfoHook', 'MemoryProfilerHook', 'YOLOXModeSwitchHook',
    'PipelineSwitchHook', 'DetVisualizationHook', 'EMAHook', 'EarlyStoppingHook', 'SyncBuffersHook', 'EmptyCacheHook',
    'ProfilerHook',
)  # fmt: skip
_GONE = {
    'LrUpdaterHook': 'Write lr_config, or param_scheduler.',
    'MomentumUpdaterHook': 'Write momentum_config, or param_scheduler.',
    'OptimizerHook': 'Write optimizer_config, or optim_wrapper.',
    'EvalHook': 'Write evaluation, or val_evaluator and train_cfg.val_interval.',
    'LoggerHook': 'Write log_config.hooks, or visualizer.vis_backends.',
    'WandbHook': 'Write log_config.hooks, or visualizer.vis_backends.',
}


def upgrade_checkpoint(config: Any, notes: Notes) -> None:
    """Translate ``checkpoint_config``.

    Args:
        config: An MMEngine config or mapping; changed in place.
        notes: Takes what was translated, and problems.
    """
    if 'checkpoint_config' not in config:
        return
    given = config.pop('checkpoint_config')
    if given is None:
        config['default_hooks'] = {**(config.get('default_hooks') or {}), 'checkpoint': None}
        notes.translated('checkpoint_config=None', 'default_hooks.checkpoint=None')
        return
    options = inherit(None, given)
    for key, why in _CHECKPOINT_DROPPED.items():
        if options.pop(key, None) is not None:
            notes.dropped(f'checkpoint_config.{key}', why)
    if options.pop('sync_buffer', False):
        config['custom_hooks'] = [*(config.get('custom_hooks') or []), {'type': 'SyncBuffersHook'}]
        notes.translated('checkpoint_config.sync_buffer', 'custom_hooks (SyncBuffersHook)')
    for key in sorted(set(options) - set(_CHECKPOINT)):
        del options[key]
        notes.problem(f'checkpoint_config.{key}', 'is unknown to MMDetection 3. Look at default_hooks.checkpoint.')
    loop = read_loop(config)
    if loop is not None and not loop.by_epoch:
        options.setdefault('by_epoch', False)
    checkpoint = {'type': 'CheckpointHook', **options}
    config['default_hooks'] = inherit(config.get('default_hooks'), {'checkpoint': checkpoint})
    notes.translated('checkpoint_config', f'default_hooks.checkpoint ({_said(options)})')


def _said(options: Mapping[str, Any]) -> str:
    return ', '.join(f'{key}={value!r}' for key, value in options.items())


def upgrade_custom_hooks(config: Any, notes: Notes) -> None:
    """Translate ``custom_hooks``; nothing happens to hooks that MMDetection 3 has too.

    Args:
        config: An MMEngine config or mapping; changed in place.
        notes: Takes what was translated, and problems.
    """
    hooks = config.get('custom_hooks')
    if not hooks:
        return
    listed = [hooks] if isinstance(hooks, Mapping) else list(hooks)
    translated = [_hook(hook, notes) if isinstance(hook, Mapping) else hook for hook in listed]
    if isinstance(hooks, Mapping):
        notes.translated('custom_hooks=dict(…)', 'custom_hooks=[dict(…)]')
    elif translated == listed:
        return
    config['custom_hooks'] = translated


def _hook(hook: Mapping[str, Any], notes: Notes) -> Any:
    """One hook of MMDetection 3; after a problem, the hook as it was."""
    kind = hook.get('type')
    if not isinstance(kind, str):
        return hook
    if kind in _TRANSLATIONS:
        return _TRANSLATIONS[kind](hook, notes)
    for ending, way in _GONE.items():
        if kind.endswith(ending) and kind != ending:
            notes.problem(f'custom_hooks.{kind}', f'is no hook of MMDetection 3. {way}')
            return hook
    if kind not in _KNOWN and notes.lines and not _registered(kind):
        notes.problem(
            f'custom_hooks.{kind}',
            'is not registered in MMDetection 3. Register it in mmengine.registry.HOOKS, with the arguments that '
            "MMEngine's hooks take (batch_idx, data_batch, outputs), and import it by custom_imports.",
        )
    return hook


def _registered(kind: str) -> bool:
    from mmdet.registry import HOOKS

    return HOOKS.get(kind) is not None


def _exponential_ema(hook: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    options = {key: value for key, value in hook.items() if value is not None}
    del options['type']
    for key in ('momentum_fun', 'resume_from'):
        if options.pop(key, None) is not None:
            notes.problem(f'custom_hooks.ExpMomentumEMAHook.{key}', 'has no counterpart. Set load_from and resume.')
    new = {'type': 'EMAHook', 'ema_type': 'ExpMomentumEMA', 'update_buffers': not options.pop('skip_buffers', False)}
    if 'total_iter' in options:
        new['gamma'] = options.pop('total_iter')
    notes.translated('custom_hooks.ExpMomentumEMAHook', "EMAHook(ema_type='ExpMomentumEMA')")
    return {**new, **options}


def _linear_ema(hook: Mapping[str, Any], notes: Notes) -> Any:
    notes.problem(
        'custom_hooks.LinearMomentumEMAHook',
        "MMEngine's averaging warms up in another way. Choose custom_hooks=[dict(type='EMAHook', "
        "ema_type='ExpMomentumEMA' or 'MomentumAnnealingEMA', momentum=…)].",
    )
    return hook


def _ema(hook: Mapping[str, Any], notes: Notes) -> Any:
    """mmcv's own, which has the name of MMEngine's; the two share momentum and interval."""
    if 'warm_up' in hook or 'resume_from' in hook:
        notes.problem(
            'custom_hooks.EMAHook',
            "warm_up and resume_from are no options of MMEngine's. Write dict(type='EMAHook', momentum=…), and "
            'load_from and resume.',
        )
    return hook


def _sync_norm(hook: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    left = [key for key in ('num_last_epochs', 'interval') if key in hook]
    if left:
        notes.dropped(f'custom_hooks.SyncNormHook ({", ".join(left)})', 'it acts before each validation')
    return {key: value for key, value in hook.items() if key not in left}


def _random_size(hook: Mapping[str, Any], notes: Notes) -> Any:
    low, high = hook.get('ratio_range', (14, 26))
    notes.problem(
        'custom_hooks.SyncRandomSizeHook',
        'is done by the preprocessor. Write model.data_preprocessor.batch_augments=[dict('
        f"type='BatchSyncRandomResize', random_size_range=({32 * low}, {32 * high}), size_divisor=32, interval=10)].",
    )
    return hook


_TRANSLATIONS: dict[str, Callable[[Mapping[str, Any], Notes], Any]] = {
    'ExpMomentumEMAHook': _exponential_ema,
    'LinearMomentumEMAHook': _linear_ema,
    'EMAHook': _ema,
    'SyncNormHook': _sync_norm,
    'SyncRandomSizeHook': _random_size,
}
