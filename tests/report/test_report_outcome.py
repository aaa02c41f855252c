"""What the page counts as right and wrong, compared with counting by hand and with pycocotools."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet.metrics.evaluation import Curves, Evaluation
from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, NEITHER, TRUE_POSITIVE, match
from deeplake_mmdet.report.confusion import confusion_matrix, frequent_confusions, most_confused
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.precision_recall import RECALLS, curves_of, precision_recall
from deeplake_mmdet.report.score_curve import ScoreCurve
from tests.support.coco_apis import coco_apis
from tests.support.evaluations import random_detections, random_evaluation, random_truth

SEEDS = pytest.mark.parametrize('seed', [0, 1, 2])


def coco_precision(evaluation: Evaluation) -> np.ndarray:
    """Precision of each class at IoU 0.5 as pycocotools accumulates it, (K, 101)."""
    truth, found = evaluation.truth, evaluation.detections
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(*coco_apis(truth, found), 'bbox')
        evaluator.params.iouThrs = np.array([0.5])
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ['all']
        evaluator.params.maxDets = [10**6]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval['precision'][0, :, :, 0, 0].T
    return np.where(precision > -1, precision, np.nan)


@SEEDS
def test_the_curves_of_each_class_are_those_of_pycocotools(seed):
    evaluation = random_evaluation(seed, images=20)
    truth, found = evaluation.truth, evaluation.detections
    ours = curves_of(match(truth, found), found.labels, truth.labels, len(truth.classes))
    expected = coco_precision(evaluation)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    assert np.isnan(ours[-1]).all()
    assert 0 < np.nanmean(ours) < 1


@SEEDS
def test_precision_recall_and_f1_are_those_of_counting_at_each_score(seed):
    evaluation = random_evaluation(seed)
    matching = match(evaluation.truth, evaluation.detections)
    curve = ScoreCurve.of(matching)
    objects = matching.counted.sum()
    assert curve.thresholds.tolist() == sorted(set(matching.scores.astype(float).tolist()), reverse=True)
    for i, threshold in enumerate(curve.thresholds):
        kept = matching.scores >= threshold
        right, wrong = (np.sum(kept & (matching.kinds == kind)) for kind in (TRUE_POSITIVE, FALSE_POSITIVE))
        assert curve.precision[i] == pytest.approx(right / (right + wrong))
        assert curve.recall[i] == pytest.approx(right / objects)
        assert curve.f1[i] == pytest.approx(2 * right / (right + wrong + objects))
    assert curve.f1.max() == curve.f1[curve.best]
    assert curve.threshold == curve.thresholds[curve.best]


def test_of_equally_good_thresholds_the_highest_is_best():
    curve = ScoreCurve(np.array([0.9, 0.5, 0.2]), np.ones(3), np.ones(3), np.array([0.4, 0.6, 0.6]))
    assert curve.threshold == 0.5


def test_a_curve_between_two_scores_keeps_the_values_of_the_higher():
    curve = ScoreCurve(np.array([0.9, 0.5]), np.array([1.0, 0.5]), np.array([0.2, 0.4]), np.array([0.3, 0.6]))
    precision, recall, f1 = curve.at(np.array([0.95, 0.9, 0.7, 0.5, 0.0]))
    np.testing.assert_equal(precision, [np.nan, 1, 1, 0.5, 0.5])
    np.testing.assert_equal(recall, [np.nan, 0.2, 0.2, 0.4, 0.4])
    np.testing.assert_equal(f1, [np.nan, 0.3, 0.3, 0.6, 0.6])


@pytest.mark.parametrize(('objects', 'noise'), [(0, 3.0), (4, 0.0), (0, 0.0)])
def test_without_objects_or_detections_there_is_no_best_threshold(objects, noise):
    truth = random_truth(0, objects=objects)
    outcome = Outcome.of(
        replace(random_evaluation(), truth=truth, detections=random_detections(truth, 0, share=0, noise=noise))
    )
    assert outcome.curve.best is None
    assert outcome.threshold == 0.5
    assert outcome.missed.sum() == outcome.matching.counted.sum()
    assert confusion_matrix(outcome).sum() == outcome.missed.sum() + outcome.wrong.sum()


@SEEDS
def test_the_rows_of_the_class_table_add_up_to_the_point_of_the_curve(seed):
    outcome = Outcome.of(random_evaluation(seed))
    table, best = outcome.per_class(), outcome.curve.best
    right = int(outcome.right.sum())
    assert table['objects'].sum() == outcome.matching.counted.sum()
    assert table['detections'].sum() == outcome.shown.sum()
    assert right / (right + outcome.wrong.sum()) == pytest.approx(outcome.curve.precision[best])
    assert right / table['objects'].sum() == pytest.approx(outcome.curve.recall[best])
    assert np.nansum(table['recall'] * table['objects']) == pytest.approx(right)
    assert np.isnan(table['recall'][-1])


@SEEDS
def test_the_confusion_matrix_counts_every_object_and_every_detection_once(seed):
    outcome = Outcome.of(random_evaluation(seed, images=30))
    matrix, truth = confusion_matrix(outcome), outcome.evaluation.truth
    counted = truth.labels[outcome.matching.counted]
    kept = outcome.shown & (outcome.matching.kinds != NEITHER)
    assert matrix[:-1].sum(axis=1).tolist() == np.bincount(counted, minlength=3).tolist()
    assert (
        matrix[:, :-1].sum(axis=0).tolist()
        == np.bincount(outcome.evaluation.detections.labels[kept], minlength=3).tolist()
    )
    assert np.diag(matrix)[:-1].sum() == outcome.right.sum()
    assert matrix[-1, -1] == 0
    assert matrix[:-1, :-1].sum() == outcome.right.sum() + np.sum(outcome.taken_for >= 0)


def test_a_detection_of_another_class_takes_the_place_of_the_missed_object():
    evaluation = random_evaluation(objects=0, images=1)
    truth = replace(
        evaluation.truth,
        offsets=np.array([0, 3]),
        boxes_xywh=np.array([[0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10]], float),
        labels=np.array([0, 0, 1]),
        areas=np.full(3, 100.0),
        crowd=np.zeros(3, bool),
        ignored=np.zeros(3, bool),
    )
    found = replace(
        evaluation.detections,
        offsets=np.array([0, 4]),
        boxes=np.array([[0, 0, 10, 10], [20, 0, 30, 10], [60, 0, 70, 10], [0, 0, 10, 9]], np.float32),
        scores=np.full(4, 0.9, np.float32),
        labels=np.array([0, 1, 2, 1]),
    )
    outcome = Outcome.of(replace(evaluation, truth=truth, detections=found))
    # The cat is found, another one taken for a dog, the dog missed; an owl and a second dog are where nothing is free.
    assert confusion_matrix(outcome).tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]]
    assert outcome.taken_for.tolist() == [-1, 1, -1, -1]
    assert frequent_confusions(confusion_matrix(outcome), truth.classes) == [('cat', 'dog', 1)]


def test_objects_marked_as_ignored_count_where_the_metric_counts_them():
    evaluation = random_evaluation(0)
    truth = evaluation.truth
    assert (truth.ignored & ~truth.crowd).any()
    assert Outcome.of(evaluation).matching.counted.tolist() == (~truth.ignored).tolist()
    coco = replace(evaluation, curves={'bbox': curves(0.5)})
    assert Outcome.of(coco).matching.counted.tolist() == (~truth.crowd).tolist()


@pytest.mark.parametrize('measured', [{'proposal': True}, {}])
def test_proposals_are_matched_whatever_the_class(measured):
    evaluation = random_evaluation(0, images=20)
    found = {'proposal': curves(0.5, classes=1)} if measured else {}
    outcome = Outcome.of(replace(evaluation, values={'AR@100': 0.5}, per_class={}, curves=found))
    neither = evaluation.truth.crowd if measured else evaluation.truth.ignored
    expected = match(evaluation.truth, evaluation.detections, by_class=False, neither=neither)
    assert outcome.matching.kinds.tolist() == expected.kinds.tolist()
    assert confusion_matrix(outcome).shape == (2, 2)
    assert len(outcome.per_class()['objects']) == 1
    assert [item.classes for item in precision_recall(outcome)] == [('any class',)]


def test_a_metric_that_only_wrote_files_is_looked_at_by_class():
    outcome = Outcome.of(replace(random_evaluation(0), values={}, per_class={}))
    assert outcome.evaluation.truth.classes == ('cat', 'dog', 'owl')


def test_masks_are_compared_where_only_they_were_evaluated():
    evaluation = random_evaluation(0, masks=True)
    by_masks = Outcome.of(replace(evaluation, curves={'segm': curves(0.5)}))
    by_boxes = Outcome.of(replace(evaluation, curves={'segm': curves(0.5), 'bbox': curves(0.5)}))
    assert by_masks.masks and not by_boxes.masks
    assert by_masks.matching.kinds.tolist() != by_boxes.matching.kinds.tolist()
    assert by_masks.matching.scores.tolist() == evaluation.detections.mask_scores.tolist()


def curves(*iou_thrs: float, classes: int = 3) -> Curves:
    """Precision that tells threshold, class, area and number of detections apart; the last class has no object."""
    shape = (len(iou_thrs), 101, classes, 4, 2)
    precision = sum(np.indices(shape)[axis] * step for axis, step in ((0, 0.1), (2, 0.01), (3, 0.2), (4, 0.002)))
    precision[:, :, -1] = -1
    return Curves(precision, precision.max(axis=1), np.array(iou_thrs), (10, 100))


def test_curves_that_the_metric_has_are_drawn_at_the_highest_number_of_detections_over_all_areas():
    outcome = Outcome.of(
        replace(random_evaluation(0, masks=True), curves={'bbox': curves(0.5, 0.6, 0.75), 'segm': curves(0.5)})
    )
    found = precision_recall(outcome)
    assert [item.name for item in found] == ['bbox_50', 'bbox_75', 'segm_50']
    assert [item.title for item in found] == ['boxes, IoU 0.50', 'boxes, IoU 0.75', 'masks, IoU 0.50']
    assert found[1].average_precision[:2] == pytest.approx([0.202, 0.212])
    assert np.isnan(found[1].average_precision[2])
    assert found[1].mean == pytest.approx(np.full(len(RECALLS), 0.207))


def test_without_the_customary_iou_thresholds_the_first_one_is_drawn():
    outcome = Outcome.of(replace(random_evaluation(), curves={'bbox': curves(0.6, 0.9)}))
    assert [item.name for item in precision_recall(outcome)] == ['bbox_60']


def test_the_curve_of_proposals_beside_those_of_classes_is_of_all():
    both = {'bbox': curves(0.5), 'proposal': curves(0.5, classes=1)}
    outcome = Outcome.of(replace(random_evaluation(), curves=both))
    assert [item.classes for item in precision_recall(outcome)] == [('cat', 'dog', 'owl'), ('all',)]


def test_a_metric_without_curves_gets_those_of_the_matching():
    outcome = Outcome.of(random_evaluation())
    (found,) = precision_recall(outcome)
    assert found.name == 'bbox_50'
    assert found.classes == ('cat', 'dog', 'owl')
    assert 0 < np.nanmean(found.mean) < 1


def matrix_of(classes: int) -> np.ndarray:
    matrix = np.random.default_rng(0).integers(0, 5, (classes + 1, classes + 1))
    matrix[-1, -1] = 0
    return matrix


def test_the_shown_part_of_a_large_matrix_keeps_all_counts():
    matrix, names = matrix_of(30), [f'class {k}' for k in range(30)]
    matrix[:30, 7] += 100
    matrix[7, 7] = 0
    part = most_confused(matrix, names, limit=6)
    assert 'class 7' in part.names
    assert part.left_out == 24
    chosen = [names.index(name) for name in part.names]
    others = [k for k in range(30) if k not in chosen]
    assert part.counts[:6, :6].tolist() == matrix[np.ix_(chosen, chosen)].tolist()
    assert part.counts[0, 6] == matrix[chosen[0], others].sum()
    assert part.counts[-1, 6] == matrix[30, others].sum()
    assert part.counts[6, -1] == matrix[others, 30].sum()
    assert part.counts[6, 6] == -1
    among = matrix[np.ix_(others, others)]
    assert part.hidden == among.sum() - np.trace(among)


def test_the_classes_shown_are_those_that_are_confused_most():
    matrix, names = np.diag([50] * 30 + [0]), [f'class {k}' for k in range(30)]
    matrix[3, 25], matrix[28, 30], matrix[30, 4] = 5, 3, 2
    assert most_confused(matrix, names, limit=4).names == ('class 3', 'class 4', 'class 25', 'class 28')


def test_a_small_matrix_is_shown_whole():
    matrix = matrix_of(3)
    part = most_confused(matrix, ['a', 'b', 'c'])
    assert part.counts is matrix and part.left_out == part.hidden == 0


def test_frequent_confusions_come_in_order_and_leave_background_and_what_is_right_out():
    matrix = np.array([[90, 2, 0, 70], [5, 80, 0, 0], [1, 0, 9, 0], [60, 0, 0, 0]])
    pairs = frequent_confusions(matrix, ['a', 'b', 'c'], limit=2)
    assert pairs == [('b', 'a', 5), ('a', 'b', 2)]
