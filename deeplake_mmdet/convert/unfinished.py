"""A dataset in the making: its rows are committed on a branch, and reach the main branch in one merge.

So the main branch never shows a part of an import, here or on remote storage, and a killed import goes on at its last
checkpoint. The merge, the saved views, the rename and the end of the branch are taken up by the next run when this one
is killed among them: each is skipped when it is done already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from deeplake_mmdet.convert.checkpoint import Checkpoint
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.finishing import finish_import, is_merged
from deeplake_mmdet.convert.schema import Column
from deeplake_mmdet.convert.storage import Room, mend_counters, patiently, storing
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.meta_log import restore_meta_log
from deeplake_mmdet.source.unfinished import UNFINISHED


class UnfinishedImport:
    """The branch that an import writes to. It is opened if one with the same fingerprint is there.

    Args:
        destination: Where to; it is taken from here on, until `finish`, `leave` or `discard`.
        fingerprint: See `Checkpoint`.
        restart: Give up an unfinished import that is there, whatever it is.

    Attributes:
        rows: The Deep Lake dataset of the branch; None before `start`, unless an import goes on.
        found: Where it goes on; None when it begins.
        room: On the disk.

    Raises:
        ConversionError: Another import to this destination is unfinished or under way.
        ImportStoppedError: The storage failed.
    """

    def __init__(self, destination: Destination, fingerprint: str = '', *, restart: bool = False) -> None:
        self._destination = destination
        self._fingerprint = fingerprint
        self._url = destination.workplace
        self._main: Any = None
        self._created = False
        self._last: dict[str, bytes] = {}  # of the last row since the commit before
        self.room = Room(destination)
        self.rows: Any = None
        self.found: Checkpoint | None = None
        destination.begin()
        try:
            with storing(destination):
                if restart or not self._go_on():
                    self._make_room(restart)
        except BaseException:
            self.leave()
            raise

    def _go_on(self) -> bool:
        """Opens the import of the same fingerprint, if there is one."""
        destination = self._destination
        for url in dict.fromkeys((destination.workplace, destination.url)):
            main, branch, noted = self._look(url)
            found = noted or Checkpoint()
            at_work = url == destination.workplace or found.is_whole
            if self._fingerprint and found.fingerprint == self._fingerprint and at_work:
                if len(branch) != found.rows:
                    self._refuse_other(f'one that holds {len(branch)} rows where it noted {found.rows}')
                self._url, self._main, self.rows = url, main, branch
                self.found, self._created = found, found.created
                return True
        return False

    def _look(self, url: str) -> tuple[Any, Any, Checkpoint | None]:
        """The dataset, the branch, and the last checkpoint on it; None for what there is not."""
        destination = self._destination
        try:
            if destination.is_local:
                mend_counters(Path(url))
            restore_meta_log(url, destination.credentials)
            main = destination.open(url, writable=True)
        except Exception:
            if not (destination.is_hidden and url == destination.workplace):
                raise
            main = None  # a process was killed when it had hardly begun
        if main is None or UNFINISHED not in main.branches.names():
            return main, None, None
        branch = main.branches[UNFINISHED].open()
        messages = [version.message for version in branch.history]
        return main, branch, next(filter(None, map(Checkpoint.parse, reversed(messages))), None)

    def _make_room(self, restart: bool) -> None:
        """Clears the way for a new import: refuses to give up another one, unless that is what was asked for."""
        destination = self._destination
        main, branch, found = self._look(destination.workplace)
        given_up = restart or (destination.overwrite and not destination.append)
        if found and found.fingerprint and not given_up and not is_merged(main, branch, found):
            self._refuse_other('one of other files, or with other options')
        destination.check_free(unfinished=False)
        if destination.is_hidden:
            main = branch = None
            destination.discard()
        elif branch is not None:
            patiently(main.branches[UNFINISHED].delete)
        self._main, self._created = main, bool(main is not None and found and found.created)

    def _refuse_other(self, got: str) -> None:
        self._destination.refuse(
            'no unfinished import, or this one',
            f'there is {got}',
            'Finish it with its own command, or give it up with --restart (restart=True)',
        )

    def start(self, columns: Sequence[Column], checkpoint: Checkpoint) -> Checkpoint:
        """Makes the branch, with its columns, and a first checkpoint.

        Args:
            columns: The new ones.
            checkpoint: To be noted.

        Returns:
            The checkpoint, which now says how many rows are there and whether the dataset is new.
        """
        self.room.take(0)
        with storing(self._destination):
            if self._main is None:
                self._main, self._created = self._destination.create(), True
            patiently(partial(self._main.branch, UNFINISHED))
            self.rows = self._main.branches[UNFINISHED].open()
            for column in columns:
                self.rows.add_column(column.name, column.type)
                for key, value in column.metadata.items():
                    self.rows[column.name].metadata[key] = value
        base = len(self._main)
        checkpoint = replace(checkpoint, rows=base, base=base, created=self._created)
        self.commit(checkpoint)
        return checkpoint

    def append(self, batch: Mapping[str, Any], nbytes: int) -> None:
        """Adds rows, which the next commit keeps.

        Args:
            batch: The values of each column.
            nbytes: How much they are.

        Raises:
            ImportStoppedError: The storage failed, or is full.
        """
        self.room.take(nbytes)
        with storing(self._destination):
            self.rows.append(batch)
        self._last = {name: values[-1] for name, values in batch.items() if isinstance(values[-1], bytes)}

    def commit(self, checkpoint: Checkpoint) -> None:
        """Keeps all rows, and notes how far the import is.

        Raises:
            ImportStoppedError: The storage failed, or is full.
            ConversionError: Another process wrote to the branch, or the storage lost what was written.
        """
        self.room.take(0)
        with storing(self._destination):
            self.rows.commit(checkpoint.message())
            found = len(self.rows)
        if found != checkpoint.rows:
            raise ConversionError(
                f'{self._destination.owner}(dst=) expected {checkpoint.rows} rows in {self._destination.path!r}, but '
                f'got {found}: another process is writing to it. Run one of them alone, with --restart (restart=True).'
            )
        self._check_last(found - 1)
        self.room.settle()

    def _check_last(self, row: int) -> None:
        """Reads the last row back: Deep Lake notices neither a full disk nor a quota, and cuts off what it writes."""
        with storing(self._destination):
            main = self._destination.open(self._url)
            branch = main.branches[UNFINISHED].open()
            same = all(bytes(branch[name].get_bytes(row)) == value for name, value in self._last.items())
        self._last = {}
        if not same:
            raise ConversionError(
                f'{self._destination.owner}(dst=) expected {self._destination.path!r} to keep what is written, but got '
                'other bytes back. The disk is full, over a quota, or broken: choose another one.'
            )

    def finish(
        self, noted: Checkpoint, message: str, views: Mapping[str, View], metadata: Mapping[str, Any]
    ) -> dict[str, int]:
        """Makes the main branch show all rows, and gives the place back; see `finish_import`."""
        rows, self.rows, self._main = self.rows, None, None
        counts = finish_import(self._destination, self._url, rows, noted, message, views, metadata)
        self._destination.release()
        return counts

    def leave(self) -> None:
        """Forgets what is not committed, and keeps the rest for another run."""
        self._rollback()
        self._main = None
        self._destination.release()

    def discard(self) -> None:
        """Removes all that the import wrote, and nothing else."""
        self._rollback()
        main, self._main = self._main, None
        if self._created:
            main = None
            self._destination.discard()
        elif main is not None:
            with suppress(Exception):  # an error is under way already, and is worth more
                patiently(main.branches[UNFINISHED].delete)
        self._destination.release()

    def _rollback(self) -> None:
        if self.rows is not None:
            with suppress(Exception):
                self.rows.rollback()
            with suppress(Exception):  # a handle commits in the background when it is dropped, and so recreates its
                self.rows.commit()  # folder; there is nothing left to commit, or to fail at, here
            self.rows = None
