"""Mean average precision as PASCAL VOC defines it, by MMDetection's functions.

MMDetection's `eval_map` forks a pool of processes at every call. A process that has a dataset open has threads of Deep
Lake, and a fork beside them can wait for ever; so the images are matched here, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.evaluation.functional.mean_ap import average_precision, get_cls_results, print_map_summary, tpfp_default


def mean_average_precision(
    found: Sequence[Sequence[np.ndarray]],
    truths: Sequence[dict[str, np.ndarray]],
    classes: Sequence[str],
    iou_thr: float,
    mode: str,
    logger: Any = None,
) -> float:
    """Mean over the classes that have a true box; 0 if none has. Boxes count their last pixel, as in PASCAL VOC.

    Args:
        found: For each image, for each class, boxes and scores (n, 5), xyxy pixels.
        truths: For each image ``bboxes``, ``labels``, ``bboxes_ignore``, ``labels_ignore``.
        classes: Class names.
        iou_thr: IoU from which on a box is found.
        mode: ``'area'`` or ``'11points'``.
        logger: Takes the table of classes.
    """
    results = [_of_class(found, truths, label, iou_thr, mode) for label in range(len(classes))]
    precisions = [result['ap'] for result in results if result['num_gts'] > 0]
    mean = float(np.mean(precisions)) if precisions else 0.0
    print_map_summary(mean, results, tuple(classes), None, logger=logger)
    return mean


def _of_class(
    found: Sequence[Sequence[np.ndarray]],
    truths: Sequence[dict[str, np.ndarray]],
    label: int,
    iou_thr: float,
    mode: str,
) -> dict[str, Any]:
    boxes, true_boxes, ignored = get_cls_results(found, truths, label)
    matched = [
        tpfp_default(*image, iou_thr=iou_thr, use_legacy_coordinate=True)
        for image in zip(boxes, true_boxes, ignored, strict=True)
    ]
    order = np.argsort(-np.vstack(boxes)[:, -1])
    right, wrong = (np.cumsum(np.hstack([image[k][0] for image in matched])[order]) for k in (0, 1))
    total, least = sum(len(image) for image in true_boxes), np.finfo(np.float32).eps
    recall, precision = right / np.maximum(np.int64(total), least), right / np.maximum(right + wrong, least)
    return {
        'num_gts': total,
        'num_dets': len(order),
        'recall': recall,
        'precision': precision,
        'ap': average_precision(recall, precision, mode),
    }
