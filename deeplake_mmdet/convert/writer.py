"""The one way into a new dataset: typed columns, rows in bounded batches, one commit, views, or nothing at all.

Deep Lake commits a handle that merely goes out of scope, casts what does not fit a column, and garbles lists that mix
ints and floats. So values are checked against their column first, and every exit but :meth:`DatasetWriter.finish`
rolls back and removes what was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import deeplake
import numpy as np

from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.schema import Column
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.errors import ConversionError

BATCH_ROWS = 512
BATCH_BYTES = 64 * 2**20


class DatasetWriter:
    """Writes one new dataset; use it in a ``with`` block that ends with :meth:`finish`.

    Args:
        destination: Where to, checked already.
        columns: The columns, in order.
        metadata: Of the dataset, JSON-like: where the data came from.
    """

    def __init__(
        self, destination: Destination, columns: Sequence[Column], metadata: Mapping[str, Any] | None = None
    ) -> None:
        self.columns = list(columns)
        self.metadata = dict(metadata or {})
        self.rows = 0
        self._destination = destination
        self._dataset: Any = None
        self._finished = False
        self._batch: list[Mapping[str, Any]] = []
        self._batch_bytes = 0

    def __enter__(self) -> DatasetWriter:
        try:
            self._dataset = deeplake.create(self._destination.begin())
            self._declare()
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._finished:
            self._abandon()

    def _declare(self) -> None:
        for column in self.columns:
            self._dataset.add_column(column.name, column.type)
            for key, value in column.metadata.items():
                self._dataset[column.name].metadata[key] = value
        for key, value in self.metadata.items():
            self._dataset.metadata[key] = value

    def _abandon(self) -> None:
        if self._dataset is not None:
            self._dataset.rollback()
            with suppress(Exception):  # a handle that never committed commits in the background when it is dropped, and
                self._dataset.commit()  # so recreates its folder; there is nothing left to commit, or to fail at, here
            self._dataset = None
        self._destination.discard()

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one row: a value for each column, of the column's own numpy dtype.

        Raises:
            KeyError: When a column is missing or unknown.
            TypeError: When a value is not of its column's type.
        """
        if row.keys() != {column.name for column in self.columns}:
            raise KeyError(
                f'DatasetWriter.append(row=) expected the columns {[c.name for c in self.columns]}, '
                f'but got {list(row)}. Give a value for each of them and no other.'
            )
        for column in self.columns:
            column.check(row[column.name])
        self._batch.append(row)
        self._batch_bytes += sum(_nbytes(value) for value in row.values())
        if len(self._batch) >= BATCH_ROWS or self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            batch = {column.name: column.batch([row[column.name] for row in self._batch]) for column in self.columns}
            self._dataset.append(batch)
        self.rows += len(self._batch)
        self._batch, self._batch_bytes = [], 0

    def finish(self, message: str, views: Mapping[str, View]) -> None:
        """Commits all rows once, saves the views at that version, and puts the dataset in its place.

        Raises:
            ConversionError: When a view does not come back with the rows it was made for.
        """
        self._flush()
        self._dataset.commit(message)
        for name, view in views.items():
            self._dataset.query(view.query).tag(name)
            found = len(self._dataset.tags[name].open())
            if found != view.rows:
                raise ConversionError(
                    f'convert(dst=) expected the view {name!r} to hold {view.rows} rows, but got '
                    f'{found}. Please report this, with the version of deeplake.'
                )
        self._dataset = None  # closes it, before its folder moves
        self._destination.keep()
        self._finished = True


def _nbytes(value: Any) -> int:
    return value.nbytes if isinstance(value, np.ndarray | np.generic) else len(value)
