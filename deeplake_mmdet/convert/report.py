"""What a conversion did and what it noticed: counts for the table at its end, and oddities named by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

NAMED = 5  # how many files an oddity names before it only counts

ZERO_AREA = 'boxes of zero area'
NEGATIVE = 'boxes of negative size'
OUTSIDE = 'boxes that reach out of their image'
FRACTIONAL = 'boxes with fractional corners, truncated'
OTHER_SIZE = 'images of another size than annotated'
ODDITIES = (ZERO_AREA, NEGATIVE, OUTSIDE, FRACTIONAL, OTHER_SIZE)


@dataclass
class ConversionReport:
    """Counts of one conversion.

    Args:
        path: Of the new dataset.
        class_names: In label order.
        rows: Images written.
        boxes: How many boxes each class has, by name; a class without boxes is there with 0.
        empty: Images without boxes.
        views: How many rows each saved view selects, by name.
        oddities: For each kind of oddity, the file name of each occurrence.
    """

    path: str
    class_names: Sequence[str]
    rows: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    views: Mapping[str, int] = field(default_factory=dict)
    oddities: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.boxes.update(dict.fromkeys(self.class_names, 0))

    def note(self, kind: str, file_name: str, times: int = 1) -> None:
        """Counts an oddity of the given kind ``times`` times."""
        if times:
            self.oddities.setdefault(kind, []).extend([file_name] * times)

    def count(self, file_name: str, ltwh: np.ndarray, labels: np.ndarray, size_hw: tuple[int, int]) -> None:
        """Counts one row.

        Args:
            file_name: Of the image.
            ltwh: Boxes as left, top, width and height in pixels, float, (N, 4).
            labels: Positions in ``class_names``, int, (N,).
            size_hw: Height and width of the image in pixels.
        """
        self.rows += 1
        self.empty += not len(labels)
        self.boxes.update(self.class_names[label] for label in labels.tolist())
        corner, size = ltwh[:, :2], ltwh[:, 2:]
        negative = (size < 0).any(1)
        self.note(NEGATIVE, file_name, int(negative.sum()))
        self.note(ZERO_AREA, file_name, int(((size == 0).any(1) & ~negative).sum()))
        limit = np.array([size_hw[1], size_hw[0]]) + 1  # a pixel of slack: both conventions of the last pixel are met
        self.note(OUTSIDE, file_name, int(((corner < -1) | (corner + size > limit)).any(1).sum()))

    def table(self) -> str:
        """The summary as lines of text."""
        lines = [('images', f'{self.rows}'), ('without boxes', f'{self.empty}'), ('boxes', f'{self.boxes.total()}')]
        lines += [(f'  {name}', f'{self.boxes[name]}') for name in self.class_names]
        lines += [(f'view {name!r}', f'{rows} images') for name, rows in self.views.items()]
        lines += [(kind, _named(self.oddities[kind])) for kind in ODDITIES if kind in self.oddities]
        width = max(len(name) for name, _ in lines)
        return '\n'.join(f'{name:<{width}}  {text}' for name, text in lines)


def _named(files: Sequence[str]) -> str:
    names = list(dict.fromkeys(files))
    more = f', and {len(names) - NAMED} more' if len(names) > NAMED else ''
    return f'{len(files)} ({", ".join(names[:NAMED])}{more})'
