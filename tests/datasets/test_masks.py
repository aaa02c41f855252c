"""Masks through `DeepLakeDataset`: columns of every kind, read when they are wanted and no sooner, or refused."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from deeplake import types
from mmengine.registry import init_default_scope
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader

from deeplake_mmdet import DeepLakeDataset
from deeplake_mmdet.errors import AnnotationError, ColumnError
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.masks import BOXES, SIZE, box_bitmaps, box_rings, packed, rasterise, write_masks
from tests.support.tiny import write_tiny

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools
LOAD_IMAGE, FINISH = dict(type='LoadImageFromFile'), dict(type='PackDetInputs')
LOAD_MASKS = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
PIPELINE = [LOAD_IMAGE, LOAD_MASKS, FINISH]
BITMAPS = [box_bitmaps(boxes) for boxes in BOXES]
RINGS = [box_rings(boxes) for boxes in BOXES]
POLYGONS = [[np.float32(ring).reshape(-1, 2) for (ring,) in row] or np.zeros((0, 0, 2), 'float32') for row in RINGS]
RLE = [json.dumps([packed(row[:, :, k]) for k in range(row.shape[2])]) for row in BITMAPS]
# Type, values, metadata `format`, and more keys of the dataset.
COLUMNS: dict[str, tuple[Any, list[Any], str, dict[str, Any]]] = {
    'BinaryMask lz4': (types.BinaryMask(sample_compression='lz4'), BITMAPS, '', {}),
    'BinaryMask zstd': (types.BinaryMask(sample_compression='zstd'), BITMAPS, '', {}),
    'BinaryMask plain': (types.BinaryMask(), BITMAPS, '', {}),
    'BinaryMask chunks': (types.BinaryMask(chunk_compression='lz4'), BITMAPS, '', {}),
    'BinaryMask of bytes': (types.BinaryMask('lz4'), [row.astype('uint8') * 255 for row in BITMAPS], '', {}),
    'Nullable BinaryMask': (types.Nullable(types.BinaryMask('lz4')), [BITMAPS[0], None, *BITMAPS[2:]], '', {}),
    'SegmentMask': (
        types.SegmentMask('uint16', 'lz4'),
        [row.astype('uint16') * 700 for row in BITMAPS],
        '',
        dict(deeplake_tensors=dict(gt_masks='masks')),
    ),
    'Polygon': (types.Polygon(), POLYGONS, '', {}),
    'Nullable Polygon': (types.Nullable(types.Polygon()), [POLYGONS[0], None, *POLYGONS[2:]], '', {}),
    'rings': (types.Text(), list(map(json.dumps, RINGS)), 'coco_segmentation', {}),
    'RLE of a file': (types.Text(), RLE, 'coco_segmentation', {}),
    'RLE of bitmaps': (types.Text(), RLE, 'coco_rle', {}),
    'Nullable text': (types.Nullable(types.Text()), [RLE[0], None, *RLE[2:]], 'coco_segmentation', {}),
}


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture
def reads(monkeypatch):
    """The rows of every read of the mask column, one list a call."""
    calls = []
    read, read_columns = SourceHandle.read, SourceHandle.read_columns

    def counting(self, column, rows):
        if column == 'masks':
            calls.append(list(rows))
        return read(self, column, rows)

    def counting_columns(self, columns, start, stop):
        assert 'masks' not in columns, 'all masks are read'
        return read_columns(self, columns, start, stop)

    monkeypatch.setattr(SourceHandle, 'read', counting)
    monkeypatch.setattr(SourceHandle, 'read_columns', counting_columns)
    return calls


def written(path, kind: str, **options: Any) -> DeepLakeDataset:
    column, values, text_format, keys = COLUMNS[kind]
    return DeepLakeDataset(write_masks(path, column, values, text_format=text_format), **keys, **options)


@pytest.mark.parametrize('kind', COLUMNS)
def test_every_kind_of_column_gives_the_pixels_that_it_holds(tmp_path, kind):
    dataset = written(tmp_path / 'ds', kind, pipeline=PIPELINE)
    for one, together, bitmaps in zip(dataset, dataset.__getitems__(range(4)), BITMAPS, strict=True):
        for sample in (one, together):
            masks = sample['data_samples'].gt_instances.masks
            assert np.array_equal(masks.masks.astype(bool), np.moveaxis(bitmaps, -1, 0))
    for masks, bitmaps in zip(dataset.all_masks(), BITMAPS, strict=True):
        assert [rasterise(mask, SIZE, SIZE).sum() for mask in masks] == bitmaps.sum(axis=(0, 1)).tolist()


@pytest.mark.parametrize('kind', [kind for kind in COLUMNS if kind not in ('RLE of a file', 'Nullable text')])
def test_every_kind_but_run_lengths_of_a_file_gives_polygons_of_the_same_pixels(tmp_path, kind):
    load = {**LOAD_MASKS, 'poly2mask': False}
    dataset = written(tmp_path / 'ds', kind, pipeline=[LOAD_IMAGE, load, FINISH])
    for sample, bitmaps in zip(dataset, BITMAPS, strict=True):
        masks = sample['data_samples'].gt_instances.masks
        assert type(masks).__name__ == 'PolygonMasks' and len(masks) == bitmaps.shape[2]
        assert np.array_equal(masks.to_ndarray().reshape(-1, SIZE, SIZE), np.moveaxis(bitmaps, -1, 0))


def test_an_object_without_a_pixel_is_trained_on_as_bitmap_and_ignored_as_polygon(tmp_path):
    bitmaps = [np.zeros_like(BITMAPS[0]), *BITMAPS[1:]]
    path = write_masks(tmp_path / 'ds', types.BinaryMask('lz4'), bitmaps)
    for poly2mask, kept in ((True, 2), (False, 0)):
        load = {**LOAD_MASKS, 'poly2mask': poly2mask}
        sample = DeepLakeDataset(path, pipeline=[LOAD_IMAGE, load, FINISH])[0]['data_samples']
        assert (len(sample.gt_instances), len(sample.ignored_instances)) == (kept, 2 - kept)


def test_a_start_and_a_pipeline_without_masks_read_none(tmp_path, reads):
    for kind in ('rings', 'BinaryMask lz4'):
        options = dict(filter_cfg=dict(filter_empty_gt=True, min_size=8), metainfo=dict(classes=('dog',)))
        plain = {**LOAD_MASKS, 'with_mask': False}
        dataset = written(tmp_path / kind, kind, pipeline=[LOAD_IMAGE, plain, FINISH], **options)
        assert dataset.metainfo['classes'] == ('dog',) and len(dataset) == 2
        pickle.loads(pickle.dumps(dataset)).__getitems__([0, 1])
        assert [len(dataset.get_cat_ids(i)) for i in range(2)] == [1, 1]
    assert reads == []


def test_masks_are_read_with_their_sample_and_those_of_a_batch_in_one_call(tmp_path, reads):
    dataset = written(tmp_path / 'ds', 'rings', pipeline=PIPELINE)
    assert reads == []
    dataset[2]
    assert reads == [[2]]
    dataset.__getitems__([3, 0, 1])
    assert reads == [[2], [3, 0, 1]]
    dataset[3]
    assert reads == [[2], [3, 0, 1], [3]], 'what was read ahead is forgotten'


def test_the_python_loader_reads_masks_one_by_one(tmp_path, reads):
    dataset = written(tmp_path / 'ds', 'rings', pipeline=PIPELINE, deeplake_dataloader_type='python')
    dataset.__getitems__([3, 0])
    assert reads == [[3], [0]]


def test_the_masks_of_some_images_are_read_in_one_call(tmp_path, reads):
    dataset = written(tmp_path / 'ds', 'rings')
    assert dataset.masks_of_images([3, 0]) == [dataset.masks_of(3), dataset.masks_of(0)] == [RINGS[3], RINGS[0]]
    assert reads == [[3, 0], [3], [0]]
    assert dataset.masks_of_images([]) == []


def test_bitmaps_of_many_images_are_read_a_few_at_a_time(tmp_path, reads):
    bitmap = box_bitmaps([[1, 1, 8, 9]])
    path = write_masks(tmp_path / 'ds', types.BinaryMask('lz4'), [bitmap] * 40, boxes=[[[1, 1, 8, 9]]] * 40)
    assert DeepLakeDataset(path).all_masks() == [[packed(bitmap[:, :, 0])]] * 40
    assert [row for rows in reads for row in rows] == list(range(40)) and max(map(len, reads)) <= 16


def test_masks_of_a_metric_without_a_point_are_none(tmp_path):
    texts = [json.dumps([None, [[]]]), '[]', json.dumps([[]]), json.dumps([[[], []], *RINGS[3][1:]])]
    path = write_masks(tmp_path / 'ds', types.Text(), texts, text_format='coco_segmentation')
    assert DeepLakeDataset(path).all_masks() == [[None, None], [], [None], [None, *RINGS[3][1:]]]


def test_a_reduced_class_list_takes_the_masks_of_its_own_objects(tmp_path):
    dataset = written(tmp_path / 'ds', 'rings', pipeline=PIPELINE, metainfo=dict(classes=('dog',)))
    for i, bitmaps in enumerate(BITMAPS):
        masks = dataset[i]['data_samples'].gt_instances.masks.masks
        assert np.array_equal(masks.astype(bool), np.moveaxis(bitmaps[:, :, 1::2], -1, 0))
    assert [len(row) for row in dataset.all_masks()] == [2, 0, 1, 3], 'of all boxes'


def test_a_query_and_a_worker_process_take_the_masks_of_their_rows(tmp_path):
    dataset = written(tmp_path / 'ds', 'Polygon', pipeline=PIPELINE, deeplake_query='select * where ROW_NUMBER() > 1')
    for method in ('fork', 'spawn'):
        loader = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=list, multiprocessing_context=method)
        ((one, other),) = loader
        for sample, bitmaps in ((one, BITMAPS[2]), (other, BITMAPS[3])):
            masks = sample['data_samples'].gt_instances.masks.masks
            assert np.array_equal(masks.astype(bool), np.moveaxis(bitmaps, -1, 0))


def _nested(step: dict) -> dict[str, list[dict]]:
    branches = dict(type='MultiBranch', branch_field=['a', 'b'], a=[step], b=[dict(type='PackDetInputs')])
    return {
        'alone': [step],
        'RandomApply': [dict(type='RandomApply', transforms=[step])],
        'RandomChoice': [dict(type='RandomChoice', transforms=[[dict(type='Resize', scale=(9, 9))], [step]])],
        'TransformBroadcaster': [dict(type='TransformBroadcaster', mapping=dict(img=['a', 'b']), transforms=[step])],
        'MultiBranch': [branches],
        'RandomOrder': [dict(type='RandomOrder', transforms=[step])],
        'two deep': [dict(type='RandomApply', transforms=[dict(type='RandomChoice', transforms=[[step]])])],
    }


@pytest.mark.parametrize('wrapper', _nested({}))
def test_a_step_that_loads_masks_is_found_inside_of(tmp_path, wrapper):
    for step, wanted in (
        (dict(type='LoadAnnotations', with_mask=False), None),
        (LOAD_MASKS, dict),
        ({**LOAD_MASKS, 'poly2mask': False}, list),
    ):
        dataset = written(tmp_path / str(wanted), 'RLE of bitmaps', pipeline=[LOAD_IMAGE, *_nested(step)[wrapper]])
        masks = [type(instance['mask']) for instance in dataset.get_data_info(0)['instances'] if 'mask' in instance]
        assert masks == [wanted] * 2 if wanted else masks == []


def test_samples_that_a_step_caches_are_not_searched_for_steps(tmp_path):
    cache = dict(type='CachedMosaic', img_scale=(40, 40), max_cached_images=4)
    dataset = written(tmp_path / 'ds', 'rings', pipeline=[LOAD_IMAGE, {**LOAD_MASKS, 'with_mask': False}, cache])
    dataset.pipeline.transforms[-1].results_cache = [{'step': dataset.pipeline}]
    assert all('mask' not in instance for instance in dataset.get_data_info(0)['instances'])


def test_a_switched_pipeline_decides_anew(tmp_path):
    from mmengine.dataset import Compose

    dataset = written(tmp_path / 'ds', 'rings', pipeline=[LOAD_IMAGE, {**LOAD_MASKS, 'with_mask': False}])
    assert 'gt_masks' not in dataset[0]
    dataset.pipeline = Compose([LOAD_IMAGE, LOAD_MASKS])
    assert len(dataset[0]['gt_masks']) == 2


TRIANGLE = np.float32([[0, 0], [4, 0], [4, 3]])
TEXT = (types.Text(), 'coco_segmentation')
BAD_ROWS = {
    'masks of another number': (*TEXT, '[null]', r"Column 'masks', row 3: expected a list of 3 masks, one a box, .*1"),
    'no masks': (*TEXT, '', r"Column 'masks', row 3: expected a list of 3 masks, one a box, but got 0"),
    'no JSON': (*TEXT, '[[[1, 2', r"Column 'masks', row 3: .*no JSON document"),
    'an RLE of another size': (
        *TEXT,
        json.dumps([None, packed(np.ones((9, 9))), None]),
        r"Column 'masks', row 3, object 1: expected an RLE of the size of its image, \(40, 40\).*got \(9, 9\)",
    ),
    'cut run lengths': (
        *TEXT,
        json.dumps([None, None, {**packed(BITMAPS[0][:, :, 0]), 'counts': packed(BITMAPS[0][:, :, 0])['counts'][:-3]}]),
        r"Column 'masks', row 3, object 2: expected run lengths",
    ),
    'two points in JSON': (*TEXT, '[null, null, [[1, 2, 3, 4]]]', r"'masks', row 3, object 2: .*three points or more"),
    'two points': (
        types.Polygon(),
        '',
        [TRIANGLE, TRIANGLE[:2], TRIANGLE],
        r"Column 'masks', row 3, object 1: expected polygons of three points or more, but got one of 2",
    ),
    'NaN': (types.Polygon(), '', [TRIANGLE, TRIANGLE, TRIANGLE * np.nan], r"'masks', row 3, object 2: .*but got nan"),
    'bitmaps of another size': (
        types.BinaryMask('lz4'),
        '',
        np.ones((39, 40, 3), bool),
        r"Column 'masks', row 3: expected masks of the size of their image, \(40, 40\).*got \(39, 40\)",
    ),
    'bitmaps of another number': (
        types.BinaryMask('lz4'),
        '',
        np.ones((40, 40, 2), bool),
        r"Column 'masks', row 3: expected a list of 3 masks, one a box, but got 2",
    ),
}


@pytest.mark.parametrize('case', BAD_ROWS)
def test_a_row_is_refused_by_sample_by_batch_and_by_metric_with(tmp_path, case):
    column, text_format, value, message = BAD_ROWS[case]
    kind = {'Text': 'rings', 'Polygon': 'Polygon'}.get(str(column.kind).rpartition('.')[2], 'BinaryMask lz4')
    values = [*COLUMNS[kind][1][:3], value]
    dataset = DeepLakeDataset(write_masks(tmp_path / 'ds', column, values, text_format=text_format), pipeline=PIPELINE)
    assert len(dataset[0]['data_samples'].gt_instances) == 2, 'the other rows are usable'
    for read in (lambda: dataset[3], lambda: dataset.__getitems__([0, 3]), dataset.all_masks):
        with pytest.raises(AnnotationError, match=message):
            read()


@pytest.mark.parametrize('nothing', ['null', '[]'])
def test_an_object_without_a_mask_has_none_and_cannot_be_loaded(tmp_path, nothing):
    texts = [*map(json.dumps, RINGS[:3]), f'[{json.dumps(RINGS[3][0])}, {nothing}, {json.dumps(RINGS[3][2])}]']
    path = write_masks(tmp_path / 'ds', types.Text(), texts, text_format='coco_segmentation')
    assert ['mask' in item for item in DeepLakeDataset(path).get_data_info(3)['instances']] == [True, False, True]
    with pytest.raises(AnnotationError, match=r"Column 'masks', row 3, object 1: expected a mask, because LoadAnn"):
        DeepLakeDataset(path, pipeline=PIPELINE)[3]


def test_another_missing_key_is_not_blamed_on_the_masks(tmp_path):
    with pytest.raises(KeyError, match='gt_boxes'):
        written(tmp_path / 'ds', 'rings', pipeline=[LOAD_IMAGE, LOAD_MASKS, lambda results: results['gt_boxes']])[0]


def test_masks_of_no_column_and_of_two_that_could_be_are_explained(tmp_path):
    two = {'one': (types.Polygon(), POLYGONS), 'other': (types.BinaryMask('lz4'), BITMAPS)}
    path = write_tiny(tmp_path / 'ds', boxes=BOXES, extra=two)
    for read in (lambda: DeepLakeDataset(path, pipeline=PIPELINE)[0], DeepLakeDataset(path).all_masks):
        with pytest.raises(ColumnError, match=r"asks for masks, and .* has 2 that could hold them: 'one', 'other'"):
            read()
    named = DeepLakeDataset(path, deeplake_tensors=dict(gt_masks='other'))
    assert coco_mask.area(named.all_masks()[0]).tolist() == [120, 450]
    with pytest.raises(ColumnError, match=r'asks for masks, but .* has no column of masks'):
        DeepLakeDataset(write_tiny(tmp_path / 'none'), pipeline=PIPELINE)[0]


def test_a_map_of_classes_is_not_taken_for_masks_unless_it_is_named(tmp_path):
    maps = (types.SegmentMask('uint8', 'lz4'), [np.zeros((SIZE, SIZE), 'uint8')] * 4)
    path = write_tiny(tmp_path / 'ds', boxes=BOXES, extra={'masks': maps, 'shapes': (types.Polygon(), POLYGONS)})
    dataset = DeepLakeDataset(path)
    assert dataset.columns.masks.name == 'shapes'
    with pytest.raises(AnnotationError, match=r"'masks', row 0: .*one map .*does not say which pixels"):
        DeepLakeDataset(path, deeplake_tensors=dict(gt_masks='masks')).all_masks()


def test_a_map_in_a_png_cannot_be_named(tmp_path):
    maps = (types.SegmentMask('uint8', 'png'), [np.zeros((SIZE, SIZE), 'uint8')] * 4)
    path = write_tiny(tmp_path / 'ds', boxes=BOXES, extra={'map': maps})
    with pytest.raises(ColumnError, match=r"gt_masks=\) names the column 'map'.*SegmentMask not stored as PNG"):
        DeepLakeDataset(path, deeplake_tensors=dict(gt_masks='map'))
