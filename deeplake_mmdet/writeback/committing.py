"""Writing results to a branch: one commit or nothing, and read back before it counts as done.

Deep Lake commits whatever was written when a dataset goes out of scope, also because of an error. So every way out but
the commit rolls back, and a branch that was made for the results goes again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplake_mmdet.errors import RevisionChangedError, SourceError
from deeplake_mmdet.source.revision import Revision
from deeplake_mmdet.versions.applying import commit_dataset, open_branch
from deeplake_mmdet.writeback.branch import Branch
from deeplake_mmdet.writeback.filling import Filling, nbytes_of_values
from deeplake_mmdet.writeback.stored_columns import StoredColumn

if TYPE_CHECKING:
    from deeplake_mmdet.scoring.values import Part

_MOST_PENDING = 2**30  # more than Deep Lake ever keeps back before it writes


@dataclass(frozen=True)
class Results:
    """What is written.

    Attributes:
        parts: Windows of rows.
        classes: Class names, in label order.
        columns: By the name of the result.
        facts: Where the results come from.
    """

    parts: Iterable[Part]
    classes: Sequence[str]
    columns: Mapping[str, StoredColumn]
    facts: Mapping[str, str]

    def add_columns(self, dataset: Any) -> list[str]:
        """Make the columns that are not there, and say what all of them mean.

        Returns:
            The names of those that were there.
        """
        known, write = {column.name for column in dataset.schema.columns}, uuid.uuid4().hex
        for column in self.columns.values():
            if column.name not in known:
                dataset.add_column(column.name, column.type)
            for key, value in column.metadata(self.classes, self.facts, write).items():
                dataset[column.name].metadata[key] = value
        return [column.name for column in self.columns.values() if column.name in known]

    def fill(self, dataset: Any, filling: Filling, rows: np.ndarray, check_room: Callable[[int], Any]) -> None:
        """Write all parts.

        Args:
            dataset: The Deep Lake dataset.
            filling: Of it.
            rows: Of each place, the row of the dataset, int64 (N,).
            check_room: Refuses to write so many bytes more.
        """
        pending = 0
        for part in self.parts:
            places = np.asarray(part.places, np.int64)
            values = filling.stored(part.values, len(places))
            pending = min(_MOST_PENDING, pending + nbytes_of_values(values))
            check_room(pending)
            filling.write(dataset, rows[places], values)


def write_branch(branch: Branch, rows: np.ndarray, results: Results, message: str) -> tuple[Revision, int]:
    """Write results to a branch as one commit.

    Args:
        branch: Looked at before.
        rows: Of each place, the row of the commit, int64 (N,).
        results: What is written.
        message: Of the commit.

    Returns:
        What was committed, and how many rows have results.

    Raises:
        RevisionChangedError: Somebody wrote to the branch meanwhile.
        ConversionError: Another process is writing to the dataset.
        SourceError: The storage failed or is full; nothing is committed, unless the message says so.
    """
    place, name = branch.place, branch.name
    with branch.alone():
        head = branch.head()
        if head is not None:
            branch.check_again(head, [column.name for column in results.columns.values()])
        dataset = place.writer()
        with place.guarded(f'Writing to branch {name!r}'):
            if head is None:
                revision = branch.commit.revision
                open_branch(dataset, revision.branch).branch(name, revision.commit_id)
            try:
                tip = open_branch(dataset, name)
                start = str(tip.version)
                if head is not None and start != head.revision.commit_id:
                    raise _overtaken(branch)
                filling = _write(tip, branch, start, rows, results, message)
            except BaseException:
                if head is None:
                    _remove(dataset, name)
                raise
    return _check(branch, start, filling), int(filling.written.sum())


def _write(tip: Any, branch: Branch, start: str, rows: np.ndarray, results: Results, message: str) -> Filling:
    try:
        filling = Filling(results.columns, len(tip))
        there_before = results.add_columns(tip)
        results.fill(tip, filling, rows, branch.place.check_room)
        names = {column.name for column in results.columns.values()}
        older = [name for name in branch.own([column.name for column in tip.schema.columns]) if name not in names]
        filling.clear(tip, there_before, others=older)
        if _history(branch)[-1] != start:
            raise _overtaken(branch)
        commit_dataset(tip, message)
    except BaseException:
        tip.rollback()
        raise
    return filling


def _history(branch: Branch) -> list[str]:
    """The commits of the branch, the newest last, as a handle of its own sees them."""
    dataset = branch.place.reader()
    with branch.place.guarded():
        tip = open_branch(dataset, branch.name)
        return [str(version.id) for version in tip.history]


def _remove(dataset: Any, name: str) -> None:
    """Remove the branch that was made, unless somebody committed to it."""
    if len(list(open_branch(dataset, name).history)) == 1:
        dataset.branches[name].delete()


def _check(branch: Branch, start: str, filling: Filling) -> Revision:
    """Compare what was committed with what was written."""
    committed = branch.head()
    if committed is None:
        raise RevisionChangedError(f'Branch {branch.name!r} of {branch.place.uri} was deleted after the commit.')
    if _history(branch)[-2:-1] != [start]:
        raise RevisionChangedError(
            f'The results were committed as {committed.revision}, but another process committed to branch '
            f'{branch.name!r} at the same time. Look at both commits (deeplake-mmdet log), or write the results again.'
        )
    differs = filling.difference(committed)
    if differs:
        raise SourceError(
            f'The results were committed as {committed.revision}, but {differs}. Write them again; if that does not '
            'help, please report this with the version of deeplake.'
        )
    return committed.revision


def _overtaken(branch: Branch) -> RevisionChangedError:
    return RevisionChangedError(
        f'Another process committed to branch {branch.name!r} of {branch.place.uri} while the results were written. '
        'Its commit is kept, and nothing of these results is. Write them again.'
    )
