"""Detections find objects by COCO's rules: compared with pycocotools, detection by detection."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.metrics import box_pairs
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, NEITHER, TRUE_POSITIVE, match
from tests.support.coco_apis import coco_apis
from tests.support.evaluations import random_detections, random_truth


def coco_matches(truth: GroundTruth, found: Detections, iou: float, *, masks: bool):
    """Object of each detection (-1 for none) and whether it counts, as pycocotools says."""
    scores = found.mask_scores if masks else found.scores
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(*coco_apis(truth, found, masks=masks), 'segm' if masks else 'bbox')
        evaluation.params.iouThrs = np.array([iou])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
        evaluation.params.maxDets = [10**6]
        evaluation.evaluate()
    objects, ignored = np.full(len(scores), -1), np.zeros(len(scores), bool)
    for image in filter(None, evaluation.evalImgs):
        places = np.array(image['dtIds'], int) - 1
        objects[places] = image['dtMatches'][0].astype(int) - 1
        ignored[places] = image['dtIgnore'][0]
    return objects, ignored


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize('iou', [0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_each_detection_finds_the_object_that_pycocotools_gives_it(monkeypatch, seed, iou, masks):
    monkeypatch.setattr(box_pairs, '_PAIRS', 7)  # many chunks, cut in the middle of groups
    truth = random_truth(seed, images=20, masks=masks)
    found = random_detections(truth, seed + 100, noise=0.5)
    ours = match(truth, found, iou_thr=iou, masks=masks)
    objects, ignored = coco_matches(truth, found, iou, masks=masks)
    assert ours.objects.tolist() == objects.tolist()
    assert (ours.kinds == NEITHER).tolist() == ignored.tolist()
    assert set(ours.kinds) <= {FALSE_POSITIVE, TRUE_POSITIVE, NEITHER}
    assert ((ours.kinds == TRUE_POSITIVE) == (objects >= 0) & ~ignored).all()


def test_the_data_of_these_tests_has_ties_crowds_and_every_kind():
    truth = random_truth(0, images=20)
    found = random_detections(truth, 100, noise=0.5)
    ours = match(truth, found)
    assert np.bincount(ours.kinds, minlength=3).min() > 3
    assert len(set(found.scores.tolist())) < len(found.scores) / 4
    assert (np.diff(truth.offsets) == 0).any() and (np.diff(found.offsets) == 0).any()


def test_partners_point_at_each_other_and_their_overlap_is_that_of_the_boxes():
    truth = random_truth(3, images=20)
    found = random_detections(truth, 4)
    ours = match(truth, found)
    right = np.flatnonzero(ours.kinds == TRUE_POSITIVE)
    assert (ours.detections[ours.objects[right]] == right).all()
    assert np.sum(ours.detections[~truth.crowd] >= 0) == len(right)
    a, b = found.boxes[right].astype(float), truth.boxes_xyxy[ours.objects[right]]
    inside = np.prod(np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None), axis=1)
    whole = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - inside
    assert ours.ious[right] == pytest.approx(inside / whole)


def one_image(boxes, labels, *, crowd=None, classes=('cat', 'dog')) -> GroundTruth:
    truth = random_truth(0, images=1, classes=classes, objects=0)
    boxes = np.array(boxes, float).reshape(-1, 4)
    flags = np.zeros(len(boxes), bool) if crowd is None else np.array(crowd)
    return replace(
        truth,
        offsets=np.array([0, len(boxes)]),
        boxes_xywh=boxes,
        labels=np.array(labels, np.int64),
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=flags,
        ignored=flags,
    )


def found_in(truth, xyxy, labels, scores) -> Detections:
    return replace(
        random_detections(truth, 0, noise=0),
        offsets=np.array([0, len(labels)]),
        boxes=np.array(xyxy, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        scores=np.array(scores, np.float32),
        mask_scores=np.array(scores, np.float32),
    )


def test_a_second_detection_of_an_object_is_false_and_keeps_its_overlap():
    truth = one_image([[0, 0, 10, 10]], [0])
    ours = match(truth, found_in(truth, [[0, 0, 10, 10], [0, 0, 10, 9]], [0, 0], [0.5, 0.9]))
    assert ours.kinds.tolist() == [FALSE_POSITIVE, TRUE_POSITIVE]
    assert ours.objects.tolist() == [-1, 0]
    assert ours.detections.tolist() == [1]
    assert ours.ious.tolist() == pytest.approx([1.0, 0.9])


def test_a_crowd_region_takes_any_number_of_detections():
    truth = one_image([[0, 0, 40, 40], [0, 0, 10, 10]], [0, 0], crowd=[True, False])
    boxes = [[0, 0, 10, 10], [20, 20, 30, 30], [5, 25, 15, 35], [38, 38, 60, 60]]
    ours = match(truth, found_in(truth, boxes, [0] * 4, [0.6, 0.7, 0.8, 0.9]))
    assert ours.kinds.tolist() == [TRUE_POSITIVE, NEITHER, NEITHER, FALSE_POSITIVE]
    assert ours.detections.tolist() == [2, 0]
    assert ours.counted.tolist() == [False, True]


def test_of_equal_overlaps_the_last_object_is_taken_and_a_threshold_is_reached_by_its_own_value():
    truth = one_image([[0, 0, 10, 10], [0, 0, 10, 10], [30, 30, 10, 10]], [0, 0, 0])
    found = found_in(truth, [[0, 0, 10, 8], [30, 30, 40, 35]], [0, 0], [0.9, 0.8])
    ours = match(truth, found)
    assert ours.objects.tolist() == [1, 2]
    assert ours.objects.tolist() == coco_matches(truth, found, 0.5, masks=False)[0].tolist()


def test_at_the_threshold_one_boxes_are_equal_but_for_the_rounding_of_their_overlap():
    boxes = np.random.default_rng(0).uniform(0, 50, (30, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    sides = (boxes[:, 2:] - boxes[:, :2].astype(float)) * (1 + 1e-12)
    truth = one_image(np.concatenate([boxes[:, :2], sides], axis=1), [0] * 30)
    found = found_in(truth, boxes, [0] * 30, np.linspace(0.1, 0.9, 30))
    ours = match(truth, found, iou_thr=1.0)
    assert ours.ious.max() < 1
    assert ours.objects.tolist() == list(range(30))
    assert ours.objects.tolist() == coco_matches(truth, found, 1.0, masks=False)[0].tolist()


def test_objects_of_another_class_are_found_only_where_classes_do_not_matter():
    truth = one_image([[0, 0, 10, 10]], [0])
    found = found_in(truth, [[0, 0, 10, 10]], [1], [0.9])
    assert match(truth, found).kinds.tolist() == [FALSE_POSITIVE]
    assert match(truth, found, by_class=False).kinds.tolist() == [TRUE_POSITIVE]


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_where_classes_do_not_matter_all_are_as_of_one_class(seed):
    truth = random_truth(seed)
    found = random_detections(truth, seed + 1)
    one = match(replace(truth, labels=truth.labels * 0), replace(found, labels=found.labels * 0))
    assert match(truth, found, by_class=False).objects.tolist() == one.objects.tolist()
    assert match(truth, found).objects.tolist() != one.objects.tolist()


def test_which_objects_are_neither_right_nor_wrong_can_be_told():
    truth = one_image([[0, 0, 10, 10]], [0])
    found = found_in(truth, [[0, 0, 10, 10], [0, 0, 5, 5]], [0, 0], [0.9, 0.8])
    ours = match(truth, found, neither=np.array([True]))
    assert ours.kinds.tolist() == [NEITHER, NEITHER]
    assert not ours.counted.any()


def test_what_does_not_take_part_neither_finds_nor_is_found():
    truth = one_image([[0, 0, 10, 10], [20, 20, 10, 10]], [0, 0])
    found = found_in(truth, [[0, 0, 10, 10], [20, 20, 30, 30], [20, 20, 30, 29]], [0] * 3, [0.9, 0.8, 0.7])
    some = match(truth, found, only_detections=np.array([True, False, True]), only_objects=np.array([False, True]))
    assert some.objects.tolist() == [-1, -1, 1]
    assert some.detections.tolist() == [-1, 2]


@pytest.mark.parametrize('threshold', [0.15, 0.45, 0.85, 2])
def test_one_matching_holds_for_every_score_threshold(threshold):
    truth = random_truth(5, images=20)
    found = random_detections(truth, 6)
    whole = match(truth, found)
    part = match(truth, found, only_detections=found.scores >= np.float32(threshold))
    assert (whole.objects[found.scores >= threshold] == part.objects[found.scores >= threshold]).all()
    assert whole.found(threshold).tolist() == (part.detections >= 0).tolist()


@pytest.mark.parametrize('images', [0, 3])
def test_nothing_to_find_and_nothing_found_is_fine(images):
    truth = random_truth(0, images=images, objects=0)
    ours = match(truth, Detections.join([replace(random_detections(random_truth(0, images=1), 0), img_ids=[])]))
    assert len(ours.objects) == len(ours.detections) == 0


def test_masks_cannot_be_compared_where_there_are_none():
    truth = random_truth(0)
    with pytest.raises(AnnotationError, match=r'match\(masks=True\) expected annotations with segmentations'):
        match(truth, random_detections(truth, 1), masks=True)
