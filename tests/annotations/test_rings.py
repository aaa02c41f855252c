"""Rings of a bitmap: whatever its holes and corners, COCO draws exactly its pixels from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplake_mmdet.annotations.rings import mask_to_rings
from tests.support.masks import rasterise

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools


def test_a_pocket_that_touches_the_outside_at_a_corner_is_no_hole():
    mask = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    assert len(mask_to_rings(mask)) == 1 and np.array_equal(rasterise(mask_to_rings(mask), 3, 3), mask)


@settings(max_examples=150)
@given(mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_rings_rasterise_to_exactly_the_bitmap_whatever_its_holes(mask):
    rings = mask_to_rings(mask)
    assert np.array_equal(rasterise(rings, *mask.shape), mask)
    assert sum(rasterise([ring], *mask.shape).sum() for ring in rings) == mask.sum()


@given(st.integers(1, 9), st.integers(1, 9))
def test_a_rectangle_is_one_ring_of_four_corners(height, width):
    assert mask_to_rings(np.ones((height, width), np.uint8)) == [[0, 0, width, 0, width, height, 0, height]]


def test_an_object_far_from_the_corner_has_the_rings_that_it_has_in_the_corner():
    shape = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]], np.uint8)
    moved = np.zeros((30, 40), np.uint8)
    moved[20:24, 11:14] = shape
    wanted = [[value + (11, 20)[i % 2] for i, value in enumerate(ring)] for ring in mask_to_rings(shape)]
    assert mask_to_rings(moved) == wanted and len(wanted) == 2
