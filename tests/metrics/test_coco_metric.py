"""The metric evaluates the dataset that was predicted, and says so when it was another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from deeplake_mmdet import DeepLakeCocoMetric, DeepLakeDataset
from deeplake_mmdet.errors import ColumnError, ConfigError
from tests.support.tiny import write_tiny


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


def _perfect(dataset: DeepLakeDataset) -> list[dict]:
    """The ground truth of every sample as its prediction."""
    samples = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        boxes = [instance['bbox'] for instance in info['instances']]
        predicted = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.full((len(boxes),), 0.9),
            labels=torch.tensor([instance['bbox_label'] for instance in info['instances']], dtype=torch.int64),
        )
        samples.append(
            {
                'img_id': info['img_id'],
                'img_path': info['img_path'],
                'ori_shape': (info['height'], info['width']),
                'pred_instances': predicted,
            }
        )
    return samples


def _evaluate(dataset: DeepLakeDataset, samples: list[dict], **kwargs) -> dict:
    metric = DeepLakeCocoMetric(**kwargs)
    metric.dataset_meta = dataset.metainfo
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def _boxes(rows: int) -> list:
    return [[[2 + i, 3, 10, 12], [20, 5 + i, 15, 20]] for i in range(rows)]


def test_two_open_datasets_that_differ_in_their_image_ids_are_told_apart(tmp_path):
    boxes = _boxes(6)
    first = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'first', boxes=boxes), test_mode=True)
    ids = {'img_id': ('int64', np.arange(6)[::-1].copy())}
    second = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'second', boxes=boxes, extra=ids), test_mode=True)
    assert first.metainfo['deeplake']['digest'] != second.metainfo['deeplake']['digest']
    for dataset in (first, second):
        assert _evaluate(dataset, _perfect(dataset))['coco/bbox_mAP'] == 1


def test_a_subset_is_evaluated_on_its_own_images(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=_boxes(6))
    dataset = DeepLakeDataset(deeplake_path=path, test_mode=True, indices=[1, 4])
    assert _evaluate(dataset, _perfect(dataset))['coco/bbox_mAP'] == 1


@pytest.mark.parametrize(('iou_thrs', 'precision'), [(0.5, 1), ([0.5], 1), ([0.75], 0), ((0.5, 0.75), 0.5)])
def test_iou_thresholds_count_as_a_config_writes_them(tmp_path, iou_thrs, precision):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), test_mode=True)
    samples = _perfect(dataset)
    for sample in samples:  # a quarter of its width aside, a box has an IoU of 0.6
        boxes = sample['pred_instances'].bboxes
        boxes[:, ::2] += (boxes[:, 2:3] - boxes[:, :1]) / 4
    assert _evaluate(dataset, samples, iou_thrs=iou_thrs)['coco/bbox_mAP'] == precision


def test_predictions_of_another_dataset_are_refused(tmp_path):
    one, other = (DeepLakeDataset(deeplake_path=write_tiny(tmp_path / name), test_mode=True) for name in 'ab')
    with pytest.raises(ConfigError, match=r'no image of .*MultiDatasetsEvaluator'):
        _evaluate(one, _perfect(one) + _perfect(other))


def test_an_image_that_is_predicted_twice_is_refused(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), test_mode=True)
    with pytest.raises(ConfigError, match='several predictions for one image'):
        _evaluate(dataset, _perfect(dataset) + _perfect(dataset)[:1])


def test_segmentation_without_masks_is_refused(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), test_mode=True)
    with pytest.raises(ColumnError, match='metric asks for masks'):
        _evaluate(dataset, _perfect(dataset), metric='segm')


def test_a_dataset_of_another_kind_is_refused(tmp_path):
    metric = DeepLakeCocoMetric()
    metric.dataset_meta = dict(classes=('a',))
    with pytest.raises(ConfigError, match='expected the evaluated dataset to be one DeepLakeDataset'):
        metric.process({}, [])
