"""``filter_cfg.bbox_min_size`` has the same boxes ignored in training and in evaluation."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet import DeepLakeCocoMetric, DeepLakeDataset, DeepLakeVOCMetric
from deeplake_mmdet.errors import ConfigError
from tests.support.datasets import write_dataset

# Left, top, width, height of the boxes of three images of 16 x 20 pixels.
BOXES = [[[1, 1, 12, 9], [2, 3, 5, 4]], [[0, 0, 3, 12], [5, 5, 6, 6], [10, 2, 9, 2]], [[4, 4, 4, 4]]]
LABELS = [[0, 1], [0, 0, 1], [1]]
SMALLEST = 5


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture
def path(tmp_path):
    boxes = [np.array(row, 'float32') for row in BOXES]
    labels = [np.array(row, 'uint32') for row in LABELS]
    write_dataset(str(tmp_path / 'ds'), 3, values={'boxes': boxes, 'categories': labels})
    return str(tmp_path / 'ds')


def _ignored(path: str, **options) -> list[list[int]]:
    dataset = DeepLakeDataset(deeplake_path=path, **options)
    return [[i['ignore_flag'] for i in dataset.get_data_info(n)['instances']] for n in range(len(dataset))]


@pytest.mark.parametrize('test_mode', [False, True])
def test_boxes_narrower_or_lower_are_ignored_in_both_modes(path, test_mode):
    assert _ignored(path, filter_cfg=dict(bbox_min_size=SMALLEST), test_mode=test_mode) == [[0, 1], [1, 0, 1], [1]]
    assert _ignored(path, test_mode=test_mode) == [[0, 0], [0, 0, 0], [0]]


def _samples(dataset: DeepLakeDataset) -> list[dict]:
    """Every second box as it is and the others shifted, some of the wrong class, and one where nothing is."""
    samples, rng = [], np.random.default_rng(3)
    for n in range(len(dataset)):
        info = dataset.get_data_info(n)
        boxes = np.array([i['bbox'] for i in info['instances']] + [[0, 0, 2, 2]], np.float32)
        boxes[1::2] += 1
        labels = [i['bbox_label'] for i in info['instances']] + [0]
        predicted = InstanceData(
            bboxes=torch.tensor(boxes),
            scores=torch.tensor(rng.uniform(0.2, 1, len(boxes)).astype(np.float32)),
            labels=torch.tensor(labels),
        )
        shape = (info['height'], info['width'])
        samples.append({'img_id': info['img_id'], 'img_path': info['img_path'], 'ori_shape': shape})
        samples[-1]['pred_instances'] = predicted
    return samples


def _evaluate(metric, dataset: DeepLakeDataset) -> dict:
    metric.dataset_meta = dataset.metainfo
    metric.process({}, _samples(dataset))
    return metric.evaluate(len(dataset))


def _pycocotools(samples: list[dict]) -> list[float]:
    """The twelve numbers of pycocotools with the small boxes marked as crowd regions."""
    annotations, results = [], []
    for image, (boxes, labels) in enumerate(zip(BOXES, LABELS, strict=True)):
        for (x, y, w, h), label in zip(boxes, labels, strict=True):
            small = int(min(w, h) < SMALLEST)
            annotations.append(
                dict(id=len(annotations) + 1, image_id=image, category_id=label, bbox=[x, y, w, h], area=w * h)
            )
            annotations[-1]['iscrowd'] = small
        found = samples[image]['pred_instances']
        for (x1, y1, x2, y2), score, label in zip(
            found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        ):
            results.append(dict(image_id=image, category_id=label, bbox=[x1, y1, x2 - x1, y2 - y1], score=score))
    truth = COCO()
    truth.dataset = dict(images=[dict(id=i) for i in range(3)], annotations=annotations)
    truth.dataset['categories'] = [dict(id=0, name='cat'), dict(id=1, name='dog')]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def test_coco_counts_a_small_box_neither_as_missed_nor_as_found(path):
    dataset = DeepLakeDataset(deeplake_path=path, filter_cfg=dict(bbox_min_size=SMALLEST), test_mode=True)
    numbers = _evaluate(DeepLakeCocoMetric(metric='bbox', format_only=False), dataset)
    names = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
    expected = _pycocotools(_samples(dataset))
    assert [numbers[f'coco/bbox_{name}'] for name in names] == pytest.approx(expected[:6], abs=5e-4)
    everything = DeepLakeDataset(deeplake_path=path, test_mode=True)
    assert _evaluate(DeepLakeCocoMetric(metric='bbox'), everything)['coco/bbox_mAP'] != numbers['coco/bbox_mAP']


def test_voc_counts_a_small_box_as_a_difficult_one(path, tmp_path):
    small = [np.array([min(box[2:]) < SMALLEST for box in row], 'uint8') for row in BOXES]
    values = {'boxes': [np.array(row, 'float32') for row in BOXES], 'difficult': small}
    values['categories'] = [np.array(row, 'uint32') for row in LABELS]
    from deeplake import types

    write_dataset(str(tmp_path / 'marked'), 3, types={'difficult': types.Array('uint8', 1)}, values=values)
    marked = DeepLakeDataset(deeplake_path=str(tmp_path / 'marked'), test_mode=True)
    limited = DeepLakeDataset(deeplake_path=path, filter_cfg=dict(bbox_min_size=SMALLEST), test_mode=True)
    assert _evaluate(DeepLakeVOCMetric(), limited) == _evaluate(DeepLakeVOCMetric(), marked)


def test_a_metric_never_takes_a_dataset_with_another_smallest_box(path):
    plain = DeepLakeDataset(deeplake_path=path, test_mode=True)
    limited = DeepLakeDataset(deeplake_path=path, filter_cfg=dict(bbox_min_size=SMALLEST), test_mode=True)
    assert plain.metainfo['deeplake']['digest'] != limited.metainfo['deeplake']['digest']


@pytest.mark.parametrize('value', ['8', -1, True, float('nan')])
def test_a_smallest_box_that_is_no_number_of_pixels_is_refused(path, value):
    with pytest.raises(ConfigError, match=r'filter_cfg\.bbox_min_size=\) expected a number of pixels'):
        DeepLakeDataset(deeplake_path=path, filter_cfg=dict(bbox_min_size=value), test_mode=True)
