"""The images of one split as they are scored: the geometry of the test pipeline, the annotations of the training's."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from deeplake_mmdet.config.dicts import type_name
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine.datasets_in_config import find_datasets, other_datasets
from deeplake_mmdet.engine.watched_loader import watched
from deeplake_mmdet.errors import ConfigError

_WINDOW = 1024  # images that a rank scores between two meetings of all ranks, at most
_PACK = 'PackDetInputs'
_META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'sample_idx')


def scored_dataset(config: Any, split: str) -> DeepLakeDataset:
    """All rows of a split's dataset, those included that its filters leave out of training.

    Args:
        config: A config that went through `deeplake_mmdet.engine.prepare.prepare` for the split.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ConfigError: The split has not one Deep Lake dataset, or the config no pipeline of a test.
        SourceError, ColumnError, AnnotationError: The dataset cannot be read.
    """
    from mmengine.registry import init_default_scope

    init_default_scope(config.get('default_scope') or 'mmdet')
    found = list(find_datasets(config, (split,)))
    if len(found) != 1:
        keys = ', '.join(key for key, _ in found) or 'none'
        raise ConfigError(
            f'score expected one Deep Lake dataset in {split}_dataloader, but got {keys}. Give a config of one: '
            f'--cfg-options {split}_dataloader.dataset.deeplake_path=…'
        )
    given = {name: value for name, value in found[0][1].items() if name not in ('type', 'pipeline', 'test_mode')}
    dataset = DeepLakeDataset(**given, pipeline=scoring_pipeline(config), test_mode=True)
    dataset.full_init()
    return dataset


def scoring_pipeline(config: Any) -> list[Mapping[str, Any]]:
    """The test pipeline, in which the annotations are loaded first, so that they are scaled with the image.

    Args:
        config: A prepared config.

    Raises:
        ConfigError: It has no test pipeline that packs a sample.
    """
    steps = copy.deepcopy([step for step in _test_pipeline(config) if 'Annotations' not in type_name(step)])
    if not steps or type_name(steps[-1]) != _PACK:
        raise ConfigError(
            f'score expected test_dataloader.dataset.pipeline to end with {_PACK}, but got '
            f'{[type_name(step) for step in steps]}. Give the pipeline by which the detector is tested.'
        )
    steps[-1]['meta_keys'] = tuple(dict.fromkeys([*steps[-1].get('meta_keys', ()), *_META]))
    loads = [i for i, step in enumerate(steps) if type_name(step).startswith('LoadImage')]
    steps.insert(loads[0] + 1 if loads else 0, _annotation_step(config))
    return steps


def _test_pipeline(config: Any) -> list[Any]:
    for split in ('test', 'val'):
        loader = config.get(f'{split}_dataloader') or {}
        nodes = [node for _, node in find_datasets(config, (split,))]
        nodes += [node for _, node in other_datasets(split, loader.get('dataset'))]
        for node in nodes:
            if node.get('pipeline'):
                return list(node['pipeline'])
    return list(config.get('test_pipeline') or ())


def _annotation_step(config: Any) -> Mapping[str, Any]:
    """How the training loads annotations: with masks, or without."""
    for step in _steps((config.get('train_dataloader') or {}).get('dataset')):
        if type_name(step) == 'LoadAnnotations':
            return dict(step)
    return {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': _has_mask_head(config.get('model'))}


def _steps(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every step of the pipelines below a dataset dict."""
    if isinstance(node, Mapping):
        yield from (step for step in node.get('pipeline') or () if isinstance(step, Mapping))
        for child in (node.get('dataset'), *(node.get('datasets') or ())):
            yield from _steps(child)


def _has_mask_head(node: Any) -> bool:
    if isinstance(node, Mapping):
        return any('mask_head' in str(key) or _has_mask_head(child) for key, child in node.items())
    return False


def windows(dataset: DeepLakeDataset, batch_size: int, rank: int, world: int) -> list[list[list[int]]]:
    """The samples in windows of neighbouring rows, and the windows of one rank in batches of images of one size.

    Neighbouring rows lie side by side in the storage; images of one size can go through the backbone together.

    Args:
        dataset: The dataset.
        batch_size: Images a batch, at most.
        rank, world: Of this process, and their number.

    Returns:
        For each window of this rank its batches, each of indices of samples.
    """
    count = len(dataset)
    size = max(1, min(_WINDOW, -(-count // world)))
    sizes, found = dataset.sample_sizes, []
    for start in range(rank * size, count, world * size):
        places = np.arange(start, min(start + size, count))
        order = places[np.lexsort((*sizes[places].T[::-1],))]
        ends = np.flatnonzero((np.diff(sizes[order], axis=0) != 0).any(axis=1)) + 1
        runs = np.split(order, ends)
        found.append([run[i : i + batch_size].tolist() for run in runs for i in range(0, len(run), batch_size)])
    return found


def scoring_loader(dataset: DeepLakeDataset, batches: list[list[int]], workers: int) -> Any:
    """A dataloader of given batches, each as MMDetection's models take it.

    Args:
        dataset: The dataset.
        batches: Indices of samples.
        workers: Number of processes that load; 0 for none.
    """
    from mmengine.dataset import pseudo_collate
    from torch.utils.data import DataLoader

    return watched(DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=pseudo_collate))
