"""Giving a config the sampler and the train loop that a run can be resumed with at any iteration.

Both take the place of MMEngine's own only. On one rank they give the batches that those give; whatever else a config
names is its author's choice and stays.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from deeplake_mmdet.config.dicts import type_name
from deeplake_mmdet.engine.datasets_in_config import find_datasets

_OURS = 'DeepLakeSampler'
_SAMPLERS = ('DefaultSampler', 'InfiniteSampler')
_LOOPS = {'EpochBasedTrainLoop': 'DeepLakeEpochTrainLoop', 'IterBasedTrainLoop': 'DeepLakeIterTrainLoop'}


def let_resume(config: MutableMapping[str, Any]) -> list[str]:
    """Write our sampler and our train loop into a config that trains on Deep Lake data.

    Args:
        config: The run's config; changed in place.

    Returns:
        What was changed, or why not, for the log.
    """
    loader, loop = config.get('train_dataloader'), config.get('train_cfg')
    if not loader or not loop or not any(True for _ in find_datasets(config, ('train',))):
        return []
    kind = _loop(loop)
    if kind in _LOOPS.values():
        return []
    kept = _not_ours(loader, kind)
    if kept:
        return [f'train_cfg: a run that is interrupted resumes at the beginning of an epoch, because of {kept}']
    changes = _put_sampler(loader)
    loop.pop('by_epoch', None)
    loop['type'] = _LOOPS[kind]
    return [*changes, f'train_cfg.type: {kind} -> {_LOOPS[kind]}, which resumes at any iteration']


def _loop(train_cfg: MutableMapping[str, Any]) -> str:
    """The name of the train loop that MMEngine would take."""
    if 'by_epoch' in train_cfg:
        return 'EpochBasedTrainLoop' if train_cfg['by_epoch'] else 'IterBasedTrainLoop'
    return type_name(train_cfg)


def _not_ours(loader: MutableMapping[str, Any], loop: str) -> str | None:
    """What keeps a config from our loops: a part that is not of those whose place ours take."""
    sampler, batches = loader.get('sampler') or {}, loader.get('batch_sampler') or {}
    if loop not in _LOOPS:
        return f'train_cfg.type {loop}'
    known = {'type', '_scope_', 'shuffle', 'seed'}
    if type_name(sampler) != _OURS and not (type_name(sampler) in _SAMPLERS and known >= set(sampler)):
        return f'train_dataloader.sampler {type_name(sampler)}'
    if batches and type_name(batches) != 'AspectRatioBatchSampler':
        return f'train_dataloader.batch_sampler {type_name(batches)}'
    return None


def _put_sampler(loader: MutableMapping[str, Any]) -> list[str]:
    sampler, batches = loader['sampler'], loader.get('batch_sampler')
    before = type_name(sampler)
    sampler['type'] = _OURS
    changes = [] if before == _OURS else [f'train_dataloader.sampler.type: {before} -> {_OURS}']
    if batches:
        sampler['group_by_aspect_ratio'] = True
        loader['batch_sampler'] = None
        if 'drop_last' in batches:
            loader['drop_last'] = batches['drop_last']
        changes.append('train_dataloader.batch_sampler: AspectRatioBatchSampler -> sampler.group_by_aspect_ratio=True')
    return changes
