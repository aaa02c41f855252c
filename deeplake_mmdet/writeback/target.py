"""Where the results of a scoring go: into a branch of the dataset, or into a dataset of their own.

What can be refused is refused before the model runs: then nothing is lost but a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import ConfigError, SourceError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.revision import Revision
from deeplake_mmdet.versions.opening import Place
from deeplake_mmdet.writeback.branch import Branch
from deeplake_mmdet.writeback.commit_rows import commit_of, commit_rows
from deeplake_mmdet.writeback.committing import Results, write_branch
from deeplake_mmdet.writeback.probe import check_writable
from deeplake_mmdet.writeback.sibling import Sibling
from deeplake_mmdet.writeback.stored_columns import StoredColumn, prefix

if TYPE_CHECKING:
    from deeplake_mmdet.scoring.values import Part

_REMEDY = 'Write the results to a dataset of their own: --to PATH (to=).'


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        revision: The commit.
        rows: How many of its rows have results of this run.
        columns: Names of the columns.
    """

    revision: Revision
    rows: int
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f'The results of {self.rows} rows are in {len(self.columns)} columns of {self.revision}.'


class Target:
    """Where results go; `Target.of` makes it.

    Attributes:
        rows: Of each place in the rows that are scored, the row of the commit, int64 (N,).
    """

    def __init__(self, goal: Branch | Sibling, rows: np.ndarray, run: str | None) -> None:
        self._goal, self.rows, self._run = goal, rows, run

    @classmethod
    def of(
        cls,
        source: SourceHandle,
        credentials: Any,
        *,
        branch: str | None = None,
        to: str | None = None,
        run: str | None = None,
    ) -> Target:
        """Check, before the model runs, that results can be written.

        Args:
            source: What is scored.
            credentials: What ``deeplake_credentials`` holds; None for those of `source`.
            branch: The branch of the dataset that gets the results; made from the scored commit where it is new.
            to: A dataset to make instead, of nothing but results.
            run: Name of the run: its columns stand in a group of their own.

        Raises:
            ConfigError: Neither or both of `branch` and `to` are given; a name is none that can be used.
            RevisionChangedError: The branch has other rows than the scored version.
            ColumnError: The branch has a column of results of another type.
            ConversionError: No dataset can be made at `to`.
            SourceError: The dataset is of format 3, cannot be written, or is one that a program has open; a row of a
                saved view is not found in its commit.
        """
        if (branch is None) == (to is None):
            raise ConfigError(f'Target.of(branch=, to=) expected one of the two, but got {branch!r} and {to!r}.')
        prefix(run)
        used = Credentials.from_config(credentials) or source.credentials
        if to is not None:
            return cls(Sibling(to, used, source), commit_rows(source), run)
        _refuse_closed(source)
        place = Place(Location(source.revision.uri), used)
        _check_room(place)
        goal = Branch.of(place, str(branch), commit_of(source), run)
        return cls(goal, commit_rows(source), run)

    def write(
        self,
        parts: Iterable[Part],
        *,
        classes: Sequence[str],
        columns: Sequence[str],
        message: str,
        facts: Mapping[str, str],
    ) -> Written:
        """Write all results as one commit, or nothing; what is committed is read back.

        Rows without results get null, in new columns and in those of an earlier run of this name; columns that only
        that run had become null altogether.

        Args:
            parts: Windows of rows, in any order; one at a time is held.
            classes: Class names of the detector, in label order.
            columns: Names of the results.
            message: Of the commit.
            facts: Where the results come from; stored with every column.

        Raises:
            ColumnError: A part lacks a column, or has values of another kind.
            RevisionChangedError: Somebody wrote to the branch since the scoring began.
            ConversionError: Another process is writing to the dataset; `to` cannot be made.
            SourceError: The storage failed or is full.
        """
        stored = {name: StoredColumn.of(name, self._run) for name in columns}
        results = Results(parts, tuple(classes), stored, dict(facts))
        if isinstance(self._goal, Sibling):
            revision, rows = self._goal.write(self.rows, results, message)
        else:
            revision, rows = write_branch(self._goal, self.rows, results, message)
        return Written(revision, rows, tuple(column.name for column in stored.values()))


def _refuse_closed(source: SourceHandle) -> None:
    """Refuses what has no branches to write to."""
    revision = source.revision
    if revision.format == 3:
        raise SourceError(f'{revision.uri} is of Deep Lake format 3, which can be read but not written. {_REMEDY}')
    if Location(revision.uri).is_opened or (revision.view_id or '').startswith('opened://'):
        raise SourceError(f'{revision} is an object that a program has open, whose commit is not known. {_REMEDY}')


def _check_room(place: Place) -> None:
    try:
        place.check_room()
        check_writable(place)
    except SourceError as error:
        raise SourceError(f'{error} {_REMEDY}') from None
