"""Values of some rows of a version, in bounded pieces and bulk reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deeplake_mmdet.source.column_types import RESULTS, kind_of
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.numbered import SOURCE_ROW
from deeplake_mmdet.source.query import span_of
from deeplake_mmdet.source.same_rows import is_light

LIGHT_ROWS, HEAVY_ROWS = 8192, 16


def columns_of(source: SourceHandle) -> dict[str, Any]:
    """Type of each column."""
    return {column.name: column.dtype for column in source.selection().schema.columns if column.name != SOURCE_ROW}


def rows_at_once(dtype: Any) -> int:
    """How many rows of a column are read together: thousands of annotations, a few images."""
    return LIGHT_ROWS if is_light(dtype) else HEAVY_ROWS


def read_at(source: SourceHandle, column: str, positions: np.ndarray) -> list[Any]:
    """Values of one column.

    Args:
        source: A version or view, without a query.
        column: Name of the column.
        positions: Where the rows stand in `source.rows`, int (N,).

    Returns:
        N values: the stored bytes of images and the addresses of linked ones, else arrays, texts, or None.

    Raises:
        SourceError: The storage failed.
    """
    span, picked = span_of(positions)
    if not len(positions) or isinstance(span, list) or not is_light(columns_of(source)[column]):
        return source.read(column, source.rows[positions].tolist()) if len(positions) else []
    values = source.read_column(column, span.start, span.stop)
    return [values[place] for place in picked]


def pieces(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` items that cover `count` items."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def label_column(source: SourceHandle, named: str | None) -> str | None:
    """The column of labels: the one that is named, else the only one of its type that holds no results."""
    columns = {name: dtype for name, dtype in columns_of(source).items() if not name.startswith(RESULTS)}
    found = [name for name, dtype in columns.items() if kind_of(dtype) == 'ClassLabel']
    return named or (found[0] if len(found) == 1 else None)
