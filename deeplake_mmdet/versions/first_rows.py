"""The first rows of a selection: what a reader wants to see of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.versions.reading import columns_of, read_at
from deeplake_mmdet.versions.selection import Selection


@dataclass(frozen=True)
class RowSummary:
    """One row.

    Attributes:
        row: Its number in the version or view.
        file_name: What the column ``file_name`` says, or None without one.
        height, width: In pixels, as the columns of these names say; None without them.
        classes: How many objects each class has, the classes in the order of the objects.
    """

    row: int
    file_name: str | None
    height: int | None
    width: int | None
    classes: dict[str, int]

    @property
    def size(self) -> str | None:
        """Width and height in one word."""
        return None if self.height is None or self.width is None else f'{self.width}x{self.height}'

    @property
    def objects(self) -> str:
        """The classes and numbers in one text."""
        return ', '.join(f'{name} {count}' if count > 1 else name for name, count in self.classes.items())


def first_rows(selection: Selection, count: int) -> list[RowSummary]:
    """Summaries of the first rows of a selection, at most `count`.

    Raises:
        SourceError: The storage failed.
    """
    rows, columns = selection.rows[:count], columns_of(selection.source)

    def values(column: str | None) -> Sequence[Any]:
        if column not in columns:
            return [None] * len(rows)
        return read_at(selection.source, str(column), selection.positions[: len(rows)])

    read = zip(rows.tolist(), *map(values, ('file_name', 'height', 'width', selection.labels)), strict=True)
    return [
        RowSummary(row, name, _number(height), _number(width), _classes(selection, labels))
        for row, name, height, width, labels in read
    ]


def _number(value: Any) -> int | None:
    return None if value is None else int(np.asarray(value).reshape(-1)[0])


def _classes(selection: Selection, labels: Any) -> dict[str, int]:
    return dict(
        Counter(
            selection.class_name(label) for label in np.asarray([] if labels is None else labels).reshape(-1).tolist()
        )
    )
