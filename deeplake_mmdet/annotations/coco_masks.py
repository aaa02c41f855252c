"""Whether a COCO segmentation can be drawn: rings of three points or more, or run lengths that fill the image.

pycocotools draws what is no mask as something else, or crashes: two points as a box, NaN as a corner, short run
lengths as chance pixels. So all that is stored is looked at before it gets there; it costs microseconds a mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

from deeplake_mmdet.annotations.rle import all_fill, rle_fault

# Pixels from the origin; pycocotools reserves memory for each pixel of an outline.
_FARTHEST = 1_000_000
_NUMBERS, _FORMS = {int, float}, {list, dict, type(None)}


def first_fault(segmentations: Sequence[Any], size_hw: tuple[int, int] | None) -> tuple[int, str] | None:
    """The first object of an image whose segmentation cannot be drawn, and its `mask_fault`; None if all can.

    Args:
        segmentations: One an object.
        size_hw: Height and width of the image; None where they are not known.
    """
    rings = [ring for mask in segmentations if type(mask) is list for ring in mask]
    rles = [mask for mask in segmentations if type(mask) is dict]
    known = {*map(type, segmentations)} <= _FORMS
    if known and (not rings or _all_plain(rings)) and (not rles or all_fill(rles, size_hw)):
        return None
    faults = ((number, mask_fault(mask, size_hw)) for number, mask in enumerate(segmentations))
    return next(((number, fault) for number, fault in faults if fault), None)


def mask_fault(segmentation: Any, size_hw: tuple[int, int] | None) -> str | None:
    """What is wrong with the segmentation of one object, as ``expected …, but got …``; None if nothing is.

    Args:
        segmentation: A list of rings ``[x, y, x, y, …]`` in pixels, an RLE, or None. Rings of no point at all are an
            empty mask; MMDetection ignores its object.
        size_hw: Height and width of the image; None where they are not known.
    """
    if segmentation is None:
        return None
    if isinstance(segmentation, dict):
        return rle_fault(segmentation, size_hw)
    if not isinstance(segmentation, list):
        return f'expected a list of rings, or an RLE of counts and size, but got {segmentation!r:.60}'
    return next(filter(None, map(_ring_fault, segmentation)), None)


def _ring_fault(ring: Any) -> str | None:
    if not isinstance(ring, list):
        return f'expected a list of rings [[x, y, x, y, …], …], but got {ring!r:.60} in place of a ring'
    wrong = next((value for value in ring if not _is_coordinate(value)), 0)
    if not _is_coordinate(wrong):
        return f'expected a list of rings of finite numbers, at most {_FARTHEST} pixels off, but got {wrong!r:.60}'
    if len(ring) % 2:
        return f'expected rings of pairs of x and y, but got one of {len(ring)} numbers'
    if 0 < len(ring) < 6:
        return f'expected polygons of three points or more, but got one of {len(ring) // 2}'
    return None


def _is_coordinate(value: Any) -> bool:
    return type(value) in _NUMBERS and -_FARTHEST <= value <= _FARTHEST


def _all_plain(rings: list[Any]) -> bool:
    """Whether no ring has a fault, at the speed of built-in functions."""
    if not {*map(type, rings)} <= {list} or any(len(ring) % 2 or 0 < len(ring) < 6 for ring in rings):
        return False
    values = [*chain.from_iterable(rings)]
    if not {*map(type, values)} <= _NUMBERS:
        return False
    # The sum finds NaN, which is neither more nor less than anything.
    return not values or (min(values) >= -_FARTHEST and max(values) <= _FARTHEST and math.isfinite(sum(values)))
