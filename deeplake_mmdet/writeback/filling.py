"""Filling columns of an opened dataset with the results of rows that come in any order, and proving what it holds.

Deep Lake takes slices and single rows. A fingerprint of each row is kept, by which all that was written is compared
after the commit; that is 16 bytes a row, and the only thing that grows with the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.convert.storage import nbytes_of
from deeplake_mmdet.errors import ColumnError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.versions.reading import pieces
from deeplake_mmdet.writeback.fingerprints import fingerprint
from deeplake_mmdet.writeback.stored_columns import StoredColumn

_ROWS_AT_ONCE = 1024
_READ_AT_ONCE = 16384  # each read of an updated column costs as much as reading all of it


class Filling:
    """The results of one run, on their way into a dataset.

    Args:
        columns: By the name of the result.
        count: Rows of the dataset.

    Attributes:
        written: Of each row, whether it has results, bool (count,).
    """

    def __init__(self, columns: Mapping[str, StoredColumn], count: int) -> None:
        self._columns = columns
        self.written = np.zeros(count, bool)
        nothing = np.frombuffer(fingerprint([None] * len(columns)), np.uint8)
        self._fingerprints = np.tile(nothing, (count, 1))

    def stored(self, values: Mapping[str, Sequence[Any]], count: int) -> dict[str, list[Any]]:
        """Values in the form in which they are stored, by the name of the column in the dataset.

        Raises:
            ColumnError: A column is missing, or has values of another kind or number.
        """
        found = {}
        for name, column in self._columns.items():
            items = values.get(name)
            if items is None or len(items) != count:
                got = 'none' if items is None else f'{len(items)} of them'
                raise ColumnError(f'Target.write(parts=) expected {count} values of {name!r} in a part, but got {got}.')
            found[column.name] = [column.stored(value) for value in items]
        return found

    def write(self, dataset: Any, rows: np.ndarray, values: Mapping[str, Sequence[Any]]) -> None:
        """Write rows.

        Args:
            dataset: The Deep Lake dataset.
            rows: Their numbers in it, int (n,), in any order; of one that is there twice, the last counts.
            values: Of `stored`: n values a column.
        """
        for place, row in enumerate(rows.tolist()):
            self._fingerprints[row] = np.frombuffer(fingerprint(items[place] for items in values.values()), np.uint8)
        self.written[rows] = True
        last = dict(zip(rows.tolist(), range(len(rows)), strict=True))
        ordered = np.array(sorted(last), np.int64)
        # Column by column, and no nulls in one slice with values: Deep Lake takes ever longer over anything else.
        stretches = [ordered[start:stop].tolist() for start, stop in _stretches(ordered)]
        for name, items in values.items():
            column = dataset[name]
            for span in stretches:
                _set(column, span[0], [items[last[row]] for row in span])

    def clear(self, dataset: Any, names: Sequence[str], *, others: Sequence[str] = ()) -> None:
        """Make null what no longer holds in columns that were there before.

        Args:
            dataset: The Deep Lake dataset.
            names: Columns in which the rows without results become null.
            others: Columns in which all rows do.
        """
        for chosen, rows in ((names, np.flatnonzero(~self.written)), (others, np.arange(len(self.written)))):
            for start, stop in _stretches(rows):
                for piece in pieces(stop - start, _ROWS_AT_ONCE):
                    for name in chosen:
                        _set(dataset[name], int(rows[start]) + piece.start, [None] * (piece.stop - piece.start))

    def difference(self, committed: SourceHandle) -> str:
        """What a committed version has that was not written; an empty text if nothing.

        Args:
            committed: The version, all its rows.

        Raises:
            SourceError: The storage failed.
        """
        if len(committed) != len(self.written):
            return f'it has {len(committed)} rows instead of {len(self.written)}'
        names = [column.name for column in self._columns.values()]
        for piece in pieces(len(committed), _READ_AT_ONCE):
            read = committed.read_columns(names, piece.start, piece.stop)
            for place, values in enumerate(zip(*read, strict=True)):
                row = piece.start + place
                if fingerprint(values) != self._fingerprints[row].tobytes():
                    return f'row {row} has other values than were written'
        return ''


def nbytes_of_values(values: Mapping[str, Sequence[Any]]) -> int:
    """How many bytes stored values are, about."""
    return sum(nbytes_of(value) for items in values.values() for value in items)


def _stretches(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where in ascending rows those that follow on one another begin and end."""
    if len(rows):
        edges = np.flatnonzero(np.diff(rows) != 1) + 1
        yield from zip([0, *edges.tolist()], [*edges.tolist(), len(rows)], strict=True)


def _set(column: Any, row: int, values: list[Any]) -> None:
    if len(values) == 1:
        column[row] = values[0]
    else:
        column[row : row + len(values)] = values
