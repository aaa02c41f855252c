"""Masks of other column types: as COCO segmentations they are the same pixels, or they are refused."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from deeplake_mmdet.annotations.segmentations import segmentations
from deeplake_mmdet.errors import AnnotationError


@pytest.mark.parametrize('dtype', [bool, np.uint8, np.uint32])
def test_bitmaps_survive_the_round_trip(dtype: type) -> None:
    bitmaps = np.random.default_rng(0).integers(0, 2, (7, 9, 3)).astype(dtype)
    found = segmentations(bitmaps, (7, 9), 'here')
    assert np.array_equal(coco_mask.decode(found), bitmaps.astype(np.uint8))
    assert all(isinstance(item['counts'], str) for item in found), 'as JSON holds them'


def test_one_bitmap_without_a_third_dimension_is_one_object() -> None:
    assert len(segmentations(np.ones((7, 9), bool), (7, 9), 'here')) == 1


@pytest.mark.parametrize('polygons', [[np.float32([[0, 0], [4, 0], [4, 3]])], np.float32([[[0, 0], [4, 0], [4, 3]]])])
def test_polygons_become_one_ring_each(polygons: object) -> None:
    assert segmentations(polygons, (7, 9), 'here') == [[[0, 0, 4, 0, 4, 3]]]


@pytest.mark.parametrize(
    'nothing', [np.zeros((0, 0, 2), np.float32), [], np.zeros((7, 9, 0), bool), np.zeros((0, 0), bool)]
)
def test_no_objects_have_no_segmentations(nothing: object) -> None:
    assert segmentations(nothing, (7, 9), 'here') == []


def test_bitmaps_of_another_size_than_the_image_are_refused() -> None:
    with pytest.raises(AnnotationError, match=r'here: expected masks of the size of their image, \(7, 9\).*\(9, 7\)'):
        segmentations(np.ones((9, 7, 1), bool), (7, 9), 'here')


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(
        AnnotationError, match=r'here: expected polygons, or masks of shape .* but got int64 of shape \(3,\)'
    ):
        segmentations(np.arange(3), (7, 9), 'here')
    with pytest.raises(AnnotationError, match=r'here: expected polygons of shape \(points, 2\), but got \(2, 3\)'):
        segmentations([np.ones((2, 3), np.float32)], (7, 9), 'here')
