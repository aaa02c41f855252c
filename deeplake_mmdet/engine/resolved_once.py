"""The first rank resolves the datasets of a run, and the others open exactly what it found.

Each by itself, ranks that start a moment apart could read two heads of a dataset that somebody is writing to.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from deeplake_mmdet.engine.datasets_in_config import PinnedDataset, find_datasets, pin_datasets
from deeplake_mmdet.engine.elastic import pin_as_before
from deeplake_mmdet.errors import ConfigError, DeepLakeMMDetError

_COMMIT = 'deeplake_commit_id'


def pin_together(config: MutableMapping[str, Any], splits: tuple[str, ...]) -> list[PinnedDataset]:
    """`pin_datasets`, with the commits of the first rank on all ranks.

    Args:
        config: The run's config; changed in place.
        splits: Which dataloaders are looked at.

    Raises:
        ConfigError, SourceError: As `pin_datasets`, on all ranks alike; or this rank's config has other datasets than
            that of the first.
    """
    from mmengine.dist import broadcast_object_list, get_rank, get_world_size

    pin_as_before(config, splits)
    if get_world_size() == 1:
        return pin_datasets(config, splits)
    told: list[Any] = [None]
    pinned: list[PinnedDataset] = []
    if get_rank() == 0:
        try:
            pinned = pin_datasets(config, splits)
            told = [{key: node.get(_COMMIT) for key, node in find_datasets(config, splits)}]
        except DeepLakeMMDetError as error:
            told = [error]
    broadcast_object_list(told)
    if isinstance(told[0], DeepLakeMMDetError):
        raise told[0]
    return pinned if get_rank() == 0 else _pin_as_told(config, splits, told[0])


def _pin_as_told(
    config: MutableMapping[str, Any], splits: tuple[str, ...], commits: MutableMapping[str, str]
) -> list[PinnedDataset]:
    own = dict(find_datasets(config, splits))
    if own.keys() != commits.keys():
        raise ConfigError(
            f'All ranks expected the datasets of the first rank, {sorted(commits)}, but got {sorted(own)}. Start every '
            'rank with the same config and the same arguments.'
        )
    for key, node in own.items():
        if commits[key]:
            node[_COMMIT] = commits[key]
    return pin_datasets(config, splits)
