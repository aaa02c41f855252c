"""The PASCAL VOC metric: equal to MMDetection's own on samples with annotations, and to numbers made by hand."""

from __future__ import annotations

from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import torch
from mmdet.evaluation.functional import eval_recalls, mean_ap
from mmdet.evaluation.metrics import VOCMetric
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from deeplake_mmdet import DeepLakeDataset, DeepLakeVOCMetric
from deeplake_mmdet.errors import ConfigError
from tests.support.tiny import write_tiny

BOXES = [[[2 + i, 3, 10, 12], [20, 5 + i, 15, 20]] for i in range(6)]
DIFFICULT = ('int32', [np.array([i % 2, 0], np.int32) for i in range(6)])


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


def write(path) -> DeepLakeDataset:
    from deeplake import types

    extra = {'difficult': (types.Array('int32', 1), DIFFICULT[1])}
    tensors = dict(gt_difficult='difficult')
    return DeepLakeDataset(
        deeplake_path=write_tiny(path, boxes=BOXES, extra=extra), deeplake_tensors=tensors, test_mode=True
    )


def instances(boxes, labels, **more) -> InstanceData:
    return InstanceData(
        bboxes=torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4)),
        labels=torch.as_tensor(np.asarray(labels, np.int64)),
        **more,
    )


def samples(dataset: DeepLakeDataset, seed: int = 0) -> list[dict]:
    """Jittered ground truth and noise, with ties, beside the annotations that `VOCMetric` wants."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        truth = [(x['bbox'], x['bbox_label'], x['ignore_flag']) for x in info['instances']]
        boxes = [np.array(box) + rng.normal(0, 1.5, 4) for box, _, _ in truth] + [
            rng.uniform(0, 15, 4) + np.array([0, 0, 20, 20])
        ]
        labels = [label for _, label, _ in truth] + [int(rng.integers(2))]
        scores = torch.tensor(rng.integers(1, 6, len(boxes)) / 10, dtype=torch.float32)
        found.append(
            {
                'img_id': info['img_id'],
                'img_path': info['img_path'],
                'pred_instances': instances(boxes, labels, scores=scores),
                'gt_instances': instances([b for b, _, f in truth if not f], [k for _, k, f in truth if not f]),
                'ignored_instances': instances([b for b, _, f in truth if f], [k for _, k, f in truth if f]),
            }
        )
    return found


def evaluate(metric, dataset: DeepLakeDataset, found: list[dict]) -> dict:
    metric.dataset_meta = dataset.metainfo
    for sample in found:
        metric.process({}, [sample])
    return metric.evaluate(len(found))


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(iou_thrs=[0.5, 0.75], eval_mode='11points'),
    ],
)
def test_the_numbers_are_those_of_mmdetection_on_the_same_annotations(tmp_path, monkeypatch, options):
    monkeypatch.setattr(mean_ap, 'Pool', ThreadPool)  # it forks, which beside an open dataset can wait for ever
    dataset = write(tmp_path / 'ds')
    found = samples(dataset)
    ours = evaluate(DeepLakeVOCMetric(**options), dataset, found)
    theirs = evaluate(VOCMetric(**{'eval_mode': 'area', **options}), dataset, found)
    assert ours == theirs
    assert 0 < max(ours.values()) <= 1


def test_the_average_precision_is_that_of_a_curve_drawn_by_hand(tmp_path):
    dataset = DeepLakeDataset(
        deeplake_path=write_tiny(tmp_path / 'ds', boxes=[[[0, 0, 10, 10], [20, 20, 10, 10]]], labels=[[0, 0]]),
        test_mode=True,
    )
    # Right, wrong, right: precision 1 up to recall 1/2, then 2/3 up to recall 1. The second class has no box: no AP.
    boxes = [[0, 0, 10, 10], [0, 20, 8, 28], [20, 20, 30, 30]]
    predicted = instances(boxes, [0, 0, 0], scores=torch.tensor([0.9, 0.8, 0.7]))
    info = dataset.get_data_info(0)
    found = [{'img_id': info['img_id'], 'img_path': info['img_path'], 'pred_instances': predicted}]
    assert evaluate(DeepLakeVOCMetric(), dataset, found)['pascal_voc/mAP'] == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)


def test_recall_counts_the_best_scored_boxes_of_any_class(tmp_path):
    dataset = write(tmp_path / 'ds')
    found = samples(dataset)
    ours = evaluate(DeepLakeVOCMetric(metric='recall', iou_thrs=[0.5, 0.7], proposal_nums=(1, 3)), dataset, found)
    # MMDetection's function takes images with equally many boxes only: one image at a time.
    expected = np.zeros((2, 2))
    total = 0
    for sample in found:
        boxes, predicted = sample['gt_instances'].bboxes.numpy(), sample['pred_instances']
        scored = np.column_stack([predicted.bboxes.numpy(), predicted.scores.numpy()])
        expected += len(boxes) * eval_recalls([boxes], [scored], (1, 3), [0.5, 0.7], use_legacy_coordinate=True)
        total += len(boxes)
    names = ['recall@1@0.5', 'recall@1@0.7', 'recall@3@0.5', 'recall@3@0.7']
    assert [ours[f'pascal_voc/{name}'] for name in names] == pytest.approx((expected / total).ravel().tolist())
    assert ours['pascal_voc/AR@3'] == pytest.approx((expected / total)[1].mean())


def test_a_difficult_box_that_is_found_is_neither_right_nor_wrong(tmp_path):
    from deeplake import types

    extra = {'difficult': (types.Array('int32', 1), [np.array([0, 1], np.int32)])}
    path = write_tiny(tmp_path / 'ds', boxes=[BOXES[0]], labels=[[0, 0]], extra=extra)
    dataset = DeepLakeDataset(deeplake_path=path, deeplake_tensors=dict(gt_difficult='difficult'), test_mode=True)
    info = dataset.get_data_info(0)
    boxes = [instance['bbox'] for instance in info['instances']]
    predicted = instances(boxes, [0, 0], scores=torch.tensor([0.8, 0.9]))
    found = [{'img_id': info['img_id'], 'img_path': info['img_path'], 'pred_instances': predicted}]
    assert evaluate(DeepLakeVOCMetric(), dataset, found)['pascal_voc/mAP'] == pytest.approx(1.0)


def test_an_image_predicted_twice_is_refused(tmp_path):
    dataset = write(tmp_path / 'ds')
    with pytest.raises(ConfigError, match=r'DeepLakeVOCMetric got several predictions for one image'):
        evaluate(DeepLakeVOCMetric(), dataset, samples(dataset) * 2)


def test_predictions_for_another_dataset_are_refused(tmp_path):
    first, second = write(tmp_path / 'first'), write(tmp_path / 'second')
    metric = DeepLakeVOCMetric()
    metric.dataset_meta = first.metainfo
    with pytest.raises(ConfigError, match=r'DeepLakeVOCMetric got deeplake://.* which is no image of'):
        metric.process({}, samples(second))
