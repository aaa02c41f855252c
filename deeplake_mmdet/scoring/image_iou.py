"""One IoU an image, as the playbooks of Deep Lake's documentation compute it for `model_evaluation/iou`.

For each label that occurs among the shown detections or the objects of the image: 0 if it occurs on one side only;
else the side with fewer boxes is averaged (the detections if both have equally many), each box with the largest IoU
that it has on the other side. The IoU of the image is the mean over its labels, 0 if it has none.
"""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.metrics.box_pairs import pairs_in_groups
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.overlaps import BoxOverlaps


def image_ious(truth: GroundTruth, detections: Detections, shown: np.ndarray) -> np.ndarray:
    """The IoU of each image, float32 (N,) from 0 to 1. Crowd regions are left out; masks make no difference.

    Args:
        truth: The annotations of N images.
        detections: The detections of the same images in the same order.
        shown: Detections that count, bool (D,).
    """
    found, true = np.flatnonzero(shown), np.flatnonzero(~truth.crowd)
    classes = len(truth.classes)
    of_found = detections.image_of[found] * classes + detections.labels[found]
    of_true = truth.image_of[true] * classes + truth.labels[true]
    compare = BoxOverlaps(truth, detections, truth.crowd)
    best_found, best_true = np.zeros(len(found)), np.zeros(len(true))
    for d, o in pairs_in_groups(of_found, of_true):
        ious = compare(found[d], true[o])
        np.maximum.at(best_found, d, ious)
        np.maximum.at(best_true, o, ious)
    labels, places = np.unique(np.concatenate([of_found, of_true]), return_inverse=True)
    number = len(labels)
    found_mean, found_number = _means(places[: len(found)], best_found, number)
    true_mean, true_number = _means(places[len(found) :], best_true, number)
    per_label = np.where(found_number > true_number, true_mean, found_mean)
    return _means(labels // max(classes, 1), per_label, len(truth))[0].astype(np.float32)


def _means(groups: np.ndarray, values: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the values of each group, 0 for an empty one, float64 (number,), and how many there are, int64."""
    counts = np.bincount(groups, minlength=number)
    return np.bincount(groups, values, minlength=number) / np.maximum(counts, 1), counts
