"""What happened to the objects of one row between two versions: added, dropped, relabelled, moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Objects:
    """The objects of one row, N of them.

    Attributes:
        boxes: As stored, (N, 4).
        labels: Their classes, N names.
        ids: Their annotation ids, N of them and no two the same; or None.
    """

    boxes: np.ndarray
    labels: Sequence[str]
    ids: Sequence[Hashable] | None = None

    @classmethod
    def of(cls, boxes: Any, labels: Sequence[str], ids: Any) -> Objects:
        """Objects from what columns hold; ids are only used where they are one an object and all different."""
        boxes = np.zeros((0, 4)) if boxes is None else np.asarray(boxes).reshape(-1, 4)
        listed = None if ids is None else np.asarray(ids).reshape(-1).tolist()
        usable = listed is not None and len(listed) == len(set(listed)) == len(boxes) == len(labels)
        return cls(boxes, labels, listed if usable else None)


@dataclass(frozen=True)
class ObjectChanges:
    """How many objects changed, and how.

    Attributes:
        added, dropped: Objects of one version only.
        moved: Objects of the same annotation id with another box.
        relabelled: Class before and after, for each object of another class.
    """

    added: int = 0
    dropped: int = 0
    moved: int = 0
    relabelled: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        classes = Counter(f'{before} → {after}' for before, after in self.relabelled)
        listed = ', '.join(f'{change} ({count})' if count > 1 else change for change, count in classes.items())
        said = [f'{count} {what}' for what, count in (('added', self.added), ('dropped', self.dropped)) if count]
        said += [f'{self.moved} moved'] if self.moved else []
        said += [f'{len(self.relabelled)} relabelled: {listed}'] if self.relabelled else []
        return ', '.join(said)


def object_changes(a: Objects, b: Objects) -> ObjectChanges:
    """Compare the objects of a row in two versions.

    With annotation ids, an object is the same where its id is; without, where its box is the same, number by number.
    """
    if len(a.boxes) != len(a.labels) or len(b.boxes) != len(b.labels):  # no row that could be told apart
        return ObjectChanges(added=max(0, len(b.boxes) - len(a.boxes)), dropped=max(0, len(a.boxes) - len(b.boxes)))
    if a.ids is not None and b.ids is not None:
        return _by_id(a, b)
    return _by_box(a, b)


def _by_id(a: Objects, b: Objects) -> ObjectChanges:
    assert a.ids is not None and b.ids is not None
    places = {identity: place for place, identity in enumerate(b.ids)}
    pairs = [(place, places[identity]) for place, identity in enumerate(a.ids) if identity in places]
    return ObjectChanges(
        added=len(b.ids) - len(pairs),
        dropped=len(a.ids) - len(pairs),
        moved=sum(not np.array_equal(a.boxes[i], b.boxes[j]) for i, j in pairs),
        relabelled=tuple((a.labels[i], b.labels[j]) for i, j in pairs if a.labels[i] != b.labels[j]),
    )


def _by_box(a: Objects, b: Objects) -> ObjectChanges:
    before, after = (Counter(zip(map(tuple, x.boxes.tolist()), x.labels, strict=True)) for x in (a, b))
    gone, new = before - after, after - before
    relabelled = []
    for box, label in list(gone.elements()):
        match = next(((other, name) for other, name in new.elements() if other == box), None)
        if match is not None:
            relabelled.append((label, match[1]))
            gone -= Counter([(box, label)])
            new -= Counter([match])
    return ObjectChanges(added=new.total(), dropped=gone.total(), relabelled=tuple(relabelled))
