"""COCO segmentations: what MMDetection can load passes, what pycocotools would misread or crash at does not."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from deeplake_mmdet.annotations.coco_masks import first_fault, mask_fault

TRIANGLE = [0, 0, 9.5, 0, 9.5, 7]
GOOD: list[Any] = [None, [], [[]], [TRIANGLE], [TRIANGLE, [1, 1, 2, 2, 3, 1]], {'size': [6, 8], 'counts': [40, 8]}]
FAULTS = {
    'a text': ('rle', r"list of rings, or an RLE of counts and size, but got 'rle'"),
    'a number': (0, r'list of rings, or an RLE of counts and size, but got 0'),
    'a flat list': (TRIANGLE, r'list of rings \[\[x, y, x, y, …\], …\], but got 0 in place of a ring'),
    'points': ([[[0, 0], [1, 0], [1, 1]]], r'rings of finite numbers.*but got \[0, 0\]'),
    'texts': ([['1', 2, 3, 4, 5, 6]], r"rings of finite numbers.*but got '1'"),
    'nothing in a ring': ([[1, 2, 3, 4, 5, None]], r'rings of finite numbers.*but got None'),
    'a truth value': ([[1, 2, 3, 4, 5, True]], r'rings of finite numbers.*but got True'),
    'NaN': ([[1, 2, 3, 4, 5, math.nan]], r'finite numbers, at most 1000000 pixels off, but got nan'),
    'NaN at first': ([[math.nan, 2, 3, 4, 5, 6]], r'but got nan'),
    'infinity': ([[1, 2, 3, 4, 5, -math.inf]], r'finite numbers.*but got -inf'),
    'a far point, at which pycocotools crashes': ([[0, 0, 1e9, 0, 1e9, 1e9]], r'but got 1000000000\.0'),
    'a number that no float holds': ([[0, 0, 10**400, 0, 5, 5]], r'finite numbers.*but got 1000'),
    'an odd count': ([[1, 2, 3, 4, 5, 6, 7]], r'pairs of x and y, but got one of 7 numbers'),
    'two points': ([TRIANGLE, [1, 2, 3, 4]], r'polygons of three points or more, but got one of 2'),
    'one point': ([[1, 2]], r'polygons of three points or more, but got one of 1'),
    'short run lengths': ({'size': [6, 8], 'counts': [40, 7]}, r'fill 6 x 8 = 48 pixels, but got 47'),
}


@pytest.mark.parametrize('segmentation', GOOD, ids=str)
def test_what_can_be_drawn_passes(segmentation: Any) -> None:
    assert mask_fault(segmentation, (6, 8)) is None
    assert first_fault([segmentation], (6, 8)) is None


def test_no_object_has_no_fault() -> None:
    assert first_fault([], (6, 8)) is None
    assert first_fault(GOOD, (6, 8)) is None


@pytest.mark.parametrize('case', FAULTS)
def test_a_segmentation_is_refused_with(case: str) -> None:
    segmentation, message = FAULTS[case]
    assert re.search(message, str(mask_fault(segmentation, (6, 8))))
    number, fault = first_fault([*GOOD, segmentation, 'a later one'], (6, 8))
    assert (number, fault) == (len(GOOD), mask_fault(segmentation, (6, 8)))
