"""TIDE's kinds of errors: one case for each kind and rule of precedence, and a plain transcription for random ones."""

from __future__ import annotations

import numpy as np
import pytest

from deeplake_mmdet.metrics import box_pairs
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.scoring.columns import ERRORS
from deeplake_mmdet.scoring.errors import errors_of
from tests.support.evaluations import random_detections, random_truth

A, B = 0, 1  # classes
BOX = (0, 0, 100, 10)  # an object; moved to the right by x it overlaps itself by (100 - x) / (100 + x)


def moved(x):
    """The box that far to the right; 20: IoU 0.67, 50: IoU 0.33, 90: IoU 0.05."""
    return (x, 0, x + 100, 10)


def image(objects, detections, *, crowd=()):
    """One image: objects ``(class, xyxy)``, detections ``(class, xyxy, score)``."""
    boxes = np.array([box for _, box in objects], np.float64).reshape(-1, 4)
    boxes[:, 2:] -= boxes[:, :2]
    crowds = np.isin(np.arange(len(objects)), crowd)
    truth = GroundTruth(
        img_ids=[7],
        rows=np.array([0]),
        sizes=np.array([[400, 400]]),
        offsets=np.array([0, len(objects)]),
        boxes_xywh=boxes,
        labels=np.array([label for label, _ in objects], np.int64),
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=crowds,
        ignored=crowds,
        classes=('a', 'b'),
        category_ids=(1, 2),
    )
    scores = np.array([score for *_, score in detections], np.float32)
    found = Detections(
        img_ids=[7],
        sources=[''],
        offsets=np.array([0, len(detections)]),
        boxes=np.array([box for _, box, _ in detections], np.float32).reshape(-1, 4),
        scores=scores,
        labels=np.array([label for label, _, _ in detections], np.int64),
        mask_scores=scores,
        sizes=np.array([[0, 0]]),
    )
    return truth, found


def kinds(objects, detections, **options):
    """Names of the kinds of the objects and of the detections."""
    crowd = options.pop('crowd', ())
    errors = errors_of(*image(objects, detections, crowd=crowd), **options)
    return [[ERRORS[kind] for kind in part] for part in (errors.object_error, errors.prediction_error)]


@pytest.mark.parametrize(
    ('objects', 'detections', 'of_objects', 'of_detections'),
    [
        ([(A, BOX)], [(A, moved(20), 0.9)], ['correct'], ['correct']),
        ([(A, BOX)], [], ['missed'], []),
        ([], [(A, BOX, 0.9)], [], ['background']),
        ([(A, BOX)], [(A, moved(90), 0.9)], ['missed'], ['background']),
        ([(A, BOX)], [(B, moved(90), 0.9)], ['missed'], ['background']),
        ([(A, BOX)], [(A, moved(50), 0.9)], ['localisation'], ['localisation']),
        ([(A, BOX)], [(B, moved(20), 0.9)], ['class'], ['class']),
        ([(A, BOX)], [(B, moved(50), 0.9)], ['missed'], ['both']),
        ([(A, BOX)], [(A, BOX, 0.9), (A, moved(20), 0.8)], ['correct'], ['correct', 'duplicate']),
        ([(A, BOX)], [(A, moved(20), 0.8), (A, BOX, 0.9)], ['correct'], ['duplicate', 'correct']),
        # An object that was found is correct, whatever else is there.
        ([(A, BOX)], [(A, BOX, 0.9), (B, BOX, 0.95)], ['correct'], ['correct', 'class']),
        ([(A, BOX)], [(A, BOX, 0.9), (A, moved(50), 0.95)], ['correct'], ['correct', 'localisation']),
        # Precedence: localisation, class, duplicate, both, background.
        ([(A, BOX), (B, moved(50))], [(A, moved(50), 0.9)], ['localisation', 'missed'], ['localisation']),
        (
            [(A, BOX), (B, moved(20))],
            [(A, BOX, 0.9), (A, moved(20), 0.8)],
            ['correct', 'class'],
            ['correct', 'class'],
        ),
        (
            [(A, BOX), (B, moved(60))],
            [(A, BOX, 0.9), (A, moved(20), 0.8)],
            ['correct', 'missed'],
            ['correct', 'duplicate'],
        ),
        # The best-scored of several errors with one object decides.
        ([(A, BOX)], [(A, moved(50), 0.4), (B, BOX, 0.5)], ['class'], ['localisation', 'class']),
        ([(A, BOX)], [(A, moved(50), 0.6), (B, BOX, 0.5)], ['localisation'], ['localisation', 'class']),
        # A localisation error is about the object that is overlapped most, even if that was found.
        (
            [(A, BOX), (A, moved(120))],
            [(A, BOX, 0.9), (A, moved(50), 0.8)],
            ['correct', 'missed'],
            ['correct', 'localisation'],
        ),
    ],
)
def test_each_kind(objects, detections, of_objects, of_detections):
    assert kinds(objects, detections) == [of_objects, of_detections]


def test_a_detection_that_is_not_shown_excuses_no_object_and_has_its_kind_all_the_same():
    assert kinds([(A, BOX)], [(B, BOX, 0.2)]) == [['missed'], ['class']]
    assert kinds([(A, BOX)], [(A, BOX, 0.2)]) == [['missed'], ['correct']]
    assert kinds([(A, BOX)], [(A, BOX, 0.2)], score_thr=0.2) == [['correct'], ['correct']]


