"""Saved views of a format-3 dataset as tags of its copy, on the same rows, proven by comparing them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.convert.format3_columns import CopiedColumn
from deeplake_mmdet.convert.format3_rows import batches
from deeplake_mmdet.convert.row_views import row_view
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.errors import DeepLakeMMDetError
from deeplake_mmdet.source.format3.files import Format3Files
from deeplake_mmdet.source.format3.views import read_views
from deeplake_mmdet.source.handle import SourceHandle


def copied_views(
    source: SourceHandle, files: Format3Files, columns: Sequence[CopiedColumn]
) -> tuple[dict[str, View], list[str]]:
    """The tags to make, and remarks on views that are not carried over, or not in their order.

    Args:
        source: What is copied.
        files: Its files.
        columns: What is copied of it.
    """
    views, remarks = {}, []
    for view_id, item in read_views(files).items():
        try:
            rows = _rows_of(source, view_id, item, columns)
        except DeepLakeMMDetError as error:
            remarks.append(f'view {view_id!r} is left out: {error}')
            continue
        if rows is None:
            remarks.append(
                f'view {view_id!r} is left out: its rows (of commit {item.get("source-dataset-version")!r}) are not, '
                'or not as they were, in the version that is copied'
            )
        elif view_id == 'main' or not len(rows):
            remarks.append(f'view {view_id!r} is left out: {"no tag can be called so" if len(rows) else "it is empty"}')
        else:
            unique = np.unique(rows)
            if not np.array_equal(unique, rows):
                remarks.append(f'view {view_id!r} has its rows once each, in the order of the dataset')
            views[view_id] = row_view(unique, [column.name for column in columns])
    return views, remarks


def _rows_of(
    source: SourceHandle, view_id: str, item: Mapping[str, Any], columns: Sequence[CopiedColumn]
) -> np.ndarray | None:
    """Row numbers of a view in the version that is copied; None if that has other rows there."""
    if source.revision.view_id is not None:
        return np.arange(len(source)) if source.revision.view_id == view_id else None
    shown = source.beside(view_id=view_id)
    rows = shown.rows
    if item.get('virtual-datasource') is False:
        noted = _noted_rows(item.get('source-dataset-index'), source.base_rows)
        if noted is None or len(noted) != len(shown):
            return None
        rows = noted
    elif shown.revision.commit_id == source.revision.commit_id:
        return rows
    if len(rows) and rows.max() >= source.base_rows:
        return None
    there, here = batches(shown, columns, shown.rows), batches(source, columns, rows)
    return rows if _equal(there, here) else None


def _noted_rows(index: Any, count: int) -> np.ndarray | None:
    """Row numbers that a view with its own data notes of its source."""
    if not isinstance(index, list) or len(index) != 1:
        return None
    entry = index[0]
    if isinstance(entry, Mapping):
        return np.arange(count)[slice(entry.get('start'), entry.get('stop'), entry.get('step'))]
    rows = np.asarray(entry, np.int64).reshape(-1)
    return rows if len(rows) and 0 <= rows.min() <= rows.max() < count else None


def _equal(one: Iterator[list[dict[str, Any]]], other: Iterator[list[dict[str, Any]]]) -> bool:
    return all(
        all(_same(a[name], b[name]) for name in a)
        for some, others in zip(one, other, strict=True)
        for a, b in zip(some, others, strict=True)
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, bytes | str):
        return bool(a == b)
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == 'f')
