"""Saved views of a whole dataset as views of its copy: the same rows, proven by comparing them.

Deep Lake does not tell which rows a saved view has. They are recognised by their image ids; without such, and where the
view shows another commit (of a split to which another one was added later, say), the query of the view runs again, and
is believed if what it selects is the same in all columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.convert.row_views import row_view
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.errors import DeepLakeMMDetError, QueryError, RevisionChangedError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.same_rows import difference

_IDS = ('img_id', 'image_id')


@dataclass(frozen=True)
class CopiedView:
    """A saved view of what is copied.

    Attributes:
        rows: Numbers of its rows, int64 (N,).
        query: Selects the same rows in the same order; empty if none is known.
    """

    rows: np.ndarray
    query: str

    def in_copy(self, left_out: np.ndarray, columns: Sequence[str], *, as_query: bool) -> tuple[View, np.ndarray]:
        """The view of the copy, and the numbers of its rows there.

        Args:
            left_out: Numbers of the rows that are not copied, ascending.
            columns: Names of the columns that are.
            as_query: Whether the query may be kept, rather than the numbers.
        """
        if self.query and as_query and not len(left_out):
            return View(self.query, len(self.rows)), self.rows
        kept = np.unique(self.rows[~np.isin(self.rows, left_out)])
        kept = kept - np.searchsorted(left_out, kept)
        return row_view(kept, columns), kept


def copied_views(source: SourceHandle) -> tuple[dict[str, CopiedView], list[str]]:
    """The views of a dataset that its copy can have, and remarks on those that it cannot.

    Args:
        source: What is copied; a part of a dataset has no views of its own.
    """
    views: dict[str, CopiedView] = {}
    remarks: list[str] = []
    if source.revision.view_id or source.revision.query:
        return views, remarks
    texts = source.views()
    places = _places_of_ids(source) if texts else None
    for name, query in texts.items():
        try:
            found = _find(source, source.beside(name), query, places)
        except DeepLakeMMDetError as error:
            found = str(error)
        if isinstance(found, str):
            remarks.append(f'view {name!r} is left out: {found}')
        else:
            views[name] = found
            if not found.query and not (np.diff(found.rows) > 0).all():
                remarks.append(f'view {name!r} has its rows once each, in the order of the dataset')
    return views, remarks


def _find(source: SourceHandle, shown: SourceHandle, query: str, places: _Places | None) -> CopiedView | str:
    """A view, or the reason why its rows are not in the copy."""
    own, other = source.revision, shown.revision
    is_same = (own.branch, own.commit_id) == (other.branch, other.commit_id)
    again = _again(source, query)
    if is_same and places is not None:
        rows = places.of(shown)
        return CopiedView(rows, query if again is not None and np.array_equal(again.rows, rows) else '')
    if again is not None and not difference(shown, again, all_images=False):
        return CopiedView(again.rows, query)
    if is_same:
        return f'its query gives other rows when it runs again, and no column {" or ".join(_IDS)} tells them'
    return (
        f'it shows {other.branch}:{other.commit_id}, and in {own.branch}:{own.commit_id}, which is copied, its query '
        'gives other rows'
    )


def _again(source: SourceHandle, query: str) -> SourceHandle | None:
    """What the last query of a view selects now; None if it cannot run on the whole dataset."""
    try:
        return source.queried(query) if query else source
    except QueryError:
        return None


@dataclass(frozen=True)
class _Places:
    """Where rows with an id stand; no two rows have the same."""

    column: str
    place_of: dict[int | str, int]

    def of(self, shown: SourceHandle) -> np.ndarray:
        """Numbers of the rows of a view, in its order.

        Raises:
            RevisionChangedError: It has a row that the dataset has not.
        """
        ids = np.asarray(shown.read_column(self.column, 0, len(shown))).tolist() if len(shown) else []
        if not set(ids) <= self.place_of.keys():
            raise RevisionChangedError('it has rows that the dataset does not have at this commit')
        return np.array([self.place_of[item] for item in ids], np.int64)


def _places_of_ids(source: SourceHandle) -> _Places | None:
    names = {column.name for column in source.selection().schema.columns}
    column = next((name for name in _IDS if name in names), None)
    if column is None:
        return None
    ids = np.asarray(source.read_column(column, 0, len(source))).tolist() if len(source) else []
    place_of = {item: place for place, item in enumerate(ids) if isinstance(item, int | str)}
    return _Places(column, place_of) if len(place_of) == len(source) else None
