"""Writing an edit: one commit or nothing, and read back before it counts as done.

Deep Lake commits whatever was written when a dataset goes out of scope, also because of an error. So every way out but
the commit rolls back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deeplake_mmdet.convert.storage import nbytes_of
from deeplake_mmdet.errors import RevisionChangedError, SourceError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.same_rows import is_light, same_values
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, QUERY_DEADLINE_S, wait
from deeplake_mmdet.versions.edit_plan import EditPlan
from deeplake_mmdet.versions.opening import Place
from deeplake_mmdet.versions.reading import columns_of, pieces, read_at, rows_at_once

Values = dict[int, dict[str, Any]]


def write_edit(place: Place, branch: str, plan: EditPlan, values: Values, message: str, *, create: bool) -> str:
    """Write an edit to a branch as one commit.

    Args:
        place: The dataset.
        branch: Its name.
        plan: The edit; it holds the version that it is for.
        values: New values of rows, by column.
        message: Of the commit.
        create: Whether the branch is made first, from that version.

    Returns:
        The id of the commit.

    Raises:
        RevisionChangedError: Somebody committed to the branch meanwhile.
        SourceError: The storage failed or is full; nothing is committed.
    """
    revision = plan.source.revision
    place.check_room(sum(nbytes_of(value) for columns in values.values() for value in columns.values()))
    dataset = place.writer()
    with place.guarded(f'Editing branch {branch!r}'):
        start = open_branch(dataset, revision.branch)
        if create:
            start.branch(branch, revision.commit_id)
        try:
            tip = open_branch(dataset, branch)
            if not create and tip.version != revision.commit_id:
                raise RevisionChangedError(
                    f'Branch {branch!r} of {place.uri} is at commit {tip.version!r} now; the edit was made for '
                    f'{revision.commit_id!r}. Look at the rows again, and repeat it.'
                )
            return _commit(tip, plan, values, message)
        except BaseException:
            if create:
                dataset.branches[branch].delete()
            raise


def open_branch(dataset: Any, name: str) -> Any:
    """The head of a branch, to write if the dataset is."""
    if name == 'main':
        return dataset
    return wait(dataset.branches[name].open_async(), f'Opening branch {name!r}', OPEN_DEADLINE_S)


def _commit(tip: Any, plan: EditPlan, values: Values, message: str) -> str:
    try:
        for row, columns in values.items():
            for name, value in columns.items():
                tip[name][row] = value
        for row in sorted(plan.rows, reverse=True):
            tip.delete(row)
        commit_dataset(tip, message)
    except BaseException:
        tip.rollback()
        raise
    return str(tip.version)


def commit_dataset(dataset: Any, message: str) -> None:
    """Commit what was written to a Deep Lake dataset, within a deadline."""
    wait(_Finished(dataset.commit_async(message)), 'Committing', QUERY_DEADLINE_S)


class _Finished:
    """A future without a result, as one with a result."""

    def __init__(self, future: Any) -> None:
        self.is_completed, self.cancel, self.result = future.is_completed, future.cancel, future.wait


def check_edit(edited: SourceHandle, plan: EditPlan, values: Values) -> None:
    """Compare the committed version with the one before and with what was to be done.

    Edited rows are compared in all columns; of all other rows the light columns.

    Raises:
        SourceError: It is not what was to be done.
    """
    before = plan.source
    kept = np.array([row for row in range(len(before)) if row not in plan.rows], np.int64)
    if len(edited) != len(kept):
        raise _failed(edited, f'it has {len(edited)} rows instead of {len(kept)}')
    touched = np.isin(kept, list(values))
    edits = np.flatnonzero(touched)
    for name, dtype in columns_of(before).items():
        chosen = np.flatnonzero(~touched) if is_light(dtype) else np.zeros(0, np.int64)
        for piece in pieces(len(chosen), rows_at_once(dtype)):
            places = chosen[piece]
            if not same_values(read_at(edited, name, places), read_at(before, name, kept[places])):
                raise _failed(edited, f'rows that were not edited have other values in column {name!r}')
        for piece in pieces(len(edits), rows_at_once(dtype)):
            places = edits[piece]
            pairs = zip(read_at(edited, name, places), read_at(before, name, kept[places]), strict=True)
            for place, (found, old) in zip(places.tolist(), pairs, strict=True):
                if not _equal(found, values[int(kept[place])].get(name, old)):
                    raise _failed(edited, f'row {place} has another value in column {name!r} than was written')


def _equal(found: Any, wanted: Any) -> bool:
    """Equality of a value that was read and one that was written; polygons of one length come back as one array."""
    if isinstance(found, np.ndarray) and isinstance(wanted, list):
        return same_values(list(found), wanted)
    return same_values(found, wanted)


def _failed(edited: SourceHandle, what: str) -> SourceError:
    return SourceError(
        f'The edit was committed as {edited.revision}, but {what}. Go back to the commit before, and please report '
        'this with the version of deeplake.'
    )
