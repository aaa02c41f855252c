"""The masks of a row: whatever the column, COCO segmentations of its pixels, one a box, or an error that names it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from deeplake_mmdet.annotations.segmentations import segmentations
from deeplake_mmdet.errors import AnnotationError
from tests.support.masks import packed, rasterise

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools
SIZE = (7, 9)
TRIANGLE = [[0, 0], [4, 0], [4, 3]]
BITMAPS = np.random.default_rng(0).integers(0, 2, (*SIZE, 3)).astype(bool)


def of(value: Any, kind: str, objects: int, **options: Any) -> list[Any]:
    return segmentations(value, kind, objects, SIZE, 'here', **options)


@pytest.mark.parametrize('kind', ['BinaryMask', 'SegmentMask'])
@pytest.mark.parametrize('dtype', [bool, np.uint8, np.uint16, np.uint32, np.int64])
@pytest.mark.parametrize('value', [1, 255, 256])
def test_bitmaps_of_every_dtype_become_run_lengths_of_the_same_pixels(kind: str, dtype: Any, value: int) -> None:
    value = min(value, 255) if dtype is np.uint8 else value
    found = of((BITMAPS * value).astype(dtype), kind, 3)
    assert np.array_equal(coco_mask.decode(found).astype(bool), BITMAPS)
    assert all(isinstance(item['counts'], str) and item['size'] == [7, 9] for item in found), 'as JSON holds them'


def test_bitmaps_become_rings_of_the_same_pixels_where_polygons_are_asked_for() -> None:
    for found in (
        of(BITMAPS, 'BinaryMask', 3, as_rings=True),
        of(json.dumps([packed(BITMAPS[:, :, k]) for k in range(3)]), 'coco_rle', 3, as_rings=True),
    ):
        assert all(isinstance(mask, list) and type(mask[0][0]) is float for mask in found)
        assert np.array_equal(np.stack([rasterise(mask, *SIZE) for mask in found], axis=-1), BITMAPS)
    assert of(np.zeros((*SIZE, 1), bool), 'BinaryMask', 1, as_rings=True) == [[[]]], 'MMDetection ignores no points'


def test_the_run_lengths_of_a_file_stay_run_lengths_also_where_polygons_are_asked_for() -> None:
    masks = [packed(BITMAPS[:, :, 0]), {'size': [7, 9], 'counts': [0, 63]}, None, [[0, 0, 4, 0, 4, 3]]]
    for as_rings in (False, True):
        assert of(json.dumps(masks), 'coco_segmentation', 4, as_rings=as_rings) == masks


def test_one_bitmap_without_a_third_dimension_is_one_object() -> None:
    (found,) = of(BITMAPS[:, :, 0], 'BinaryMask', 1)
    assert np.array_equal(rasterise(found, *SIZE), BITMAPS[:, :, 0])


def test_an_object_without_a_pixel_keeps_its_mask_without_a_pixel() -> None:
    layers = np.stack([np.zeros(SIZE, bool), BITMAPS[:, :, 0]], axis=-1)
    found = of(layers, 'BinaryMask', 2)
    assert [rasterise(mask, *SIZE).sum() for mask in found] == [0, BITMAPS[:, :, 0].sum()]


@pytest.mark.parametrize('dtype', [np.float32, np.float64, np.int32, np.int64, np.uint8])
def test_polygons_of_every_dtype_become_one_ring_each(dtype: Any) -> None:
    square = [[1, 1], [6, 1], [6, 5], [1, 5]]
    ragged = [np.array(TRIANGLE, dtype), np.array(square, dtype)]
    assert of(ragged, 'Polygon', 2) == [[[0, 0, 4, 0, 4, 3]], [[1, 1, 6, 1, 6, 5, 1, 5]]]
    assert of(np.array([TRIANGLE, TRIANGLE], dtype), 'Polygon', 2) == [[[0, 0, 4, 0, 4, 3]]] * 2


NOTHING = {
    'Polygon': [np.zeros((0, 0, 2), np.float32), [], None],
    'BinaryMask': [np.zeros((*SIZE, 0), bool), np.zeros((0, 0), bool), np.zeros((0, 0, 0), np.uint8), None],
    'SegmentMask': [np.zeros((*SIZE, 0), np.uint32), np.zeros((0, 0), np.uint8), None],
    'coco_segmentation': ['[]', None],
    'coco_rle': ['[]', None],
}


@pytest.mark.parametrize(('kind', 'nothing'), [(kind, value) for kind, values in NOTHING.items() for value in values])
def test_no_objects_have_no_segmentations_and_nothing_is_no_mask_of_an_object(kind: str, nothing: Any) -> None:
    assert of(nothing, kind, 0) == []
    with pytest.raises(AnnotationError, match='here: expected a list of 2 masks, one a box, but got 0'):
        of(nothing, kind, 2)


def test_a_polygon_without_a_point_is_an_empty_mask() -> None:
    assert of([np.zeros((0, 2)), np.array(TRIANGLE)], 'Polygon', 2) == [[[]], [[0, 0, 4, 0, 4, 3]]]


MAP = np.array([[0, 1, 2], [0, 3, 3]], np.uint8).repeat(3, axis=1).repeat(4, axis=0)[:7, :9]
REFUSED = {
    'bitmaps of another size': (BITMAPS, 'BinaryMask', 3, (9, 9), r'here: expected masks of the size of their image, '),
    'objects first': (
        np.moveaxis(BITMAPS, -1, 0),
        'BinaryMask',
        3,
        SIZE,
        r'\(7, 9\) \(height, width\), but got \(3, 7\)\. The objects seem to come first: store them last',
    ),
    'a row of numbers': (np.arange(3), 'BinaryMask', 1, SIZE, r'shape \(height, width, objects\), but got int64 of'),
    'fractions': (BITMAPS * 0.5, 'BinaryMask', 3, SIZE, r'here: expected masks of shape .* but got float64 of shape'),
    'one bitmap for two boxes': (
        BITMAPS[:, :, 0],
        'BinaryMask',
        2,
        SIZE,
        r'a layer for each of 2 boxes, shape',
    ),
    'a map': (MAP, 'SegmentMask', 1, SIZE, r'here: .*one map of shape \(7, 9\), which does not say .*gt_masks=…'),
    'a map of one value': (MAP > 0, 'SegmentMask', 1, SIZE, r'here: .*which does not say which pixels'),
    'a map as a layer': (
        MAP[:, :, None],
        'SegmentMask',
        1,
        SIZE,
        r'object 0: expected a layer of one value .*\[0, 1',
    ),
    'another number of layers': (
        BITMAPS,
        'BinaryMask',
        2,
        SIZE,
        r'here: expected a list of 2 masks.*but got 3',
    ),
    'another number of polygons': ([np.array(TRIANGLE)], 'Polygon', 2, SIZE, r'expected a list of 2 masks.*but got 1'),
    'texts of another number': ('[null]', 'coco_segmentation', 2, SIZE, r'expected a list of 2 masks.*but got 1'),
    'points in space': ([np.ones((4, 3))], 'Polygon', 1, SIZE, r'object 0: expected a polygon of shape \(points, 2\)'),
    'two points': (
        [np.array(TRIANGLE), np.ones((2, 2))],
        'Polygon',
        2,
        SIZE,
        r'here, object 1: .*three points',
    ),
    'NaN': ([np.full((3, 2), np.nan)], 'Polygon', 1, SIZE, r'here, object 0: expected .*finite numbers.*got nan'),
    'no JSON': ('[[1, 2', 'coco_segmentation', 1, SIZE, r'here: expected a JSON list .*no JSON document: .*column 7'),
    'endless nesting': ('[' * 100_000, 'coco_segmentation', 1, SIZE, r'here: .*no JSON document: .*recursion'),
    'zeros': ('\0' * 9, 'coco_segmentation', 1, SIZE, r'here: .*no JSON document'),
    'an object': ('{"a": 1}', 'coco_segmentation', 1, SIZE, r'here: expected a JSON list of masks, but got a dict'),
    'a wrong ring': ('[null, [[1, 2, 3]]]', 'coco_segmentation', 2, SIZE, r'here, object 1: .*one of 3 numbers\. Corr'),
    'infinity': ('[[[0, 0, 1e999, 0, 1, 1]]]', 'coco_segmentation', 1, SIZE, r'finite numbers.*but got inf'),
    'NaN in JSON': ('[[[0, 0, NaN, 0, 1, 1]]]', 'coco_segmentation', 1, SIZE, r'finite numbers.*but got nan'),
    'an RLE of another size': (
        json.dumps([packed(BITMAPS[:, :, 0])]),
        'coco_rle',
        1,
        (9, 7),
        r'here, object 0: .*size',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_a_row_is_refused_with(case: str) -> None:
    value, kind, objects, size_hw, message = REFUSED[case]
    with pytest.raises(AnnotationError, match=message):
        segmentations(value, kind, objects, size_hw, 'here')


def test_fractions_become_pixels_of_the_width_and_the_height() -> None:
    masks = [[[0.5, 0.25, 1, 0, 0.1, 1.005]], None, [[]]]
    found = of(json.dumps(masks), 'coco_segmentation_fractional', 3)
    assert found == [[[4.5, 1.75, 9, 0, 0.1 * 9, 1.005 * 7]], None, [[]]]


@pytest.mark.parametrize(
    ('masks', 'message'),
    [
        ([[[0.5, 0.5, 1, 1]]], r'here, object 0: expected polygons of three points or more, but got one of 2'),
        ([[[1e6, 0, 1, 1, 0, 1]]], r'here, object 0: expected .* at most 1000000 pixels off, but got 9000000'),
        ([None, [['a']]], r"here, object 1: expected a list of rings of finite numbers.*'a'"),
    ],
)
def test_fractions_that_cannot_be_drawn_are_refused(masks: list[Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        of(json.dumps(masks), 'coco_segmentation_fractional', len(masks))
