"""Whether the data and the first weights of a record can still be opened, and are what they were."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.location import OPENED
from deeplake_mmdet.config.tensor_roles import TENSOR_ROLES
from deeplake_mmdet.errors import DeepLakeMMDetError, RevisionNotFoundError, SourceNotFoundError
from deeplake_mmdet.lineage.record import file_digest
from deeplake_mmdet.source.handle import SourceHandle

UNCHANGED, CHANGED, GONE, UNREADABLE, UNTOLD = 'unchanged', 'changed', 'gone', 'unreadable', 'untold'
_SAME = ('dataset_id', 'rows', 'digest')


@dataclass(frozen=True)
class DataStatus:
    """What became of the data of a run, or of the weights that it began with.

    Attributes:
        state: ``'unchanged'``, ``'changed'`` (it opens, with other rows, annotations or bytes), ``'gone'`` (there is
            no such dataset, revision or file), ``'unreadable'`` (the storage is not reached or refuses, or the data
            cannot be read; they may be what they were), or ``'untold'`` (an object of a program, which no words name).
        detail: What differs, or why it does not open; empty where nothing is to be said.
        head: Id of the newest commit of its branch, where it has moved on since; else None.
    """

    state: str
    detail: str = ''
    head: str | None = None

    def __str__(self) -> str:
        moved = f'the branch has moved on to {self.head}' if self.head else ''
        return ': '.join([self.state, '; '.join(filter(None, (self.detail, moved)))]).removesuffix(': ')


def dataset_config(entry: Mapping[str, Any], credentials: Any = None) -> dict[str, Any]:
    """The config of a `DeepLakeDataset` that reads what an entry of a record names.

    Args:
        entry: See `dataset_entry`.
        credentials: As ``deeplake_credentials``; by default the environment's.
    """
    pins = {f'deeplake_{name}': entry.get(name) for name in ('branch', 'commit_id', 'view_id', 'query')}
    return {
        'deeplake_path': entry['uri'],
        'deeplake_credentials': credentials,
        **{key: value for key, value in pins.items() if value},
        'deeplake_tensors': {role: entry['columns'].get(role, '') for role in TENSOR_ROLES},
        'deeplake_bbox_format': dict(entry['bbox_format']),
        'metainfo': {'classes': tuple(entry['classes'])},
        'on_error': entry.get('on_error') or 'raise',
        'filter_cfg': {'bbox_min_size': entry['bbox_min_size']} if entry.get('bbox_min_size') else None,
    }


def is_told(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a record names rows that any process can open; an object that a program had open cannot."""
    return bool(entry.get('commit_id')) and not str(entry.get('view_id') or '').startswith(f'{OPENED}://')


def data_status(entry: Mapping[str, Any], credentials: Any = None) -> DataStatus:
    """Open what an entry of a record names, and compare its rows and annotations.

    Args:
        entry: See `dataset_entry`.
        credentials: As ``deeplake_credentials``; by default the environment's.
    """
    if not is_told(entry):
        return DataStatus(UNTOLD, 'an object that the program had open; no words name its rows')
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset  # takes MMDetection's six seconds

    try:
        found = DeepLakeDataset(**dataset_config(entry, credentials)).metainfo['deeplake']
    except (SourceNotFoundError, RevisionNotFoundError) as error:
        return DataStatus(GONE, str(error))
    except DeepLakeMMDetError as error:
        return DataStatus(UNREADABLE, str(error))
    pairs = [(name, str(entry.get(name)), found[name]) for name in _SAME]
    differing = [f'{name} {then!r} -> {now!r}' for name, then, now in pairs if then != now]
    head = _head(entry, credentials)
    return DataStatus(
        CHANGED if differing else UNCHANGED, ', '.join(differing), head if head != entry['commit_id'] else None
    )


def weights_status(record: Mapping[str, Any]) -> DataStatus | None:
    """Compare the file of ``load_from`` with the one that the run began with.

    Returns:
        None of a run without, and of one that noted no digest: its weights are at an address.
    """
    file, expected = (record['run'].get(name) for name in ('load_from', 'load_from_sha256'))
    if not expected:
        return None
    if not os.path.isfile(file):
        return DataStatus(GONE, 'there is no such file')
    try:
        found = file_digest(file)
    except OSError as error:
        return DataStatus(UNREADABLE, str(error.strerror))
    return DataStatus(UNCHANGED) if found == expected else DataStatus(CHANGED, f'sha256 {expected} -> {found}')


def _head(entry: Mapping[str, Any], credentials: Any) -> str | None:
    """Id of the newest commit of the entry's branch; None where that is gone."""
    named = {'deeplake_path': entry['uri'], 'deeplake_branch': entry.get('branch'), 'deeplake_credentials': credentials}
    try:
        return SourceHandle.resolve(DatasetSpec.from_config(named)).revision.commit_id
    except DeepLakeMMDetError:
        return None
