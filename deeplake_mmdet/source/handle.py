"""A dataset that can be pickled: it ships the recipe, and opens it again in the process that reads.

The first handle of a dataset resolves it (a moving head becomes a commit, a query becomes row numbers). Copies, in
worker processes and in other ranks, open that commit and read those rows; what they find is checked. A handle whose
read failed is thrown away and opened again, because Deep Lake never recovers a block that failed once.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deeplake_mmdet.config.credentials import Credentials, stash, unstash
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import (
    ConfigError,
    RevisionChangedError,
    RevisionNotFoundError,
    SourceError,
    SourceNotFoundError,
)
from deeplake_mmdet.source.column_types import stores_encoded
from deeplake_mmdet.source.fork_gate import reading
from deeplake_mmdet.source.format3.memory import own
from deeplake_mmdet.source.format3.stuck import say_stuck
from deeplake_mmdet.source.marks import mark_of
from deeplake_mmdet.source.open import open_recipe, verify_reopened
from deeplake_mmdet.source.query import apply_query, span_of
from deeplake_mmdet.source.recipe import Opened, Recipe
from deeplake_mmdet.source.revision import Revision
from deeplake_mmdet.source.waiting import QUERY_DEADLINE_S, READ_DEADLINE_S, DeadlineError, wait

_TRIES = 3
_GONE = '. A file of the dataset is gone: somebody deleted it, or what it belongs to, or a copy is incomplete.'


class SourceHandle:
    """One revision of a dataset, readable from any process.

    Build it with `SourceHandle.resolve`. Pickling keeps the recipe, the row numbers and the revision; no Deep Lake
    object and no secret.

    Attributes:
        revision: What was resolved.
        rows: Row numbers of the selection in the commit (or in the saved view), int64 of shape (N,).
        base_rows: Number of rows of the commit or the saved view.
        remarks: What was noticed on opening it, for the log.
        mark: See `mark_of`.
    """

    def __init__(
        self, recipe: Recipe, revision: Revision, rows: np.ndarray, base_rows: int, remarks: Sequence[str] = ()
    ) -> None:
        self.revision = revision
        self.rows = rows
        self.base_rows = base_rows
        self.remarks = tuple(remarks)
        self._recipe = recipe
        self.mark = ''
        self._checked: set[str] = set()
        self._opened: Opened | None = None
        self._pid = 0

    @classmethod
    def resolve(cls, spec: DatasetSpec) -> SourceHandle:
        """Open what a config asks for and pin it.

        Raises:
            SourceError, ConfigError: See `deeplake_mmdet.source.open.open_recipe`.
        """
        return cls._resolved(Recipe.of(spec, stash(spec.credentials)))

    @classmethod
    def _resolved(cls, recipe: Recipe) -> SourceHandle:
        opened = open_recipe(recipe)
        revision = Revision(
            uri=opened.uri or recipe.location.uri,
            dataset_id=opened.dataset_id,
            branch=opened.branch,
            commit_id=opened.commit_id,
            view_id=opened.view_id,
            query=recipe.query,
            rows=len(opened.rows),
            format=opened.format,
        )
        pinned = Recipe(
            location=Location(recipe.location.uri),
            branch=None if opened.branch == 'main' else opened.branch,
            commit_id=opened.commit_id,
            view_id=opened.view_id,
            credentials=recipe.credentials,
        )
        handle = cls(pinned, revision, opened.rows, len(opened.base), opened.remarks)
        handle._opened, handle._pid, handle.mark = opened, os.getpid(), mark_of(opened)
        return handle

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_opened': None, '_pid': 0}

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f'SourceHandle({self.revision})'

    def with_digest(self, digest: str) -> None:
        """Complete the revision once the annotations were read."""
        self.revision = replace(self.revision, digest=digest)

    def beside(self, view_id: str) -> SourceHandle:
        """A saved view of the same dataset.

        Raises:
            SourceError, ConfigError: As `resolve`.
        """
        recipe = Recipe(Location(self.revision.uri), view_id=view_id, credentials=self._recipe.credentials)
        return self._resolved(recipe)

    def queried(self, query: str) -> SourceHandle:
        """The rows of the same commit that a query selects.

        Raises:
            SourceError, ConfigError: As `resolve`.
        """
        return self._resolved(replace(self._recipe, view_id=None, query=query))

    def views(self) -> dict[str, str]:
        """The saved views of the dataset, and the last query of each; of objects that the program has open, none."""
        if self._recipe.location.is_opened or self.revision.format == 3:
            return {}
        with reading():
            head = self._open().parents[0]
            return {name: str(head.tags[name].query or '') for name in head.tags.names()}

    def metadata(self) -> dict[str, Any]:
        """The metadata of the dataset at the commit; of an object that the program has open, and of format 3, none.

        Raises:
            SourceError, ConfigError: As `resolve`.
        """
        if self._recipe.location.is_opened or self.revision.format == 3:
            return {}
        opened = open_recipe(replace(self._recipe, view_id=None))
        return dict(opened.base.metadata.to_dict())

    @property
    def credentials(self) -> Credentials:
        """What the dataset is read with; never part of a text or a pickle."""
        return unstash(self._recipe.credentials)

    @property
    def tensors(self) -> Mapping[str, Any]:
        """The tensors of a dataset of format 3, by name; of format 4, none."""
        health = self._open().health
        return {} if health is None else health.tensors

    @property
    def scalars(self) -> frozenset[str]:
        """Columns of format 3 that hold one number a row as an array of one."""
        return frozenset(name for name, tensor in self.tensors.items() if tensor.is_scalar)

    @property
    def opened(self) -> Opened:
        """What this process has open, opened if need be; keep it as long as anything in it is used."""
        return self._open()

    def share_rows(self, rows: np.ndarray) -> None:
        """Keep the same row numbers in other memory, which several processes map."""
        self.rows = rows
        if self._opened is not None:
            self._opened = replace(self._opened, rows=rows)

    @property
    def is_open(self) -> bool:
        """Whether this process has the dataset open."""
        return self._opened is not None and self._pid == os.getpid()

    def selection(self) -> Any:
        """The Deep Lake dataset or view that the selected rows are in, with the columns that were asked for.

        Its rows are those of `rows`, except in a saved view of format 3: there it is the whole commit.

        Raises:
            RevisionChangedError: This is a copy, and the query does not give the same rows again.
        """
        return self._selected().selection

    def _selected(self) -> Opened:
        opened = self._open()
        if self.revision.query and opened.selection is opened.base:  # a reopened one has no query
            with reading():
                queried = apply_query(opened, self.revision.query, QUERY_DEADLINE_S)
            if not np.array_equal(queried.rows, self.rows):
                raise RevisionChangedError(
                    f'DeepLakeDataset(deeplake_query=) got {self.revision.query!r}, which gives other rows each time: '
                    'read the annotations in the process that opened the dataset, or save the query as a view.'
                )
            self._opened = opened = queried
        return opened

    def base(self) -> Any:
        """The Deep Lake dataset or view that row numbers refer to."""
        return self._open().base

    def read(self, column: str, rows: Sequence[int], *, bulk: bool = False) -> list[Any]:
        """Values of one column at row numbers, encoded bytes where the column stores images compressed.

        Args:
            column: Name of the column.
            rows: Row numbers, as in `rows`.
            bulk: Whether the rows behind these will be read next: then neighbours come with their whole file, which is
                many times quicker over a network.

        Returns:
            One item a row: ``bytes`` of a compressed image, else a numpy array, string or None. An image of format 3
            that is stored in tiles is an array too. Of a link of format 4 it is the link, as ``bytes`` of UTF-8; of
            format 3 what the link leads to.

        Raises:
            SourceError: The storage failed, also after the dataset was opened again.
        """
        rows = [int(row) for row in rows]
        shown = f'{rows[0]}' if len(rows) == 1 else f'{rows[:8]}{"…" if len(rows) > 8 else ""}'
        return self._persist(lambda end: self._rows(column, rows, end, bulk), f'column {column!r}, row {shown}')

    def read_column(self, column: str, start: int, stop: int) -> Any:
        """Consecutive values of one column of the selection; see `read_columns`."""
        return self.read_columns([column], start, stop)[0]

    def read_columns(self, columns: Sequence[str], start: int, stop: int) -> list[Any]:
        """Consecutive values of some columns of the selection, fetched side by side.

        Args:
            columns: Names of the columns.
            start, stop: Positions in `rows`.

        Returns:
            For each column one item a row: a list, or one array where all items are of one shape.

        Raises:
            SourceError: The storage failed, also after the dataset was opened again.
        """

        def once(end: float) -> list[Any]:
            opened = self._selected()
            self._check(columns)
            values = [opened.selection[column] for column in columns]
            span: slice | list[int] = slice(start, stop)
            if opened.places is not None:
                wanted = opened.places[start:stop]
                span, picked = span_of(wanted)
            futures = [column.get_async(span) for column in values]
            read = [self._owned(wait(future, 'Reading', _left(end))) for future in futures]
            return read if opened.places is None else [[items[i] for i in picked] for items in read]

        return self._persist(once, f'column {", ".join(map(repr, columns))}', QUERY_DEADLINE_S)

    def image_shapes(self, column: str) -> Any:
        """Shapes of all images of the selection, from the chunks' headers: height, width, channels.

        Raises:
            SourceError: As `read_column`.
        """

        def once(end: float) -> Any:
            opened = self._selected()
            self._check([column])
            if opened.selection.schema[column].dtype.is_link:  # Deep Lake has shapes of what it stores only
                return [()] * len(self)
            shapes = wait(opened.selection.query_async(f'select shape("{column}") as s'), 'Reading', _left(end))
            read = wait(shapes['s'].get_async(slice(0, len(opened.selection))), 'Reading', _left(end))
            return read if opened.places is None else [read[place] for place in opened.places.tolist()]

        return self._persist(once, f'the shapes of column {column!r}', QUERY_DEADLINE_S)

    def _persist(self, once: Callable[[float], Any], what: str, deadline_s: float | None = None) -> Any:
        """Call `once` until it succeeds, each time on a dataset opened anew, within one deadline."""
        patience = READ_DEADLINE_S if deadline_s is None else deadline_s
        end = time.monotonic() + (patience if self._may_stall else math.inf)
        for attempt in range(1, _TRIES + 1):
            try:
                with reading():
                    return once(end)
            except IndexError:
                raise
            except (RevisionChangedError, SourceNotFoundError) as error:
                raise type(error)(f'{error} Found on reading {what}.') from None
            except Exception as error:  # Deep Lake's errors have no common base, and their text may hold a key
                # The handle is spoilt: a block that failed once fails for ever.
                self._opened = None
                if attempt == _TRIES or time.monotonic() > end or not self._recipe.location.is_remote:
                    failure = DeadlineError if isinstance(error, DeadlineError) else SourceError
                    raise failure(self._failed(what, error)) from None
                time.sleep(0.2 * attempt)
        raise AssertionError('unreachable')

    @property
    def _may_stall(self) -> bool:
        """Whether a read may never return: over a network, and for some samples of format 3."""
        return self._recipe.location.is_remote or self.revision.format == 3

    def _check(self, columns: Sequence[str]) -> None:
        """Have columns looked through before they are first read; copies of this handle know of it."""
        health = self._open().health
        for column in columns if health is not None else ():
            if column not in self._checked:
                health.check(column)
                self._checked.add(column)

    def check_zeros(self, column: str) -> None:
        """Refuse a column whose images end in zeros because its storage is damaged, where that can be told.

        Raises:
            SourceError: It is damaged.
        """
        health = self._open().health
        if health is not None and (key := f'{column}/zeros') not in self._checked:
            with reading():
                health.check_packed(column)
            self._checked.add(key)

    def _rows(self, column: str, rows: list[int], end: float, bulk: bool) -> list[Any]:
        base = self.base()
        self._check([column])
        values = base[column]
        encoded = stores_encoded(base.schema[column].dtype)
        span, picked = span_of(np.array(rows, np.int64)) if bulk else (rows, list(range(len(rows))))
        if self._may_stall:
            call = values.get_bytes_async if encoded else values.get_async
            try:
                found = self._owned(wait(call(span), 'Reading', _left(end)))
                read = [found[place] for place in picked]
                return self._with_tiled(column, rows, read, end) if encoded else read
            except DeadlineError:
                if self.revision.format != 3:
                    raise
                raise DeadlineError(say_stuck(column, rows, call)) from None
        found = values.get_bytes(span) if encoded else values[span]
        return [found[place] for place in picked]

    def _owned(self, values: Any) -> Any:
        """The same values in memory of their own: arrays of format 3 show memory that Deep Lake may use again."""
        return own(values) if self.revision.format == 3 else values

    def _with_tiled(self, column: str, rows: list[int], read: list[Any], end: float) -> list[Any]:
        """What was read, with pixels for the images of which only a piece has bytes."""
        opened = self._open()
        tiled = opened.health.tiled(column) if opened.health is not None else frozenset()
        places = [place for place, row in enumerate(rows) if row in tiled]
        if places:
            pixels = wait(opened.base[column].get_async([rows[place] for place in places]), 'Reading', _left(end))
            for place, value in zip(places, pixels, strict=True):
                read[place] = self._owned(value)
        return read

    def _failed(self, what: str, error: Exception) -> str:
        detail = self.credentials.scrub(str(error))
        gone = _GONE if 'not found' in detail.lower() else ''
        return f'Reading {what} of {self.revision} failed: {type(error).__name__}: {detail}{gone}'

    def _open(self) -> Opened:
        if not self.is_open:
            self._opened, self._pid = self._reopen(), os.getpid()
        assert self._opened is not None
        return self._opened

    def _reopen(self) -> Opened:
        try:
            opened = open_recipe(self._recipe)
        except (ConfigError, RevisionNotFoundError) as error:  # it was there when it was resolved
            raise RevisionChangedError(f'{self.revision} is not what it was when it was resolved: {error}') from None
        except SourceNotFoundError as error:
            if self._recipe.location.is_opened:
                raise  # nothing is gone: another process has it
            raise SourceNotFoundError(f'{self.revision} was there when it was resolved, and is gone: {error}') from None
        verify_reopened(
            opened,
            dataset_id=self.revision.dataset_id,
            commit_id=self.revision.commit_id,
            base_rows=self.base_rows,
            mark=self.mark,
        )
        return opened


def _left(end: float) -> float:
    return max(1.0, end - time.monotonic())
