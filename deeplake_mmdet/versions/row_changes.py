"""The rows that two versions have in common and that differ: in which columns, and what happened to their objects."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.source.column_types import kind_of, metadata_of
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.same_rows import same_values
from deeplake_mmdet.versions.object_changes import ObjectChanges, Objects, object_changes
from deeplake_mmdet.versions.reading import LIGHT_ROWS, columns_of, pieces, read_at, rows_at_once
from deeplake_mmdet.versions.row_keys import Matched

_IDS = 'ann_ids'


@dataclass(frozen=True)
class RowChange:
    """One row that both versions have, with other values.

    Attributes:
        key: Its identity.
        row_a, row_b: Its row numbers.
        columns: The columns that differ.
        objects: What happened to its objects, as far as boxes and labels tell.
    """

    key: Any
    row_a: int
    row_b: int
    columns: tuple[str, ...]
    objects: ObjectChanges


class Comparison:
    """Compares the rows that two versions have in common, column by column and piece by piece.

    Args:
        a, b: The versions.
        matched: Their common rows.
        labels: The column of labels in each, or None.
    """

    def __init__(
        self, a: SourceHandle, b: SourceHandle, matched: Matched, labels: tuple[str | None, str | None]
    ) -> None:
        self._sources, self._matched = (a, b), matched
        self._labels = labels[0] if labels[0] == labels[1] else None
        self._names = tuple(
            metadata_of(source.base()[self._labels], 'class_names', str) or () if self._labels else ()
            for source in self._sources
        )
        boxes = [{name for name, kind in columns_of(x).items() if kind_of(kind) == 'BoundingBox'} for x in (a, b)]
        self._boxes = next(iter(boxes[0] & boxes[1]), None) if len(boxes[0]) == len(boxes[1]) == 1 else None

    def changes(self, columns: Collection[str]) -> list[RowChange]:
        """The rows that differ in any of some columns."""
        differing: dict[int, list[str]] = {}
        for column in columns:
            for pair in self._differing(column):
                differing.setdefault(pair, []).append(column)
        pairs = sorted(differing)
        changes: list[RowChange] = []
        for piece in pieces(len(pairs), LIGHT_ROWS):
            chosen = pairs[piece]
            changes += [
                self._change(pair, tuple(differing[pair]), objects)
                for pair, objects in zip(chosen, self._objects(chosen), strict=True)
            ]
        return changes

    def _change(self, pair: int, columns: tuple[str, ...], objects: ObjectChanges) -> RowChange:
        place_a, place_b = self._matched.common[pair]
        row_a, row_b = int(self._sources[0].rows[place_a]), int(self._sources[1].rows[place_b])
        return RowChange(self._matched.keys_a[place_a], row_a, row_b, columns, objects)

    def _differing(self, column: str) -> list[int]:
        """Numbers of the common rows that have another value in a column."""
        found: list[int] = []
        for piece in pieces(len(self._matched.common), rows_at_once(columns_of(self._sources[0])[column])):
            one, other = (self._read(side, column, self._matched.common[piece, side]) for side in (0, 1))
            if not same_values(one, other):
                pairs = zip(one, other, strict=True)
                found += [piece.start + place for place, (x, y) in enumerate(pairs) if not same_values(x, y)]
        return found

    def _read(self, side: int, column: str, positions: np.ndarray) -> list[Any]:
        values = read_at(self._sources[side], column, positions)
        if column == self._labels and self._names[0] != self._names[1]:
            return [self._classes(side, value) for value in values]
        return values

    def _classes(self, side: int, labels: Any) -> list[str]:
        names = self._names[side]
        listed = [] if labels is None else np.asarray(labels).reshape(-1).tolist()
        return [
            str(label) if isinstance(label, str) or not 0 <= label < len(names) else names[int(label)]
            for label in listed
        ]

    def _objects(self, pairs: list[int]) -> list[ObjectChanges]:
        """What happened to the objects of some common rows."""
        if self._labels is None or self._boxes is None:
            return [ObjectChanges()] * len(pairs)
        sides = []
        for side, source in enumerate(self._sources):
            positions = self._matched.common[pairs, side]
            ids = read_at(source, _IDS, positions) if _IDS in columns_of(source) else [None] * len(pairs)
            boxes, labels = (read_at(source, name, positions) for name in (self._boxes, self._labels))
            sides.append(
                [
                    Objects.of(box, self._classes(side, label), own)
                    for box, label, own in zip(boxes, labels, ids, strict=True)
                ]
            )
        return [object_changes(one, other) for one, other in zip(*sides, strict=True)]
