"""Columns of format 3: found by what they are, with class names, box formats and masks as Deep Lake 3 wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deeplake_mmdet.annotations.build import build_index
from deeplake_mmdet.config.box_format import ALL_FORMATS, BoxFormat
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.errors import AnnotationError, ColumnError, ConfigError
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.source.handle import SourceHandle
from tests.format3.reading import resolve

NAMED = {'img': 'images', 'gt_bboxes': 'ann/boxes', 'gt_labels': 'ann/labels'}
# The last row has no boxes of any shape, and no mask.
HEIGHT, WIDTH = 16, 20


@pytest.fixture(scope='module')
def handle(unpacked: Path) -> SourceHandle:
    return resolve(unpacked / 'columns')


def mapped(handle: SourceHandle, **tensors: str) -> Any:
    return map_columns(handle.base(), handle.selection(), {**NAMED, **tensors}, handle.scalars)


def dataset(unpacked: Path, **options: Any) -> DeepLakeDataset:
    tensors = {**NAMED, **options.pop('tensors', {})}
    return DeepLakeDataset(str(unpacked / 'columns'), deeplake_tensors=tensors, **options)


@pytest.mark.parametrize('form', ALL_FORMATS, ids=str)
def test_the_coordinates_of_a_box_tensor_are_its_format(handle: SourceHandle, form: BoxFormat) -> None:
    assert mapped(handle, gt_bboxes=f'boxes_{form.mode}_{form.type}').box_format == form


@pytest.mark.parametrize('form', ALL_FORMATS, ids=str)
def test_boxes_of_all_formats_are_the_same_boxes(unpacked: Path, form: BoxFormat) -> None:
    boxes = dataset(unpacked, tensors={'gt_bboxes': f'boxes_{form.mode}_{form.type}'}).index.xyxy(slice(None))
    wanted = [[1, 2, 6, 8], [1, 2, 6, 8], [2, 2, 7, 9], [1, 2, 6, 8]]
    np.testing.assert_allclose(boxes, wanted, rtol=0, atol=1e-5)


def test_boxes_without_coordinates_are_ltwh_pixels_and_the_log_says_so(unpacked: Path, handle: SourceHandle) -> None:
    index, remarks = build_index(handle, mapped(handle, gt_bboxes='boxes_bare'))
    assert index.box_format == BoxFormat('LTWH', 'pixel')
    assert remarks == [
        "The column 'boxes_bare' declares no box format: reading LTWH pixel boxes. Set deeplake_bbox_format to say "
        'otherwise.'
    ]
    assert build_index(handle, mapped(handle))[1] == []


def test_what_was_noticed_on_opening_is_for_the_log_too(unpacked: Path) -> None:
    handle = resolve(unpacked / 'tiled')
    columns = map_columns(handle.base(), handle.selection(), {}, handle.scalars)
    remarks = build_index(handle, columns)[1]
    assert 'is not committed' in remarks[0]
    assert 'the first 2 rows are read, as Deep Lake 3 does' in remarks[1]


def test_group_names_are_names_and_hidden_tensors_are_no_columns(handle: SourceHandle) -> None:
    assert mapped(handle)['gt_bboxes'] == 'ann/boxes'
    names = [column.name for column in handle.base().schema.columns]
    assert not [name for name in names if name.startswith('_') or '/_' in name]
    with pytest.raises(ColumnError, match=r"'_images_shape', which does not exist"):
        mapped(handle, img='_images_shape')


def test_class_names_are_read_and_a_tensor_without_them_has_none(unpacked: Path, handle: SourceHandle) -> None:
    assert mapped(handle).class_names == ('cat', 'dog')
    assert mapped(handle, gt_labels='labels_bare').class_names is None
    with pytest.raises(ConfigError, match=r"has no 'class_names'"):
        dataset(unpacked, tensors={'gt_labels': 'labels_bare'}).full_init()
    named = dataset(unpacked, tensors={'gt_labels': 'labels_bare'}, metainfo={'classes': ('x', 'y')})
    assert named.metainfo['classes'] == ('x', 'y')


def test_a_dataset_of_one_tensor_a_role_needs_no_names(unpacked: Path) -> None:
    handle = resolve(unpacked / 'history')
    found = map_columns(handle.base(), handle.selection(), {}, handle.scalars)
    assert dict(found.names) == {'img': 'images', 'gt_bboxes': 'boxes', 'gt_labels': 'categories'}


def test_a_tensor_of_one_number_a_row_may_be_an_image_id(unpacked: Path, handle: SourceHandle) -> None:
    assert handle.scalars == {'number'}
    assert dataset(unpacked, tensors={'img_id': 'number'}).index.img_ids.tolist() == [10, 11, 12, 13, 14]
    with pytest.raises(ColumnError, match=r"img_id=. names the column 'iscrowd'.*one value an image"):
        mapped(handle, img_id='iscrowd')


def test_empty_rows_are_images_without_boxes(unpacked: Path) -> None:
    data = dataset(unpacked)
    assert [len(data.get_data_info(i)['instances']) for i in range(len(data))] == [0, 1, 2, 1, 0]
    assert data.index.crowd.tolist() == [False, False, True, False], 'iscrowd is found by its name'


@pytest.mark.parametrize('column', ['images', 'gray', 'rgba', 'packed_lz4'])
def test_images_of_every_storage_are_files_that_decode(unpacked: Path, expected: dict[str, Any], column: str) -> None:
    data = dataset(unpacked, tensors={'img': column}, deeplake_query='select * limit 4')
    for row, wanted in enumerate(expected['columns']['values'][column][:4]):
        pixels = cv2.imdecode(np.frombuffer(data.images.get(row), np.uint8), cv2.IMREAD_UNCHANGED)
        height, width = wanted['shape'][:2]
        assert pixels.shape[:2] == (height, width) == tuple(data.index.sizes[row])


def test_tiles_are_one_image(unpacked: Path, expected: dict[str, Any]) -> None:
    import hashlib

    data = DeepLakeDataset(str(unpacked / 'tiled'))
    pixels = cv2.imdecode(np.frombuffer(data.images.get(1), np.uint8), cv2.IMREAD_COLOR)
    rgb = np.ascontiguousarray(pixels[..., ::-1])
    assert hashlib.sha256(rgb.tobytes()).hexdigest() == expected['tiled']['values']['images'][1]['sha256']
    info = data.get_data_info(1)
    assert (info['height'], info['width']) == (60, 80)


def test_links_are_images_where_no_images_are_stored(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(unpacked)
    data = DeepLakeDataset('linked')
    assert data.columns.image.is_link
    assert data.images.get(2) == (unpacked / 'linked_files' / '2.png').read_bytes()
    assert [data.get_data_info(i)['width'] for i in range(3)] == [20, 21, 22]


def masks_of(unpacked: Path, column: str) -> list[list[Any]]:
    return dataset(unpacked, tensors={'gt_masks': column}).all_masks()


def test_binary_masks_are_run_lengths_of_the_same_pixels(unpacked: Path, handle: SourceHandle) -> None:
    from pycocotools import mask as coco_mask

    stored = handle.read('binary_mask', range(5))
    for row, masks in enumerate(masks_of(unpacked, 'binary_mask')):
        assert len(masks) == (0, 1, 2, 1, 0)[row]
        for k, mask in enumerate(masks):
            assert np.array_equal(coco_mask.decode(mask).astype(bool), stored[row][:, :, k])


def test_polygons_are_rings_of_the_same_points(unpacked: Path, expected: dict[str, Any]) -> None:
    for masks, polygons in zip(masks_of(unpacked, 'polygons'), expected['columns']['values']['polygons'], strict=True):
        assert [np.reshape(ring, (-1, 2)).tolist() for (ring,) in masks] == polygons


@pytest.mark.parametrize('column', ['segment_mask', 'instance_map'])
def test_a_map_of_classes_holds_no_objects_masks(unpacked: Path, column: str) -> None:
    expected = {
        'segment_mask': (ColumnError, r"gt_masks=\) names the column 'segment_mask'.*SegmentMask not stored as PNG"),
        'instance_map': (AnnotationError, r"'instance_map', row 0: expected a layer for each of 0 boxes.*one map of"),
    }
    error, message = expected[column]
    with pytest.raises(error, match=message):
        masks_of(unpacked, column)


def test_mmdetection_loads_masks_of_both_kinds(unpacked: Path) -> None:
    for column in ('binary_mask', 'polygons'):
        data = dataset(
            unpacked,
            tensors={'gt_masks': column},
            pipeline=[
                dict(type='mmcv.LoadImageFromFile'),
                dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=column == 'binary_mask'),
            ],
        )
        masks = data[2]['gt_masks']
        assert (len(masks), masks.height, masks.width) == (2, HEIGHT, WIDTH)
        assert masks.to_ndarray().any()
