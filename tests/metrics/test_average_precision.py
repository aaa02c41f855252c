"""Average precision as PASCAL VOC defines it: MMDetection's own numbers, and those of a computation written plainly."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
from mmdet.evaluation.functional import bbox_overlaps, eval_map, mean_ap

from deeplake_mmdet.metrics import box_pairs
from deeplake_mmdet.metrics.average_precision import class_precisions
from deeplake_mmdet.metrics.box_pairs import pair_ious, pairs_in_groups
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from tests.support.evaluations import random_detections, random_truth

MODES = ('area', '11points')
THRESHOLDS = (0.3, 0.5, 0.7, 0.75)


def measured(truth: GroundTruth, detections: Detections, mode: str, thresholds=THRESHOLDS) -> np.ndarray:
    """Average precision of each class at each threshold."""
    return np.array([[row.ap for row in rows] for rows in class_precisions(truth, detections, thresholds, mode)])


def as_mmdet_takes_it(truth: GroundTruth, detections: Detections) -> tuple[list, list]:
    """The same as `eval_map` takes it: detections by image and class, annotations by image."""
    found, annotations = [], []
    true_boxes = truth.boxes_xyxy.astype(np.float32)
    scored = np.column_stack([detections.boxes, detections.scores])
    for image in range(len(truth)):
        part, objects = detections.of_image(image), truth.of_image(image)
        found.append([scored[part][detections.labels[part] == label] for label in range(len(truth.classes))])
        ignored = truth.ignored[objects]
        annotations.append(
            {
                'bboxes': true_boxes[objects][~ignored],
                'labels': truth.labels[objects][~ignored],
                'bboxes_ignore': true_boxes[objects][ignored],
                'labels_ignore': truth.labels[objects][ignored],
            }
        )
    return found, annotations


def of_mmdet(truth: GroundTruth, detections: Detections, mode: str, thresholds=THRESHOLDS) -> np.ndarray:
    found, annotations = as_mmdet_takes_it(truth, detections)
    results = [
        eval_map(found, annotations, iou_thr=thr, logger='silent', eval_mode=mode, use_legacy_coordinate=True)[1]
        for thr in thresholds
    ]
    return np.array([[row['ap'] if row['num_gts'] else np.nan for row in rows] for rows in results])


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('seed', range(4))
def test_every_class_has_the_precision_that_mmdetection_gives_it_to_the_last_bit(monkeypatch, mode, seed):
    monkeypatch.setattr(mean_ap, 'Pool', ThreadPool)  # it forks, which beside an open dataset can wait for ever
    images = (1, 12, 40, 40)[seed]
    truth = random_truth(seed, images, objects=5 + 5 * seed, crowd=0.2)
    # Scores in steps of 0.1: most of them tie, within an image and across images.
    detections = random_detections(truth, seed, noise=4 + 8 * seed)
    ours = measured(truth, detections, mode)
    np.testing.assert_array_equal(ours, of_mmdet(truth, detections, mode))
    assert np.isnan(ours[:, -1]).all()  # the class without an object
    assert (ours[:, :-1] > 0).any()


def plain_iou(a: list[float], b: list[float]) -> float:
    """IoU of two boxes whose last pixel counts."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    overlap = max(width, 0) * max(height, 0)
    return overlap / (sum((x2 - x1 + 1) * (y2 - y1 + 1) for x1, y1, x2, y2 in (a, b)) - overlap)


def plain_precision(truth: GroundTruth, detections: Detections, label: int, iou_thr: float, mode: str) -> float:
    """Average precision of one class by the rules of the PASCAL VOC development kit, detection by detection."""
    true_boxes, image_of = truth.boxes_xyxy.tolist(), truth.image_of
    total = sum(int(k == label and not ignored) for k, ignored in zip(truth.labels, truth.ignored, strict=True))
    order = sorted(np.flatnonzero(detections.labels == label), key=lambda i: -detections.scores[i])
    taken, curve, right, wrong = set(), [], 0, 0
    for i in order:
        rivals = np.flatnonzero((image_of == detections.image_of[i]) & (truth.labels == label))
        overlaps = {int(o): plain_iou(detections.boxes[i].tolist(), true_boxes[o]) for o in rivals}
        best = max(overlaps, key=lambda o: (overlaps[o], not truth.ignored[o]), default=-1)
        if best < 0 or overlaps[best] < iou_thr:
            wrong += 1
        elif truth.ignored[best]:
            continue
        elif best in taken:
            wrong += 1
        else:
            taken.add(best)
            right += 1
        curve.append((right / total, right / (right + wrong)))
    if mode == '11points':
        return sum(max([p for r, p in curve if r >= step / 10], default=0) for step in range(11)) / 11
    area, before = 0.0, 0.0
    for recall, _ in curve:
        area += (recall - before) * max(p for r, p in curve if r >= recall)
        before = recall
    return area


