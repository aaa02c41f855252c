"""Boxes: six readings of four numbers, converted exactly and verified over all boxes.

Boxes are kept as their column stores them; a conversion happens when somebody asks, in float64, with no rounding.
So a box of a COCO file comes out of an LTWH column of float64 exactly as `CocoDataset` computes it from the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.config.box_format import ALL_FORMATS, BoxFormat

# Boxes may reach out of their image a little (drawn by hand) or in a few cases (truncated objects).
_TOLERANCE_PX = 1.0
OUTSIDE_SHARE = 0.01


def to_xywh(boxes: np.ndarray, box_format: BoxFormat, sizes: np.ndarray) -> np.ndarray:
    """Left, top, width, height in absolute pixels.

    Args:
        boxes: Boxes as stored, shape (M, 4), any numeric dtype.
        box_format: Their reading.
        sizes: Height and width of each box's image, shape (M, 2); used by fractional readings only.

    Returns:
        float64 array of shape (M, 4). For LTWH pixels these are the stored numbers.
    """
    return np.stack(xywh_parts(boxes, box_format, sizes), axis=-1)


def to_xyxy(boxes: np.ndarray, box_format: BoxFormat, sizes: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom in absolute pixels; arguments and result as in `to_xywh`."""
    return np.stack(xyxy_parts(boxes, box_format, sizes), axis=-1)


def xywh_parts(boxes: np.ndarray, box_format: BoxFormat, sizes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four columns of `to_xywh`, each float64 of shape (M,); not copied where they are stored so."""
    a, b, c, d = _absolute(boxes, box_format, sizes)
    if box_format.mode == 'LTRB':
        return a, b, c - a, d - b
    if box_format.mode == 'CCWH':
        return a - c / 2, b - d / 2, c, d
    return a, b, c, d


def xyxy_parts(boxes: np.ndarray, box_format: BoxFormat, sizes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four columns of `to_xyxy`, as `xywh_parts`."""
    a, b, c, d = _absolute(boxes, box_format, sizes)
    if box_format.mode == 'LTRB':
        return a, b, c, d
    if box_format.mode == 'CCWH':
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return a, b, a + c, b + d


def _absolute(boxes: np.ndarray, box_format: BoxFormat, sizes: np.ndarray) -> tuple[np.ndarray, ...]:
    boxes = np.asarray(boxes, dtype=np.float64)
    if box_format.type == 'fractional':
        height, width = np.asarray(sizes, dtype=np.float64).T
        boxes = boxes * np.stack([width, height, width, height], axis=-1)
    return tuple(boxes.T)


@dataclass(frozen=True)
class Fit:
    """How well one reading fits a set of boxes.

    Attributes:
        negative: Indices of boxes whose width or height is negative.
        outside: Indices of boxes that reach more than a pixel out of their image.
        tiny: Whether pixel coordinates never exceed 1, as fractional ones do.
        total: Number of boxes.
    """

    negative: np.ndarray
    outside: np.ndarray
    tiny: bool
    total: int

    @property
    def plausible(self) -> bool:
        return not len(self.negative) and not self.tiny and len(self.outside) <= OUTSIDE_SHARE * self.total

    def __str__(self) -> str:
        if self.tiny:
            return 'no coordinate exceeds 1 pixel'
        return f'{len(self.negative)} of {self.total} boxes have a negative size, {len(self.outside)} leave their image'


def fit(boxes: np.ndarray, box_format: BoxFormat, sizes: np.ndarray) -> Fit:
    """Check one reading against the images; arguments as in `to_xywh`."""
    x1, y1, x2, y2 = xyxy_parts(boxes, box_format, sizes)
    height, width = np.asarray(sizes).T
    outside = (
        (x1 < -_TOLERANCE_PX) | (y1 < -_TOLERANCE_PX) | (x2 > width + _TOLERANCE_PX) | (y2 > height + _TOLERANCE_PX)
    )
    return Fit(
        negative=np.flatnonzero((x2 < x1) | (y2 < y1)),
        outside=np.flatnonzero(outside),
        tiny=box_format.type == 'pixel' and len(boxes) > 0 and bool(np.max(boxes) <= 1.0),
        total=len(boxes),
    )


def plausible_formats(boxes: np.ndarray, sizes: np.ndarray) -> list[BoxFormat]:
    """The readings under which the boxes lie in their images with sizes that are not negative."""
    return [candidate for candidate in ALL_FORMATS if fit(boxes, candidate, sizes).plausible]
