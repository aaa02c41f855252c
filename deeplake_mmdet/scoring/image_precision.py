"""Average precision of each image alone, as COCO's evaluation of that one image gives it.

COCO's steps: of each class the 100 best-scored detections of the image, those that took a crowd region left out; the
highest precision at each of the recalls 0, 0.01, … 1 or beyond; the mean over these, then over the classes that have an
object in the image. Precision is highest where an object is found, so only those places are looked at.
"""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.matching import NEITHER, TRUE_POSITIVE, Matching

_RECALLS = np.linspace(0, 1, 101)
_MOST = 100  # detections of a class in an image that COCO looks at


def image_precisions(truth: GroundTruth, detections: Detections, matching: Matching) -> np.ndarray:
    """The average precision of each image at the IoU of a matching, float32 (N,); NaN for one without an object.

    Args:
        truth: The annotations of N images.
        detections: The detections of the same images in the same order.
        matching: Who found whom, within the classes.
    """
    classes = len(truth.classes)
    of_objects = (truth.image_of * classes + truth.labels)[matching.counted]
    groups, objects = np.unique(of_objects, return_counts=True)
    right, precision, place = _precisions(detections.image_of * classes + detections.labels, matching)
    known = np.searchsorted(groups, right)  # what was found is an object of its group
    recalls = np.searchsorted(_RECALLS, place / objects[known], 'right')
    steps = np.diff(recalls, prepend=0)
    steps[place == 1] = recalls[place == 1]
    per_group = np.bincount(known, precision * steps, minlength=len(groups)) / len(_RECALLS)
    images = groups // max(classes, 1)
    sums, counts = (np.bincount(images, weights, minlength=len(truth)) for weights in (per_group, None))
    return np.divide(sums, counts, out=np.full(len(truth), np.nan), where=counts > 0).astype(np.float32)


def _precisions(groups: np.ndarray, matching: Matching) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where objects were found: the group, the highest precision from there on, and how many the group has by then.

    Args:
        groups: Number of image and class of each detection, int64 (D,).
        matching: Who found whom.

    Returns:
        int64, float64 and int64 (number of objects that were found,), group by group, the best-scored first.
    """
    order = np.lexsort((-matching.scores, groups))
    order = order[_rank(groups[order]) < _MOST]
    order = order[matching.kinds[order] != NEITHER]
    right = matching.kinds[order] == TRUE_POSITIVE
    seen = _rank(groups[order])[right] + 1
    of_right = groups[order][right]
    found = _rank(of_right) + 1
    # From the end: a number that grows with every group keeps the highest of one group out of the next.
    own = 2 * np.cumsum(np.diff(of_right[::-1], prepend=-1) != 0)
    highest = np.maximum.accumulate((found / seen)[::-1] + own) - own
    return of_right, highest[::-1], found


def _rank(groups: np.ndarray) -> np.ndarray:
    """How many of the same group stand before each, int64 (n,); members of a group stand side by side."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
