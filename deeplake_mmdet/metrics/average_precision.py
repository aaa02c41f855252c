"""Average precision of each class as PASCAL VOC defines it, equal to MMDetection's `eval_map`.

That function goes through images and classes one by one, and forks a pool of processes at every call: beside an open
dataset, which has threads of Deep Lake, a fork can wait for ever. Here all images are matched at once.

Equal scores stand in the order in which `numpy.argsort` leaves them, as in MMDetection, with the images in the order of
their ids. So neither batches nor ranks change it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from deeplake_mmdet.metrics.box_pairs import pair_ious, pairs_in_groups
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth

EVAL_MODES = ('area', '11points')
_LEAST = np.finfo(np.float32).eps


@dataclass(frozen=True)
class ClassPrecision:
    """How well the objects of one class were found.

    Attributes:
        objects: Number of objects to be found; finding the others is neither right nor wrong.
        detections: Number of detections.
        recall: Part of the objects that the detections find, 0 to 1.
        ap: Average precision, 0 to 1; NaN without an object.
    """

    objects: int
    detections: int
    recall: float
    ap: np.float32


def class_precisions(
    truth: GroundTruth, detections: Detections, iou_thrs: Sequence[float], mode: str
) -> Iterator[list[ClassPrecision]]:
    """For each IoU threshold the precision of every class. Boxes count their last pixel, as in PASCAL VOC.

    Args:
        truth: The annotations of N images.
        detections: The detections of the same images.
        iou_thrs: IoU from which on an object is found.
        mode: ``'area'`` or ``'11points'``; see `average_precision`.
    """
    classes = len(truth.classes)
    by_class = np.argsort(detections.labels, kind='stable')
    labels, scores = detections.labels[by_class], detections.scores[by_class]
    groups = labels * len(truth) + detections.image_of[by_class]
    ious, objects = _best_objects(truth, groups, detections.boxes[by_class])
    places = _places(scores, groups)
    ends = np.searchsorted(labels, np.arange(classes + 1)).tolist()
    parts = [start + np.argsort(-scores[start:end]) for start, end in pairwise(ends)]
    totals = np.bincount(truth.labels[~truth.ignored], minlength=classes).tolist()
    for iou_thr in iou_thrs:
        right, wrong = _judge(ious >= np.float32(iou_thr), objects, truth.ignored, places)
        yield [_of_class(total, right[part], wrong[part], mode) for total, part in zip(totals, parts, strict=True)]


def _best_objects(truth: GroundTruth, groups: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The object of the same class and image that each detection overlaps most; of equals, one that is to be found.

    Args:
        truth: The annotations of N images.
        groups: Label times N plus image, of each detection, int64 (D,).
        boxes: float32 (D, 4).

    Returns:
        The IoU, float32 (D,), 0 where there is no object; and which object, int64 (D,).
    """
    order = np.argsort(truth.ignored, kind='stable')
    true_boxes = truth.boxes_xyxy.astype(np.float32)
    best, objects = np.zeros(len(boxes), np.float32), np.zeros(len(boxes), np.int64)
    for detection, place in pairs_in_groups(groups, (truth.labels * len(truth) + truth.image_of)[order]):
        candidates = order[place]
        ious = pair_ious(boxes[detection], true_boxes[candidates], legacy=True)
        first = np.flatnonzero(np.diff(detection, prepend=-1))
        best[detection[first]] = np.maximum.reduceat(ious, first)
        reached = np.flatnonzero((ious == best[detection]) | np.isnan(ious))
        objects[detection[first]] = candidates[reached[np.searchsorted(reached, first)]]
    return best, objects


def _places(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """In which place each detection is among those of its class and image, the best-scored first, int64 (D,).

    Args:
        scores: float32 (D,).
        groups: Rising numbers of the groups, int64 (D,).
    """
    order = np.lexsort((-scores, groups))
    tied = (scores[order][1:] == scores[order][:-1]) & (groups[1:] == groups[:-1])
    for group in np.unique(groups[1:][tied]).tolist():
        start, end = np.searchsorted(groups, [group, group + 1]).tolist()
        order[start:end] = start + np.argsort(-scores[start:end])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _judge(
    hits: np.ndarray, objects: np.ndarray, ignored: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which detections are right, and which are wrong, bool (D,) each.

    The first that hits an object is right, the following ones are wrong, and so are those that hit none.

    Args:
        hits: Whether a detection overlaps an object enough, bool (D,).
        objects: Which object, int64 (D,).
        ignored: Objects that are neither right nor wrong to hit, bool (M,).
        places: The order of the detections of an image, int64 (D,).
    """
    count = np.flatnonzero(hits)
    count = count[~ignored[objects[count]]]
    in_order = count[np.lexsort((places[count], objects[count]))]
    right, wrong = np.zeros(len(hits), bool), ~hits
    wrong[count] = True
    firsts = in_order[np.unique(objects[in_order], return_index=True)[1]]
    right[firsts], wrong[firsts] = True, False
    return right, wrong


def _of_class(total: int, right: np.ndarray, wrong: np.ndarray, mode: str) -> ClassPrecision:
    """The precision of one class.

    Args:
        total: Number of objects.
        right, wrong: What its detections are, the best-scored first, bool (d,).
        mode: See `average_precision`.
    """
    if not total:
        return ClassPrecision(0, len(right), 0.0, np.float32(np.nan))
    found, missed = np.cumsum(right).astype(np.float32), np.cumsum(wrong).astype(np.float32)
    recall = found.astype(np.float64) / total
    precision = found / np.maximum(found + missed, _LEAST)
    ap = average_precision(recall, precision, mode)
    return ClassPrecision(total, len(right), float(recall[-1]) if len(recall) else 0.0, ap)


def average_precision(recall: np.ndarray, precision: np.ndarray, mode: str) -> np.float32:
    """Average precision of a curve.

    Args:
        recall: After each detection, the best-scored first, float64 (d,).
        precision: The same, float32 (d,).
        mode: ``'area'`` under the curve whose precision never rises with recall, as in VOC 2012, or the mean of its
            precision at recalls 0, 0.1, … 1 (``'11points'``), as in VOC 2007.
    """
    if mode == '11points':
        points = [precision[recall >= least] for least in np.arange(0, 1 + 1e-3, 0.1)]
        best = [point.max() if len(point) else np.float32(0) for point in points]
        return np.float32(sum(best, np.float32(0)) / np.float32(11))
    recall = np.concatenate([[0.0], recall, [1.0]])
    highest = np.maximum.accumulate(np.concatenate([[0.0], precision, [0.0]])[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return np.float32(np.sum((recall[steps + 1] - recall[steps]) * highest[steps + 1]))
