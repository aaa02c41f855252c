"""``log_config``: its interval is the logger hook's, and its hooks are backends of the visualizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.inheritance import inherit
from deeplake_mmdet.config.upgrade.notes import Notes

_TEXT = ('ignore_last', 'interval_exp_name', 'out_dir', 'keep_local')
_BACKENDS: dict[str, tuple[str, dict[str, str]]] = {
    'TensorboardLoggerHook': ('TensorboardVisBackend', {'log_dir': 'save_dir'}),
    'WandbLoggerHook': (
        'WandbVisBackend',
        {'init_kwargs': 'init_kwargs', 'commit': 'commit', 'define_metric_cfg': 'define_metric_cfg'},
    ),
    'MMDetWandbHook': ('WandbVisBackend', {'init_kwargs': 'init_kwargs', 'commit': 'commit'}),
    'MlflowLoggerHook': ('MLflowVisBackend', {'exp_name': 'exp_name', 'tags': 'tags', 'params': 'params'}),
    'ClearMLLoggerHook': ('ClearMLVisBackend', {'init_kwargs': 'init_kwargs'}),
    'NeptuneLoggerHook': ('NeptuneVisBackend', {'init_kwargs': 'init_kwargs'}),
    'DvcliveLoggerHook': ('DVCLiveVisBackend', {}),
}
_DROPPED = {
    'by_epoch': 'log_processor.by_epoch counts for all',
    'interval': 'all backends log at default_hooks.logger.interval',
    'ignore_last': 'default_hooks.logger.ignore_last counts for all',
    'reset_flag': 'the log buffer keeps a window of its own',
    'with_step': 'the step is always logged',
    'log_artifact': 'the log stays in the work dir',
    'out_suffix': 'the log stays in the work dir',
    'file_client_args': 'the log stays in the work dir',
    'log_model': 'checkpoints stay in the work dir',
    'model_file': 'checkpoints stay in the work dir',
    'log_checkpoint_metadata': 'checkpoints stay in the work dir',
}


def upgrade_log(config: Any, notes: Notes) -> None:
    """Translate ``log_config``.

    Args:
        config: An MMEngine config or mapping; changed in place.
        notes: Takes what was translated, and problems.
    """
    if 'log_config' not in config:
        return
    given = inherit(None, config.pop('log_config') or {})
    logger = {'interval': given['interval']} if 'interval' in given else {}
    backends = []
    for hook in given.get('hooks', ()):
        options = dict(hook)
        kind = str(options.pop('type'))
        if kind == 'TextLoggerHook':
            logger.update({key: options.pop(key) for key in ('interval', *_TEXT) if key in options})
            _drop(f'log_config.{kind}', options, notes)
        else:
            backends += _backend(config, kind, options, notes)
    if logger:
        config['default_hooks'] = inherit(config.get('default_hooks'), {'logger': {'type': 'LoggerHook', **logger}})
        notes.translated('log_config', f'default_hooks.logger ({", ".join(logger)})')
    if 'hooks' in given:
        _visualize(config, backends, notes)


def _backend(config: Any, kind: str, options: dict[str, Any], notes: Notes) -> list[dict[str, Any]]:
    """The visualizer's backend for one logger hook; none after a problem."""
    where = f'log_config.{kind}'
    if kind not in _BACKENDS:
        notes.problem(where, 'has no backend in MMDetection 3. Write visualizer.vis_backends=[dict(type=…)].')
        return []
    if kind == 'MMDetWandbHook':
        _wandb_extras(config, options, notes)
    backend, keys = _BACKENDS[kind]
    given = {new: options.pop(old) for old, new in keys.items() if options.get(old) is not None}
    _drop(where, {key: value for key, value in options.items() if key not in keys}, notes)
    return [{'type': backend, **given}]


def _wandb_extras(config: Any, options: dict[str, Any], notes: Notes) -> None:
    """Images are drawn by a hook of their own; checkpoints are not uploaded."""
    if options.pop('log_checkpoint', False):
        notes.problem(
            'log_config.MMDetWandbHook.log_checkpoint',
            "MMDetection 3 uploads no checkpoints. Leave it out, and upload the work dir's with `wandb artifact put`.",
        )
    count, score = options.pop('num_eval_images', 100), options.pop('bbox_score_thr', 0.3)
    if count:
        drawn = {'type': 'DetVisualizationHook', 'draw': True, 'score_thr': score}
        config['default_hooks'] = inherit(config.get('default_hooks'), {'visualization': drawn})
        notes.translated(
            'log_config.MMDetWandbHook.num_eval_images', 'default_hooks.visualization.draw (every 50th batch)'
        )


def _drop(where: str, options: Mapping[str, Any], notes: Notes) -> None:
    for key in options:
        if key in _DROPPED:
            notes.dropped(f'{where}.{key}', _DROPPED[key])
        else:
            notes.problem(f'{where}.{key}', 'is unknown to MMDetection 3. Write it into visualizer.vis_backends.')


def _visualize(config: Any, backends: list[dict[str, Any]], notes: Notes) -> None:
    """The list of hooks replaced the base's, and so does the list of backends."""
    backends = [{'type': 'LocalVisBackend'}, *backends]
    visualizer = dict(config.get('visualizer') or {'type': 'DetLocalVisualizer', 'name': 'visualizer'})
    config['visualizer'] = {**visualizer, 'vis_backends': backends}
    if 'vis_backends' in config:
        config['vis_backends'] = backends
    notes.translated('log_config.hooks', f'visualizer.vis_backends ({", ".join(one["type"] for one in backends)})')
