"""A Deep Lake dataset gives what `CocoDataset` gives for the same annotations: samples, losses, scores."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import LOAD
from .small_runs import TRAIN_PIPELINE, train_losses

FILTERS = (None, dict(filter_empty_gt=True, min_size=32), dict(filter_empty_gt=True), dict(min_size=64))
SOURCES = ('pair', 'bccd')


def _without_path(info: dict) -> dict:
    return {key: value for key, value in info.items() if key != 'img_path'}


def _plain(info: dict) -> dict:
    """Types apart (2 and 2.0 are equal), the same nested values."""
    return json.loads(json.dumps(_without_path(info)))


@pytest.mark.parametrize('source', SOURCES)
@pytest.mark.parametrize(('filter_cfg', 'test_mode'), list(itertools.product(FILTERS, (False, True))))
def test_every_data_info_equals_that_of_coco_dataset(request, source, filter_cfg, test_mode):
    pair = request.getfixturevalue(source)
    files = pair.coco(filter_cfg=filter_cfg, test_mode=test_mode)
    ours = pair.deeplake(filter_cfg=filter_cfg, test_mode=test_mode)
    assert len(ours) == len(files) > 0
    for i in range(len(files)):
        expected, found = files.get_data_info(i), ours.get_data_info(i)
        assert _plain(found) == _plain(expected)
        assert list(found) == list(expected)
        assert [list(instance) for instance in found['instances']] == [list(item) for item in expected['instances']]
        assert ours.get_cat_ids(i) == files.get_cat_ids(i)


def test_the_fixture_holds_every_oddity(pair):
    files = json.loads(Path(pair.ann_file).read_text())
    ours = pair.deeplake()
    flags = [instance['ignore_flag'] for i in range(len(ours)) for instance in ours.get_data_info(i)['instances']]
    assert 0 < sum(flags) < len(flags) < len(files['annotations'])
    assert any(not ours.get_data_info(i)['instances'] for i in range(len(ours)))
    assert any(annotation.get('ignore') for annotation in files['annotations'])


@pytest.mark.parametrize('classes', [('disc', 'bar'), ('box',), ('disc', 'box', 'unused', 'bar')])
def test_a_class_subset_selects_and_numbers_as_coco_dataset_does(pair, classes):
    changes = dict(metainfo=dict(classes=classes), filter_cfg=FILTERS[1])
    files, ours = pair.coco(**changes), pair.deeplake(**changes)
    assert ours.metainfo['classes'] == files.metainfo['classes'] == classes
    assert [_plain(ours.get_data_info(i)) for i in range(len(ours))] == [
        _plain(files.get_data_info(i)) for i in range(len(files))
    ]


def test_classes_in_another_order_are_mapped_by_name(pair):
    names = [category['name'] for category in json.loads(Path(pair.ann_file).read_text())['categories']]
    ours, reordered = pair.deeplake(), pair.deeplake(metainfo=dict(classes=tuple(names[::-1])))
    for i in range(len(ours)):
        by_name = [names[label] for label in ours.get_cat_ids(i)]
        assert [names[::-1][label] for label in reordered.get_cat_ids(i)] == by_name


@pytest.mark.parametrize('source', SOURCES)
def test_loaded_samples_have_the_same_pixels_boxes_and_labels(request, source):
    pair = request.getfixturevalue(source)
    files, ours = pair.coco(pipeline=LOAD), pair.deeplake(pipeline=LOAD)
    for i in range(0, len(files), 1 if source == 'pair' else 29):
        expected, found = files[i], ours[i]
        assert found['inputs'].dtype == expected['inputs'].dtype
        assert found['inputs'].equal(expected['inputs'])
        for part in ('gt_instances', 'ignored_instances'):
            a, b = found['data_samples'].get(part), expected['data_samples'].get(part)
            assert a.bboxes.tensor.equal(b.bboxes.tensor)
            assert a.labels.equal(b.labels)


def test_masks_equal_those_of_coco_dataset(pair):
    pipeline = [LOAD[0], dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
    files, ours = pair.coco(pipeline=pipeline), pair.deeplake(pipeline=pipeline)
    compared = 0
    for i in range(len(files)):
        a, b = ours[i]['gt_masks'], files[i]['gt_masks']
        assert np.array_equal(a.masks, b.masks)
        compared += len(a)
    assert compared > 20


@pytest.mark.parametrize('indices', [5, -4, [3, 0, 7]])
def test_indices_and_subsets_choose_as_base_dataset_does(pair, indices):
    files, ours = pair.coco(indices=indices), pair.deeplake(indices=indices)
    assert [_plain(ours.get_data_info(i)) for i in range(len(ours))] == [
        _plain(files.get_data_info(i)) for i in range(len(files))
    ]
    files, ours = pair.coco().get_subset(indices), pair.deeplake().get_subset(indices)
    assert [ours.get_data_info(i)['img_id'] for i in range(len(ours))] == [
        files.get_data_info(i)['img_id'] for i in range(len(files))
    ]
    with pytest.raises(IndexError):
        ours.get_data_info(len(ours))


@pytest.mark.parametrize('source', SOURCES)
def test_twenty_training_iterations_have_bit_identical_losses(request, source, tmp_path):
    pair = request.getfixturevalue(source)
    shared = dict(filter_cfg=FILTERS[1], pipeline=TRAIN_PIPELINE)
    files, ours = (
        train_losses(dict(type=kind, **config, **shared), pair.classes, tmp_path / kind)
        for kind, config in (('CocoDataset', pair.coco_config()), ('DeepLakeDataset', pair.deeplake_config()))
    )
    assert len(files) == 20
    assert all(np.isfinite(loss) for losses in files for loss in losses.values())
    assert ours == files
