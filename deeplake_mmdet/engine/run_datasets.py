"""The Deep Lake datasets that a Runner has built, in any nesting of wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine.datasets_in_config import SPLITS


def run_datasets(runner: Any) -> Iterator[tuple[str, DeepLakeDataset]]:
    """Every Deep Lake dataset of the loops that were built, with its config key.

    Args:
        runner: An `mmengine.runner.Runner`. Asking it for a loop would build the loop, so its attributes are read.
    """
    for split in SPLITS:
        loader = getattr(getattr(runner, f'_{split}_loop'), 'dataloader', None)
        yield from _unwrapped(f'{split}_dataloader.dataset', getattr(loader, 'dataset', None))


def _unwrapped(key: str, dataset: Any) -> Iterator[tuple[str, DeepLakeDataset]]:
    if isinstance(dataset, DeepLakeDataset):
        yield key, dataset
    elif hasattr(dataset, 'datasets'):
        for i, member in enumerate(dataset.datasets):
            yield from _unwrapped(f'{key}.datasets.{i}', member)
    elif hasattr(dataset, 'dataset'):
        yield from _unwrapped(f'{key}.dataset', dataset.dataset)
