"""What a conversion did and what it noticed: counts for the table at its end, and oddities named by file."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deeplake_mmdet.convert.report_table import NAMED, table_of
from deeplake_mmdet.errors import ConversionError

SMALL, LARGE = 32**2, 96**2  # square pixels, as COCO counts objects

ZERO_AREA = 'boxes of zero area'
DROPPED = 'boxes of zero area, dropped'
NEGATIVE = 'boxes of negative size'
OUTSIDE = 'boxes that reach out of their image'
FRACTIONAL = 'boxes with fractional corners, truncated'
CUT_OFF = 'images whose end is missing'
MISSING = 'images that are missing, left out'
UNREADABLE = 'images that cannot be read, left out'
OTHER_SIZE = 'images of another size than annotated, left out'
MEASURED = 'images of another size than annotated, which was taken'
DECIDED = (DROPPED, MISSING, UNREADABLE, OTHER_SIZE, MEASURED)  # options say what to do about them


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
        examples: For some kinds, the first occurrences in words: file name, class, annotation.
        image_sizes: How many images there are of each width and height in pixels.
        resumed_at: How many images an earlier run had done; None when this run began.
        strict: Whether an oddity is an error.
    """

    path: str
    class_names: Sequence[str]
    rows: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    views: Mapping[str, int] = field(default_factory=dict)
    oddities: dict[str, list[str]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    image_sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    resumed_at: int | None = None
    strict: bool = False
    _areas: array = field(default_factory=lambda: array('d'), repr=False)
    _box_areas: array = field(default_factory=lambda: array('d'), repr=False)

    def __post_init__(self) -> None:
        self.boxes.update(dict.fromkeys(self.class_names, 0))

    def note(self, kind: str, file_name: str, times: int = 1, examples: Iterable[str] = ()) -> None:
        """Counts an oddity of the given kind ``times`` times.

        Raises:
            ConversionError: The report is strict, and no option says what to do about the oddity.
        """
        if not times:
            return
        told = [f'{file_name}: {example}' for example in examples]
        if self.strict and kind not in DECIDED:
            raise ConversionError(
                f'convert(strict=True) expected nothing odd, but got {kind}: {(told or [file_name])[0]}. '
                'Correct it, or leave out --strict to have it listed only.'
            )
        self.oddities.setdefault(kind, []).extend([file_name] * times)
        if told:
            listed = self.examples.setdefault(kind, [])
            listed.extend(told[: max(0, NAMED - len(listed))])

    def note_boxes(self, kind: str, file_name: str, odd: Any, labels: np.ndarray, ids: np.ndarray | None) -> None:
        """Counts the boxes of one image that are odd.

        Args:
            kind: Of oddity.
            file_name: Of the image.
            odd: Which boxes are, bool, (N,).
            labels: Positions in ``class_names``, int, (N,).
            ids: Of the annotations, int, (N,); None where they have none.
        """
        if not odd.any():
            return
        places = np.flatnonzero(odd)
        what = ('annotation', ids) if ids is not None else ('object', np.arange(1, len(odd) + 1))
        named = (f'{self.class_names[labels[place]]}, {what[0]} {what[1][place]}' for place in places.tolist())
        self.note(kind, file_name, len(places), named)

    def count(
        self,
        file_name: str,
        ltwh: np.ndarray,
        labels: np.ndarray,
        size_hw: tuple[int, int],
        *,
        areas: np.ndarray | None = None,
        ids: np.ndarray | None = None,
    ) -> None:
        """Counts one row.

        Args:
            file_name: Of the image.
            ltwh: Boxes as left, top, width and height in pixels, float, (N, 4).
            labels: Positions in ``class_names``, int, (N,).
            size_hw: Height and width of the image in pixels.
            areas: Of the objects in square pixels, (N,); by default those of the boxes.
            ids: Of the annotations, int, (N,); None where they have none.
        """
        self.rows += 1
        self.image_sizes[size_hw[1], size_hw[0]] += 1
        self.empty += not len(labels)
        if not len(labels):
            return
        self.boxes.update(self.class_names[label] for label in labels.tolist())
        corner, size = ltwh[:, :2], ltwh[:, 2:]
        product = size.prod(1)
        self._box_areas.extend(product.tolist())
        self._areas.extend((product if areas is None else areas).tolist())
        if size.min() <= 0:
            negative = (size < 0).any(1)
            self.note_boxes(NEGATIVE, file_name, negative, labels, ids)
            self.note_boxes(ZERO_AREA, file_name, (product == 0) & ~negative, labels, ids)
        limit = (size_hw[1] + 1, size_hw[0] + 1)  # a pixel of slack: both conventions of the last pixel are met
        outside = ((corner < -1) | (corner + size > limit)).any(1)
        self.note_boxes(OUTSIDE, file_name, outside, labels, ids)

    @property
    def box_sizes(self) -> dict[str, int]:
        """How many boxes are 'small', 'medium' and 'large' by the area of their objects, as COCO counts them."""
        areas = np.array(self._areas)
        small, large = int((areas < SMALL).sum()), int((areas > LARGE).sum())
        return {'small': small, 'medium': len(areas) - small - large, 'large': large}

    @property
    def sides(self) -> np.ndarray:
        """The square root of the area of each box, in pixels, float64."""
        return np.sqrt(np.abs(np.array(self._box_areas)))

    def table(self) -> str:
        """The summary as lines of text."""
        return table_of(self)