@pytest.mark.parametrize('mode', MODES)
def test_every_class_has_the_precision_that_the_rules_of_pascal_voc_give_it(mode):
    rng = np.random.default_rng(7)
    truth = random_truth(7, 20, objects=5, crowd=0.2)
    drawn = random_detections(truth, 7, noise=4)
    scores = rng.permutation(len(drawn.scores)).astype(np.float32) / len(drawn.scores)
    boxes = drawn.boxes + rng.normal(0, 0.4, drawn.boxes.shape).astype(np.float32)
    detections = replace(drawn, scores=scores, boxes=boxes)  # no ties: the rules leave them open
    assert truth.ignored.any()
    assert (np.diff(truth.offsets) == 0).any()
    expected = [[plain_precision(truth, detections, label, thr, mode) for label in (0, 1)] for thr in THRESHOLDS]
    np.testing.assert_allclose(measured(truth, detections, mode)[:, :2], expected, rtol=1e-5)


def test_an_overlap_of_exactly_the_threshold_is_found():
    truth = random_truth(0, 1, ('cat',), objects=0)
    truth = replace(
        truth,
        offsets=np.array([0, 1]),
        boxes_xywh=np.array([[0.0, 0, 9, 9]]),
        labels=np.array([0]),
        ignored=np.array([False]),
    )
    nothing = random_detections(truth, 0, share=0, noise=0)
    found = replace(
        nothing,
        offsets=np.array([0, 1]),
        boxes=np.array([[0, 0, 9, 6]], np.float32),  # 70 of 100 pixels
        scores=np.array([0.5], np.float32),
        labels=np.array([0]),
    )
    assert measured(truth, found, 'area', [0.7, 0.71]).tolist() == [[1.0], [0.0]]


def test_few_pairs_at_a_time_give_the_same_numbers(monkeypatch):
    truth = random_truth(3, 20, objects=8)
    detections = random_detections(truth, 3)
    whole = measured(truth, detections, 'area')
    monkeypatch.setattr(box_pairs, '_PAIRS', 3)
    np.testing.assert_array_equal(measured(truth, detections, 'area'), whole)


def test_a_box_of_a_model_that_has_diverged_finds_nothing_and_harms_no_other(monkeypatch, recwarn):
    monkeypatch.setattr(box_pairs, '_PAIRS', 1)  # each such box is looked at by itself, too
    truth = random_truth(5, 10, objects=4)
    detections = random_detections(truth, 5)
    boxes = detections.boxes.copy()
    boxes[::4] = [-3e38, -3e38, 3e38, 3e38]
    boxes[1::4] = [-3e38, 5, 3e38, 4]  # an area of infinity times zero
    diverged = replace(detections, boxes=boxes)
    found, annotations = as_mmdet_takes_it(truth, diverged)
    for label in (0, 1):
        rows = mean_ap.get_cls_results(found, annotations, label)
        right = [
            mean_ap.tpfp_default(*image, iou_thr=0.5, use_legacy_coordinate=True)[0].sum()
            for image in zip(*rows, strict=True)
        ]
        [classes] = class_precisions(truth, diverged, [0.5], 'area')
        assert classes[label].recall == sum(right) / classes[label].objects
    recwarn.clear()
    list(class_precisions(truth, diverged, [0.5], 'area'))
    assert not recwarn


@pytest.mark.parametrize('legacy', [True, False])
def test_overlaps_are_those_of_mmdetection_to_the_last_bit(legacy):
    rng = np.random.default_rng(0)
    left, right = (np.sort(rng.uniform(0, 50, (n, 2, 2)), axis=1).reshape(n, 4).astype(np.float32) for n in (30, 20))
    left[0] = left[0, [0, 1, 0, 1]]  # no area
    theirs = bbox_overlaps(left, right, use_legacy_coordinate=legacy)
    np.testing.assert_array_equal(pair_ious(left[:, None], right[None], legacy=legacy), theirs)
    assert theirs.any()


@pytest.mark.parametrize('most', [1, 2, 7, 1000])
def test_pairs_are_all_those_of_one_group_and_each_item_has_its_own_at_once(monkeypatch, most):
    monkeypatch.setattr(box_pairs, '_PAIRS', most)
    rng = np.random.default_rng(most)
    left, right = rng.integers(0, 6, 20), rng.integers(1, 5, 15)
    portions = list(pairs_in_groups(left, right))
    expected = [(i, j) for i in range(20) for j in range(15) if left[i] == right[j]]
    assert [pair for a, b in portions for pair in zip(a.tolist(), b.tolist(), strict=True)] == expected
    firsts = [set(a.tolist()) for a, _ in portions]
    assert all(not one & other for i, one in enumerate(firsts) for other in firsts[:i])
    assert list(pairs_in_groups(left, right[:0])) == []
    assert list(pairs_in_groups(left[:0], right)) == []
