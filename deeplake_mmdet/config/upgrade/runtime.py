"""What surrounds the training of MMDetection 2: checkpoints, logs, processes, seeds, what to resume, custom hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.inheritance import inherit
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.runtime_hooks import upgrade_checkpoint, upgrade_custom_hooks
from deeplake_mmdet.config.upgrade.runtime_log import upgrade_log

_LEFT_OVER = 'cudnn_benchmark'  # stock configs of MMDetection 3 have it too (ssd), to no effect
_MOVED = {
    'dist_params': ('env_cfg', 'dist_cfg'),
    'mp_start_method': ('env_cfg', 'mp_cfg', 'mp_start_method'),
    'opencv_num_threads': ('env_cfg', 'mp_cfg', 'opencv_num_threads'),
    'seed': ('randomness', 'seed'),
    'deterministic': ('randomness', 'deterministic'),
    'diff_seed': ('randomness', 'diff_rank_seed'),
    _LEFT_OVER: ('env_cfg', _LEFT_OVER),
}
_DROPPED = {
    'gpus': 'the launcher says how many processes there are',
    'device': 'MMEngine takes the GPU if there is one',
}
_PROBLEMS = {
    'profiler': "is a hook. Write custom_hooks=[dict(type='ProfilerHook', …)].",
    'profiler_config': "is a hook. Write custom_hooks=[dict(type='ProfilerHook', …)].",
    'plugin': 'is no key of MMDetection 3. Write custom_imports=dict(imports=[…]).',
    'plugin_dir': 'is no key of MMDetection 3. Write custom_imports=dict(imports=[…]).',
}


def upgrade_runtime(config: Any, notes: Notes) -> None:
    """Translate all keys around training. Comes last, as a translated config also gets its ``default_scope``.

    Args:
        config: An MMEngine config or mapping; changed in place. ``gpu_ids`` stays: the launcher reads it.
        notes: Takes what was translated, and problems.
    """
    upgrade_checkpoint(config, notes)
    upgrade_log(config, notes)
    _resume(config, notes)
    _workflow(config, notes)
    for key, why in _DROPPED.items():
        if key in config:
            config.pop(key)
            notes.dropped(key, why)
    _move(config, notes)
    for key, why in _PROBLEMS.items():
        if config.get(key):
            notes.problem(key, why)
    upgrade_custom_hooks(config, notes)
    if notes.lines and 'default_scope' not in config:
        config['default_scope'] = 'mmdet'
        notes.translated('no default_scope', "default_scope='mmdet'")


def _move(config: Any, notes: Notes) -> None:
    """Settings that have a new place; None was no setting."""
    for key, path in _MOVED.items():
        if key not in config or (key == _LEFT_OVER and not notes.lines):
            continue
        value = config.pop(key)
        if value is None:
            notes.dropped(key, 'it is None')
            continue
        for name in reversed(path[1:]):
            value = {name: value}
        config[path[0]] = inherit(config.get(path[0]), value)
        notes.translated(key, '.'.join(path))


def _resume(config: Any, notes: Notes) -> None:
    """A file to resume from is loaded with ``resume=True``; without a file, that means the latest one."""
    if 'resume_from' not in config and 'auto_resume' not in config:
        return
    checkpoint, latest = config.pop('resume_from', None), config.pop('auto_resume', False)
    if checkpoint:
        config['load_from'], config['resume'] = checkpoint, True
        notes.translated('resume_from', f'load_from={checkpoint!r}, resume=True')
    elif latest and config.get('load_from'):
        notes.problem(
            'auto_resume',
            'beside load_from, resume=True would resume from that file. Keep resume=True or load_from.',
        )
    elif latest:
        config['resume'] = True
        notes.translated('auto_resume=True', 'resume=True')
    else:
        if 'resume' not in config:
            config['resume'] = False
        notes.translated('resume_from=None', 'resume=False')


def _workflow(config: Any, notes: Notes) -> None:
    """Training alone is what the loops of MMDetection 3 do; a loss on validation data is not."""
    if 'workflow' not in config:
        return
    workflow = config.pop('workflow') or []
    if all(not isinstance(flow, Mapping) and flow[0] == 'train' for flow in workflow):
        notes.dropped('workflow', 'train_cfg and val_cfg say what runs')
        return
    notes.problem(
        'workflow',
        f'{workflow} computes losses on the validation data, which no loop of MMDetection 3 does. Leave it out; '
        'train_cfg.val_interval says when the metrics are computed.',
    )
