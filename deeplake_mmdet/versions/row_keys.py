"""By what the rows of two versions are recognised as the same: a column of ids, of file names, or their position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.errors import ColumnError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.pins import closest
from deeplake_mmdet.versions.reading import LIGHT_ROWS, columns_of, pieces, read_at

POSITION = 'position'
_TRIED = ('img_id', 'image_id', 'file_name')


@dataclass(frozen=True)
class Matched:
    """The rows of two versions, by what identifies them.

    Attributes:
        key: Name of the column, or ``position``.
        keys_a, keys_b: The identity of each row.
        common: Positions of the same rows in both, int (N, 2), ascending in the first.
        only_a, only_b: Positions of the rows of one version only.
    """

    key: str
    keys_a: list[Any]
    keys_b: list[Any]
    common: np.ndarray
    only_a: list[int]
    only_b: list[int]

    @property
    def is_reordered(self) -> bool:
        """Whether the common rows stand in another order."""
        return bool((np.diff(self.common[:, 1]) < 0).any())


def match_rows(a: SourceHandle, b: SourceHandle, key: str | None = None) -> Matched:
    """Find the rows that two versions have in common.

    Args:
        a, b: The versions.
        key: The column to go by; by default ``img_id``, ``image_id`` or ``file_name``, the first one that has no value
            twice in either version, else the position.

    Raises:
        ColumnError: `key` is no column of both, or has a value twice.
        SourceError: A storage failed.
    """
    shared = [name for name in columns_of(a) if name in columns_of(b)]
    if key not in (None, POSITION, *shared):
        raise ColumnError(
            f'diff(key=) names {key!r}, which is no column of both versions. Columns of both are '
            f'{", ".join(map(repr, shared))}.{closest(str(key), shared)}'
        )
    for name in (key,) if key else _TRIED:
        if name == POSITION or name not in shared:
            continue
        keys = [_values(source, str(name)) for source in (a, b)]
        if all(values is not None and len(set(values)) == len(values) for values in keys):
            return _matched(str(name), keys[0] or [], keys[1] or [])
        if key:
            raise ColumnError(
                f'diff(key={key!r}) expected one number or text a row, each only once in a version. Name another '
                f"column, or key='{POSITION}'."
            )
    return _matched(POSITION, list(range(len(a))), list(range(len(b))))


def _values(source: SourceHandle, column: str) -> list[Any] | None:
    """One number or text a row; None if the column holds something else."""
    if len(getattr(columns_of(source)[column], 'shape', ())) > 1:
        return None
    values: list[Any] = []
    for piece in pieces(len(source), LIGHT_ROWS):
        read = [np.asarray(value) for value in read_at(source, column, np.arange(piece.start, piece.stop))]
        if any(value.size != 1 or value.dtype == object for value in read):
            return None
        values += [value.reshape(-1)[0].item() for value in read]
    return values


def _matched(key: str, keys_a: list[Any], keys_b: list[Any]) -> Matched:
    places = {value: place for place, value in enumerate(keys_b)}
    common = [(place, places[value]) for place, value in enumerate(keys_a) if value in places]
    known = set(keys_a)
    return Matched(
        key,
        keys_a,
        keys_b,
        np.array(common, np.int64).reshape(-1, 2),
        [place for place, value in enumerate(keys_a) if value not in places],
        [place for place, value in enumerate(keys_b) if value not in known],
    )
