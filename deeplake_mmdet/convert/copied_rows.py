"""Rows of a dataset in the order of a selection, with the images behind links, read in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deeplake_mmdet.convert.copied_columns import SourceColumn
from deeplake_mmdet.convert.storage import nbytes_of
from deeplake_mmdet.errors import ImageReadError
from deeplake_mmdet.source.handle import SourceHandle

BATCH_BYTES = 64 * 2**20
_FIRST_ROWS, _MOST_ROWS, _GROWTH = 4, 512, 4


def copied_rows(
    source: SourceHandle, columns: Sequence[SourceColumn], start: int
) -> Iterator[tuple[int, dict[str, Any] | ImageReadError]]:
    """The rows of a selection from some position on.

    Args:
        source: What is copied.
        columns: What to read of it.
        start: The first position.

    Yields:
        A position, and a value for each column, or the error that an image of this row has.

    Raises:
        SourceError: A storage failed.
        ColumnError: A row has no value where its column needs one.
    """
    count = _FIRST_ROWS
    while start < len(source):
        stop = min(start + count, len(source))
        values = _read(source, columns, start, stop)
        used = max(1, sum(nbytes_of(value) for items in values.values() for value in items))
        for place in range(stop - start):
            row = {name: items[place] for name, items in values.items()}
            yield start + place, next((value for value in row.values() if isinstance(value, ImageReadError)), row)
        count = max(1, min(_MOST_ROWS, _GROWTH * count, BATCH_BYTES * (stop - start) // used))
        start = stop


def _read(source: SourceHandle, columns: Sequence[SourceColumn], start: int, stop: int) -> dict[str, list[Any]]:
    """All values of consecutive rows, by column."""
    rows = source.rows[start:stop].tolist()
    plain = [column for column in columns if column.images is None]
    found = source.read_columns([column.name for column in plain], start, stop) if plain else []
    values = {column.name: list(items) for column, items in zip(plain, found, strict=True)}
    for column in plain:
        for row, value in zip(rows, values[column.name], strict=True):
            column.refuse_missing(value, row)
    return {column.name: values[column.name] if column.images is None else _images(column, rows) for column in columns}


def _images(column: SourceColumn, rows: list[int]) -> list[bytes | ImageReadError]:
    """Encoded images; nothing where nothing is stored."""
    assert column.images is not None
    if column.is_link:
        return column.images.encoded(rows)
    stored = column.images.handle.read(column.name, rows, bulk=True)
    return [column.images.checked(value, row) if value else b'' for value, row in zip(stored, rows, strict=True)]
