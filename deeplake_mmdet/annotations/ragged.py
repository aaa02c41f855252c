"""Ragged columns as one flat array and offsets, with the row named where a row does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.handle import SourceHandle

_STEP = 250_000  # rows at a time


def read_flat(source: SourceHandle, widths: Mapping[str, int | None]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read columns of one array a row, side by side.

    Args:
        source: The dataset.
        widths: Name of each column and its numbers an object: 4 for boxes; None for one number an object.

    Returns:
        For each column its values, shape (M, width) or (M,), dtype as stored; and int64 offsets of shape (N + 1,).

    Raises:
        AnnotationError: A row's array has not `width` numbers an object.
        SourceError: The storage failed.
    """
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {column: [] for column in widths}
    for start in range(0, len(source), _STEP):
        stop = min(start + _STEP, len(source))
        read = source.read_columns(list(widths), start, stop)
        for (column, width), values in zip(widths.items(), read, strict=True):
            part = _flatten(values, width) or _flatten_one_by_one(values, column, width, source.rows[start:stop])
            parts[column].append(part)
    return {column: _joined(parts[column], width) for column, width in widths.items()}


def _joined(parts: list[tuple[np.ndarray, np.ndarray]], width: int | None) -> tuple[np.ndarray, np.ndarray]:
    if not parts:
        return _nothing(width), np.zeros(1, np.int64)
    flat = parts[0][0] if len(parts) == 1 else np.concatenate([part for part, _ in parts])
    return flat, np.concatenate([[0], np.cumsum(np.concatenate([counts for _, counts in parts]))])


def _nothing(width: int | None) -> np.ndarray:
    return np.zeros((0, width) if width else (0,), np.float32)


def _flatten(values: Any, width: int | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Flat values and number of objects in each row, or None if the rows are not all of one plain form."""
    arrays = list(values)
    try:
        flat = np.concatenate(arrays)
    except ValueError:  # scalars, None, or different numbers of dimensions
        return None
    if flat.ndim != (2 if width else 1) or (width and flat.shape[1] != width):
        return None
    return flat, np.fromiter(map(len, arrays), np.int64, len(arrays))


def _flatten_one_by_one(values: Any, column: str, width: int | None, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    arrays = [_array(value, column, width, int(row)) for value, row in zip(values, rows, strict=True)]
    filled = [array for array in arrays if len(array)]
    flat = np.concatenate(filled) if filled else _nothing(width)
    return flat, np.fromiter(map(len, arrays), np.int64, len(arrays))


def _array(value: Any, column: str, width: int | None, row: int) -> np.ndarray:
    if value is None:
        return _nothing(width)
    array = np.asarray(value)
    if width is None:
        return array.reshape(-1)
    if array.size == 0:
        return _nothing(width)
    if array.size % width or array.shape[-1] != width:
        raise AnnotationError(
            f'Column {column!r}, row {row}: expected an array of shape (n, {width}), but got {array.shape}.'
        )
    return array.reshape(-1, width)


class Place:
    """Says where an object stands: ``Column 'boxes', row 17``.

    Args:
        column: Name of the column.
        rows: Row numbers, shape (N,).
        offsets: First object of each row, shape (N + 1,).
    """

    def __init__(self, column: str, rows: np.ndarray, offsets: np.ndarray) -> None:
        self.column, self.rows, self.offsets = column, rows, offsets

    def __call__(self, item: int) -> str:
        row = int(np.searchsorted(self.offsets, item, side='right') - 1)
        return f'Column {self.column!r}, row {int(self.rows[row])}'
