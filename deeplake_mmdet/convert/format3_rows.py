"""Rows of a format-3 dataset in batches, adapted to the columns that they go to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.convert.format3_columns import CopiedColumn
from deeplake_mmdet.source.columns import ImageColumn
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.images import ImageReader

BATCH = 64


def batches(source: SourceHandle, columns: Sequence[CopiedColumn], rows: np.ndarray) -> Iterator[list[dict[str, Any]]]:
    """Adapted rows.

    Args:
        source: The dataset.
        columns: What to read.
        rows: Row numbers, int64 of shape (N,).

    Yields:
        Up to `BATCH` rows, each a dict of column to value.

    Raises:
        SourceError, ImageReadError: Something cannot be read.
    """
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH].tolist()
        values = {column.name: _read(source, column, some) for column in columns}
        yield [{name: items[place] for name, items in values.items()} for place in range(len(some))]


def _read(source: SourceHandle, column: CopiedColumn, rows: list[int]) -> list[Any]:
    values = source.read(column.name, rows)
    if column.is_image:
        values = [_encoded(source, column, row, value) for row, value in zip(rows, values, strict=True)]
    return [column.adapt(value) for value in values]


def _encoded(source: SourceHandle, column: CopiedColumn, row: int, value: Any) -> bytes:
    """The bytes of an image as they are stored; plain pixels and tiles as a PNG file; nothing for an empty sample."""
    if value is None or not len(value) or (isinstance(value, np.ndarray) and not value.size):
        return b''
    if isinstance(value, bytes):
        return value
    return ImageReader(source, ImageColumn(column.name, None)).wrap(value, row, '.png')
