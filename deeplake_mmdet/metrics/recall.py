"""Recall of the best-scored boxes, whatever their class.

MMDetection's `eval_recalls` cannot take images with different numbers of boxes under NumPy 1.24 and later.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmdet.evaluation.functional import bbox_overlaps


def recalls(
    truths: Sequence[np.ndarray], found: Sequence[np.ndarray], numbers: Sequence[int], iou_thrs: Sequence[float]
) -> np.ndarray:
    """Recall at numbers of boxes an image and at IoU thresholds.

    Each true box is paired with one found box, the best pairs first. Widths and heights count the last pixel, as PASCAL
    VOC does.

    Args:
        truths: True boxes of each image, xyxy pixels (m, 4).
        found: Found boxes of each image with their scores, (n, 5).
        numbers: How many of the best-scored boxes of an image count.
        iou_thrs: IoU thresholds.

    Returns:
        float64 (len(numbers), len(iou_thrs)); NaN where there is no true box.
    """
    total = sum(len(boxes) for boxes in truths)
    if not total:
        return np.full((len(numbers), len(iou_thrs)), np.nan)
    ious = [_by_score(boxes, candidates) for boxes, candidates in zip(truths, found, strict=True)]
    best = [np.concatenate([_pairs(image[:, :number]) for image in ious]) for number in numbers]
    return np.array([[np.sum(pairs >= iou) / total for iou in iou_thrs] for pairs in best])


def _by_score(boxes: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """IoU of true with found boxes, the best-scored found ones first, (m, n)."""
    order = np.argsort(-candidates[:, 4], kind='stable')
    return bbox_overlaps(boxes, candidates[order, :4], use_legacy_coordinate=True).reshape(len(boxes), len(order))


def _pairs(ious: np.ndarray) -> np.ndarray:
    """The IoU of each pair of a true and a found box, the best first; no box is in two pairs."""
    ious, best = ious.copy(), []
    for _ in range(min(ious.shape)):
        row, column = np.unravel_index(np.argmax(ious), ious.shape)
        best.append(ious[row, column])
        ious[row], ious[:, column] = -1, -1
    return np.array(best)