def test_the_thresholds_themselves_count_as_reached():
    third = moved(50)  # IoU 1/3
    assert kinds([(A, BOX)], [(A, third, 0.9)], iou_thr=1 / 3) == [['correct'], ['correct']]
    assert kinds([(A, BOX)], [(B, third, 0.9)], iou_thr=1 / 3) == [['class'], ['class']]
    tenth = (0, 0, 10, 10)
    assert kinds([(A, BOX)], [(A, tenth, 0.9)]) == [['localisation'], ['localisation']]
    assert kinds([(A, BOX)], [(B, tenth, 0.9)]) == [['missed'], ['both']]


def test_a_crowd_region_and_what_lies_in_it_are_not_counted():
    in_crowd = [(A, moved(20), 0.9), (A, (10, 0, 30, 10), 0.8)]
    assert kinds([(A, BOX)], in_crowd, crowd=[0]) == [['not counted'], ['not counted', 'not counted']]
    # To a detection of another class it is no object.
    assert kinds([(A, BOX)], [(B, BOX, 0.9)], crowd=[0]) == [['not counted'], ['background']]
    errors = errors_of(*image([(A, BOX)], in_crowd, crowd=[0]))
    assert (errors.tp.sum(), errors.fp.sum(), errors.fn.sum()) == (0, 0, 0)


def plain_kinds(truth, found, t_f, score_thr):
    """TIDE by loops: positions in ERRORS of all objects and detections."""
    of_objects = np.full(len(truth.labels), ERRORS.index('missed'))
    of_objects[truth.crowd] = ERRORS.index('not counted')
    of_detections = np.full(len(found.labels), ERRORS.index('background'))
    for i in range(len(truth)):
        objects = [k for k in range(*truth.offsets[i : i + 2]) if not truth.crowd[k]]
        crowds = [k for k in range(*truth.offsets[i : i + 2]) if truth.crowd[k]]
        order = sorted(range(*found.offsets[i : i + 2]), key=lambda d: -found.scores[d])
        iou = {(d, k): plain_iou(found.boxes_xywh[d], truth.boxes_xywh[k], own=False) for d in order for k in objects}
        used = {}
        for d in order:
            own = [k for k in objects if truth.labels[k] == found.labels[d]]
            free = [k for k in own if k not in used and iou[d, k] >= t_f]
            if free:
                used[max(free, key=lambda k: (iou[d, k], k))] = d
                of_detections[d] = ERRORS.index('correct')
            elif any(
                plain_iou(found.boxes_xywh[d], truth.boxes_xywh[k], own=True) >= t_f
                for k in crowds
                if truth.labels[k] == found.labels[d]
            ):
                of_detections[d] = ERRORS.index('not counted')
        for k, d in used.items():
            if found.scores[d] >= np.float32(score_thr):
                of_objects[k] = ERRORS.index('correct')
        about = {}
        for d in order:
            if of_detections[d] != ERRORS.index('background'):
                continue
            own = [k for k in objects if truth.labels[k] == found.labels[d]]
            other = [k for k in objects if truth.labels[k] != found.labels[d]]
            best_own = max(own, key=lambda k: (iou[d, k], -k), default=None)
            best_other = max(other, key=lambda k: (iou[d, k], -k), default=None)
            own_iou, other_iou = iou.get((d, best_own), 0.0), iou.get((d, best_other), 0.0)
            if 0.1 <= own_iou < t_f:
                kind, target = 'localisation', best_own
            elif other_iou >= t_f:
                kind, target = 'class', best_other
            elif own_iou >= t_f:
                kind, target = 'duplicate', None
            else:
                kind, target = 'both' if other_iou >= 0.1 else 'background', None
            of_detections[d] = ERRORS.index(kind)
            if target is not None and found.scores[d] >= np.float32(score_thr):
                about.setdefault(target, kind)
        for k, kind in about.items():
            if of_objects[k] == ERRORS.index('missed'):
                of_objects[k] = ERRORS.index(kind)
    return of_objects, of_detections


def plain_iou(first, second, *, own):
    """IoU of two boxes, xywh, or with `own` the part of the first that is in the second."""
    sides = [min(first[a] + first[a + 2], second[a] + second[a + 2]) - max(first[a], second[a]) for a in (0, 1)]
    inside = max(0.0, sides[0]) * max(0.0, sides[1])
    area = first[2] * first[3]
    return inside / (area if own else area + second[2] * second[3] - inside)


@pytest.mark.parametrize(('t_f', 'score_thr'), [(0.5, 0.3), (0.75, 0.0), (0.3, 0.6)])
@pytest.mark.parametrize('seed', [0, 1])
def test_random_errors_are_those_of_plain_loops(monkeypatch, seed, t_f, score_thr):
    monkeypatch.setattr(box_pairs, '_PAIRS', 11)
    truth = random_truth(seed, images=40, objects=6)
    found = random_detections(truth, seed + 5, noise=6.0)
    errors = errors_of(truth, found, iou_thr=t_f, score_thr=score_thr)
    of_objects, of_detections = plain_kinds(truth, found, t_f, score_thr)
    np.testing.assert_array_equal(errors.object_error, of_objects)
    np.testing.assert_array_equal(errors.prediction_error, of_detections)
    assert set(of_detections.tolist()) == set(range(len(ERRORS))) - {ERRORS.index('missed')}
    assert {ERRORS.index(kind) for kind in ('correct', 'missed', 'class', 'localisation')} <= set(of_objects.tolist())
