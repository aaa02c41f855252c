"""An opened Deep Lake object as the data of a run: the config keys by which a `DeepLakeDataset` reads its rows.

A run can be repeated, and its processes can open the data themselves, if words name the data. So the words are sought
first: path, branch, commit, view and query, tried one after another, and believed only if what they open is the same,
compared row by row. Where no words do, the object itself is kept (`deeplake_mmdet.source.live`).

Deep Lake does not tell the version of a view. So equal annotations alone are believed only where no commit of the
branch changed or removed stored rows; elsewhere every image is compared byte for byte.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from typing import Any

from deeplake_mmdet.config.credentials import stash
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import (
    ConfigError,
    DeepLakeMMDetError,
    EmptyDatasetError,
    QueryError,
    RevisionNotFoundError,
    SourceError,
)
from deeplake_mmdet.source.candidates import VIEWS_OF_FORMAT_3, origin_of, pins_of, rewrites
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.source.fold import is_random
from deeplake_mmdet.source.format3.views import ROWS
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.live import LiveObject, keep, release
from deeplake_mmdet.source.recipe import Opened
from deeplake_mmdet.source.same_rows import SAMPLE, difference
from deeplake_mmdet.source.traces import Trace, trace_of

__all__ = ['adopt', 'release']

_TAG_IT = "Save what it shows as a view (view.tag('name')), and give deeplake_path and deeplake_view_id."


def adopt(
    dataset: Any, tensors: Mapping[str, str] | None = None, *, argument: str = 'adopt(dataset=)'
) -> dict[str, Any]:
    """The ``deeplake_*`` keys by which a config names an opened dataset or view.

    Which of two ways was taken, and why, is said in the log. Where the keys name storage, they pin a commit. Where they
    name the object itself (``deeplake_path='opened://…'``), it is kept until `release` of that path, and only this
    process and those forked from it can read it.

    Args:
        dataset: What ``deeplake.open``, ``deeplake.open_read_only``, ``deeplake.query``, ``.query`` of a dataset or
            view, or ``.open`` of a branch, a version or a tag returned.
        tensors: Role to column, as ``deeplake_tensors``.
        argument: How the caller names `dataset`, for messages.

    Returns:
        ``deeplake_path`` and whatever else is needed. No secret is in it: credentials are a reference into the vault.

    Raises:
        ConfigError: It is no such object, or `tensors` is malformed.
        EmptyDatasetError: It has no row.
        SourceError: It cannot be read.
    """
    _check(dataset, argument)
    trace = trace_of(dataset)
    _check_rows(dataset, trace, argument)
    reference = stash(trace.credentials)
    common: dict[str, Any] = {'deeplake_credentials': reference} if reference else {}
    common |= {'deeplake_tensors': dict(tensors)} if tensors else {}
    origin = origin_of(trace, reference)
    key = keep(_live(dataset, trace, origin))
    try:
        live = _resolve({'deeplake_path': key, **common})
        if not len(live):
            raise EmptyDatasetError(f'{argument} expected at least one row, but got none: {live.revision}.')
        found, remark = _named(trace, origin, live, common)
    except BaseException:
        release(key)
        raise
    if found is None:
        _log(f'{argument} is read as this process has it open, because no keys name its rows: {remark}', warn=True)
        return {'deeplake_path': key, **common}
    release(key)
    _log(f'{argument} is {remark}')
    return found


def _check(dataset: Any, argument: str) -> None:
    import deeplake

    if isinstance(dataset, (deeplake.Dataset, deeplake.ReadOnlyDataset, deeplake.DatasetView)):
        return
    hint = ''
    if isinstance(dataset, (str, os.PathLike)):
        hint = " Open it with deeplake.open_read_only(…), or name it in the config: deeplake_path='…'."
    elif isinstance(dataset, (deeplake.Column, deeplake.ColumnView)):
        hint = ' Give the dataset that the column belongs to.'
    elif isinstance(dataset, (deeplake.RowRange, deeplake.RowRangeView)):
        hint = " Select the rows by a query, such as .query('select * limit 100')."
    raise ConfigError(
        f'{argument} expected an opened Deep Lake dataset or view, as deeplake.open(…), deeplake.open_read_only(…) or '
        f'.query(…) returns it, but got an object of type {type(dataset).__name__}.{hint}'
    )


def _check_rows(dataset: Any, trace: Trace, argument: str) -> None:
    uri, _, view = trace.uri.partition(VIEWS_OF_FORMAT_3)
    if view and [column.name for column in dataset.schema.columns] == [ROWS]:
        raise ConfigError(
            f'{argument} expected rows, but got the bare row numbers of the saved view {view!r} of format 3. Name it '
            f'in the config: deeplake_path={uri!r}, deeplake_view_id={view!r}.'
        )


def _live(dataset: Any, trace: Trace, origin: Opened | None) -> LiveObject:
    return LiveObject(
        dataset,
        trace.description,
        uri=trace.uri,
        dataset_id=trace.dataset_id or (origin.dataset_id if origin else ''),
        branch=trace.branch or (origin.branch if origin else ''),
        commit_id=trace.commit_id,
        # Deep Lake opens format 3 by queries only, so the head of a branch is not found.
        format=3 if origin is None and trace.source is not None and not trace.uri.startswith('mem://') else 4,
    )


def _resolve(keys: Mapping[str, Any]) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config(keys))


def _named(
    trace: Trace, origin: Opened | None, live: SourceHandle, common: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str]:
    """Keys that name the same rows, and what they name; or None, and why there are none."""
    if trace.uncommitted:
        return None, 'it has changes that are in no commit. Call its commit() first.'
    if trace.uri.startswith('mem://'):
        return None, 'its data is in memory. Create the dataset in a folder.'
    all_images = origin is not None and trace.is_view and rewrites(origin)
    # Some columns of format 3 cannot be read at all; those that the run does not need stay untouched.
    names = _mapped(live, common) if origin is None else None
    tried = []
    for pins in pins_of(trace, origin):
        keys = {'deeplake_path': trace.uri, **pins, **common}
        try:
            handle = _resolve(keys)
            differs = _elsewhere(handle, trace, origin) or difference(live, handle, all_images=all_images, names=names)
        except (ConfigError, QueryError, RevisionNotFoundError) as error:
            differs = str(error)
        except DeepLakeMMDetError as error:
            if origin is None:  # what the checks of format 3 refuse, the object itself would read without a word
                raise
            differs = str(error)
        if not differs:
            images = 'all' if all_images or len(live) <= SAMPLE else f'{SAMPLE} of {len(live)}'
            remark = f'{handle.revision}; all annotations and {images} images were compared.'
            return {**keys, 'deeplake_commit_id': handle.revision.commit_id}, remark
        tried.append(f'{", ".join(map(repr, pins.values())) or trace.uri} gives {differs}')
    if is_random(trace.queries):
        tried = ['its query draws rows by lot']
    elif origin is None and tried:
        raise SourceError(
            f'{trace.uri} is of format 3, and no keys name these rows: {"; ".join(tried)}. The object itself is not '
            'read, because Deep Lake 4 reads some data of format 3 wrongly and does not say so. Give deeplake_path and '
            'deeplake_commit_id, deeplake_branch, deeplake_view_id or deeplake_query instead of the object.'
        )
    reason = tried[0].rstrip('.') if tried else 'Deep Lake does not tell where it comes from'
    return None, f'{reason}. {_TAG_IT if origin else ""}'.rstrip()  # format 3 cannot be tagged


def _mapped(live: SourceHandle, common: Mapping[str, Any]) -> Collection[str] | None:
    """The columns that the run reads; None if that is not clear yet."""
    try:
        return map_columns(live.base(), live.selection(), common.get('deeplake_tensors', {})).names.values()
    except DeepLakeMMDetError:
        return None


def _elsewhere(handle: SourceHandle, trace: Trace, origin: Opened | None) -> str:
    """Why a candidate is not even of the object's dataset and branch."""
    found = handle.revision
    if trace.dataset_id and found.dataset_id != trace.dataset_id:
        return 'another dataset'
    return 'rows of another branch' if origin and found.branch != origin.branch else ''


def _log(text: str, *, warn: bool = False) -> None:
    from mmengine.logging import print_log

    print_log(text, logger='current', level=logging.WARNING if warn else logging.INFO)
