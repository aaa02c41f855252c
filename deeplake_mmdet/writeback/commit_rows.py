"""Rows of a selection as rows of the commit: a row of a saved view is found by what is in it.

Deep Lake does not tell which rows a saved view has. A row whose annotations only one row of the commit has, is that
row. Where several have them, all that is stored of the rows decides; rows that are equal in everything are taken in
their order, and which of them gets a result makes no difference, because they are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import RevisionChangedError, SourceError
from deeplake_mmdet.source.column_types import same_type
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.same_rows import SAMPLE, is_light, same_values
from deeplake_mmdet.versions.reading import HEAVY_ROWS, LIGHT_ROWS, columns_of, pieces, read_at
from deeplake_mmdet.writeback.fingerprints import fingerprint


def commit_of(source: SourceHandle) -> SourceHandle:
    """The whole commit that a selection is of, of format 4.

    Raises:
        SourceError: It cannot be opened any more.
    """
    revision = source.revision
    place = Location(revision.uri)
    return SourceHandle.resolve(
        DatasetSpec(place, source.credentials, branch=revision.branch or None, commit_id=revision.commit_id)
    )


def commit_rows(source: SourceHandle) -> np.ndarray:
    """Where the rows of a selection stand in the commit.

    Args:
        source: A version, a saved view, or a query on one of them.

    Returns:
        Row numbers, int64 (N,), in the order of the selection.

    Raises:
        SourceError: A row of the view is not in the commit, or the storage failed.
    """
    revision = source.revision
    if revision.view_id is None or revision.format == 3 or revision.view_id.startswith('opened://'):
        return source.rows
    view = source.beside(revision.view_id)
    if (view.mark, len(view)) != (source.mark, source.base_rows):
        raise RevisionChangedError(f'{revision} is another view by now: it was saved anew under its name. Score again.')
    return _Matching(commit_of(source), view).rows()[source.rows]


class _Matching:
    """Finds the rows of a view in a commit.

    Args:
        commit: All its rows.
        view: The same of the view.
    """

    def __init__(self, commit: SourceHandle, view: SourceHandle) -> None:
        self._commit, self._view = commit, view
        own, other = columns_of(commit), columns_of(view)
        shared = [name for name in own if name in other and same_type(own[name], other[name])]
        self._light = [name for name in shared if is_light(own[name])]
        self._heavy = [name for name in shared if name not in self._light]

    def rows(self) -> np.ndarray:
        """Number in the commit of each row of the view, int64 (n,)."""
        by_key: dict[bytes, list[int]] = defaultdict(list)
        for row, key in enumerate(self._keys(self._commit)):
            by_key[key].append(row)
        wanted = self._keys(self._view)
        several = np.array([len(by_key[key]) > 1 for key in wanted], bool)
        found = np.array([by_key[key][0] if by_key[key] else -1 for key in wanted], np.int64)
        if several.any():
            self._tell_apart(by_key, wanted, np.flatnonzero(several), found)
        if (found < 0).any():
            self._refuse(int(np.argmax(found < 0)))
        self._check(found, np.flatnonzero(~several))
        return found

    def _keys(self, source: SourceHandle) -> list[bytes]:
        """A fingerprint of each row's annotations."""
        keys: list[bytes] = []
        for piece in pieces(len(source), LIGHT_ROWS):
            read = source.read_columns(self._light, piece.start, piece.stop) if self._light else []
            rows = zip(*read, strict=True) if read else ([],) * (piece.stop - piece.start)
            keys += map(fingerprint, rows)
        return keys

    def _tell_apart(
        self, by_key: dict[bytes, list[int]], wanted: Sequence[bytes], places: np.ndarray, found: np.ndarray
    ) -> None:
        """Find the rows whose annotations several rows have by everything that is in them."""
        rows = np.array(sorted({row for place in places.tolist() for row in by_key[wanted[place]]}), np.int64)
        keys = dict(zip(rows.tolist(), self._heavy_keys(self._commit, rows), strict=True))
        equal: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
        for key in {wanted[place] for place in places.tolist()}:
            for row in by_key[key]:
                equal[key, keys[row]].append(row)
        taken: dict[tuple[bytes, bytes], int] = defaultdict(int)
        for place, heavy in zip(places.tolist(), self._heavy_keys(self._view, places), strict=True):
            full = (wanted[place], heavy)
            same = equal.get(full, [])
            found[place] = same[taken[full] % len(same)] if same else -1
            taken[full] += 1

    def _heavy_keys(self, source: SourceHandle, places: np.ndarray) -> list[bytes]:
        keys: list[bytes] = []
        for piece in pieces(len(places), HEAVY_ROWS):
            read = [self._read(source, name, places[piece]) for name in self._heavy]
            rows = zip(*read, strict=True) if read else ([],) * len(places[piece])
            keys += map(fingerprint, rows)
        return keys

    def _check(self, found: np.ndarray, places: np.ndarray) -> None:
        """Compare images and masks of some of the rows that were recognised by their annotations alone."""
        spread = np.linspace(0, len(places) - 1, min(SAMPLE, len(places))).round().astype(np.int64)
        for piece in pieces(len(spread), HEAVY_ROWS):
            chosen = places[spread[piece]]
            for name in self._heavy:
                one, other = self._read(self._view, name, chosen), self._read(self._commit, name, found[chosen])
                if not same_values(one, other):
                    self._refuse(int(chosen[0]))

    @staticmethod
    def _read(source: SourceHandle, column: str, places: np.ndarray) -> list[Any]:
        return list(read_at(source, column, places))

    def _refuse(self, place: int) -> None:
        raise SourceError(
            f'Row {place} of {self._view.revision} is not found in its commit: the view computes or changes columns, '
            'or belongs to other data. Score the branch itself, with a query instead of the view; or write the results '
            'to a dataset of their own (--to PATH, to=).'
        )
