"""The one way into a dataset: typed columns, rows in bounded batches, checkpoints, views, or nothing at all.

Deep Lake commits a handle that merely goes out of scope, casts what does not fit a column, and garbles lists that mix
ints and floats. So values are checked against their column first, and every exit but :meth:`DatasetWriter.finish`
rolls back: to the last checkpoint if the import can go on from there, else all the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from deeplake_mmdet.convert.checkpoint import Checkpoint, Event
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.finishing import check_views
from deeplake_mmdet.convert.schema import Column
from deeplake_mmdet.convert.storage import ImportStoppedError, nbytes_of, storing
from deeplake_mmdet.convert.unfinished import UnfinishedImport
from deeplake_mmdet.convert.views import View

BATCH_ROWS = 512
BATCH_BYTES = 64 * 2**20


class DatasetWriter:
    """Writes one new dataset, or adds rows to one; use it in a ``with`` block that ends with :meth:`finish`.

    Args:
        destination: Where to, checked already.
        columns: The columns of a row, in order; by default `begin` tells them.
        metadata: Of the dataset, JSON-like: where the data came from.
        fingerprint: Of what is written, for an import that can be resumed; see `Checkpoint`.
        total: Images in all.
        restart: Give up an unfinished import that is at the destination.

    Attributes:
        rows: Rows handed on to Deep Lake since the import began, whichever run did so.
        checkpoint: The last one: where an import that was killed goes on.
        kept: Whether another run can go on, after an error.
    """

    def __init__(
        self,
        destination: Destination,
        columns: Sequence[Column] = (),
        metadata: Mapping[str, Any] | None = None,
        *,
        fingerprint: str = '',
        total: int = 0,
        restart: bool = False,
    ) -> None:
        self.columns = list(columns)
        self.metadata = dict(metadata or {})
        self.checkpoint = Checkpoint(fingerprint, total)
        self.rows = 0
        self.kept = False
        self._destination, self._restart = destination, restart
        self._unfinished: UnfinishedImport | None = None
        self._begun = self._finished = False
        self._batch: list[Mapping[str, Any]] = []
        self._batch_bytes = 0

    def __enter__(self) -> DatasetWriter:
        unfinished = UnfinishedImport(self._destination, self.checkpoint.fingerprint, restart=self._restart)
        self._unfinished = unfinished
        if unfinished.found:
            self.checkpoint = unfinished.found
            self.rows = self.checkpoint.rows - self.checkpoint.base
        if self.columns:
            try:
                self.begin(self.columns, self.metadata)
            except BaseException:
                unfinished.discard()
                raise
        return self

    @property
    def is_resumed(self) -> bool:
        """Whether an import goes on that another run began."""
        return self._branch.found is not None

    def begin(self, columns: Sequence[Column], metadata: Mapping[str, Any], first_id: int = 0) -> None:
        """Makes the columns, unless they are there.

        Args:
            columns: The columns of a row, in order.
            metadata: Of the dataset, written in the end.
            first_id: Of images that have no id of their own.

        Raises:
            ImportStoppedError: The storage failed, or is full.
        """
        self.columns, self.metadata, self._begun = list(columns), dict(metadata), True
        if not self.is_resumed:
            added = [] if self._destination.append else self.columns
            checkpoint = replace(self.checkpoint, first_id=first_id)
            self.checkpoint = self._branch.start(added, checkpoint)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._finished:
            return
        is_worth_it = bool(self.checkpoint.fingerprint) and (self.checkpoint.done > 0 or self.checkpoint.complete)
        may_go_on = isinstance(error, ImportStoppedError | KeyboardInterrupt) or self.checkpoint.complete
        self.kept = is_worth_it and (may_go_on or not self._begun)
        if self.kept or not self._begun:
            self._branch.leave()
        else:
            self._branch.discard()

    @property
    def events(self) -> tuple[Event, ...]:
        """Those of all checkpoints."""
        return self.checkpoint.events

    @property
    def is_short_of_room(self) -> bool:
        """Whether a checkpoint is due because the disk or the memory is about to be full; see `Room`."""
        return self._branch.room.is_short

    @property
    def _branch(self) -> UnfinishedImport:
        if self._unfinished is None:
            raise RuntimeError('DatasetWriter is used in a with block')
        return self._unfinished

    @property
    def stored(self) -> Any:
        """The Deep Lake dataset with the rows of all checkpoints."""
        return self._branch.rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one row: a value for each column, of the column's own numpy dtype.

        Raises:
            KeyError: When a column is missing or unknown.
            TypeError: When a value is not of its column's type.
            ImportStoppedError: The storage failed, or is full.
        """
        if row.keys() != {column.name for column in self.columns}:
            raise KeyError(
                f'DatasetWriter.append(row=) expected the columns {[c.name for c in self.columns]}, '
                f'but got {list(row)}. Give a value for each of them and no other.'
            )
        for column in self.columns:
            column.check(row[column.name])
        self._batch.append(row)
        self._batch_bytes += sum(nbytes_of(value) for value in row.values())
        if len(self._batch) >= BATCH_ROWS or self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            batch = {column.name: column.batch([row[column.name] for row in self._batch]) for column in self.columns}
            self._branch.append(batch, self._batch_bytes)
        self.rows += len(self._batch)
        self._batch, self._batch_bytes = [], 0

    def commit(self, done: int, events: Sequence[Event] = (), *, complete: bool = False) -> None:
        """Keeps all rows so far, so that a later run can go on behind them.

        Args:
            done: Images dealt with.
            events: Those since the last checkpoint.
            complete: Whether these are all rows.

        Raises:
            ImportStoppedError: The storage failed, or is full.
        """
        self._flush()
        rows = self.checkpoint.base + self.rows
        known = (*self.checkpoint.events, *events)
        checkpoint = replace(self.checkpoint, done=done, rows=rows, complete=complete, events=known)
        self._branch.commit(checkpoint)
        self.checkpoint = checkpoint

    def finish(self, message: str, views: Mapping[str, View], *, events: Sequence[Event] = ()) -> dict[str, int]:
        """Commits all rows as one version, saves the views at it, and puts the dataset in its place.

        Args:
            message: Of the commit.
            views: By name.
            events: Those since the last checkpoint.

        Returns:
            How many rows each view holds.

        Raises:
            ConversionError: When a view does not come back with the rows it was made for.
            ImportStoppedError: The storage failed, or is full.
        """
        if not self.checkpoint.complete:
            self._flush()
            missing = sum(event.left_out for event in (*self.events, *events))
            with storing(self._destination):
                check_views(self._branch.rows, views, missing)
            self.commit(self.checkpoint.total, events, complete=True)
        counts = self._branch.finish(self.checkpoint, message, views, self.metadata)
        self._finished = True
        return counts
