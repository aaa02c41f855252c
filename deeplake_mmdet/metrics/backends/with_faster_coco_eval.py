"""faster-coco-eval: pycocotools with its loops in C++.

One thing differs: pycocotools adds 2.2e-16 to the number of detections that it divides by, which matters only where
this number is 1. A precision that rests on one detection, the first, is 0.9999999999999998 there and 1 here. Whether a
precision of 1 rests on more than one is read off at a further recall threshold, between one and two found objects.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deeplake_mmdet.metrics.backends.backend import AREAS, RECALL_THRS, Backend, Settings
from deeplake_mmdet.metrics.backends.coco_dicts import dataset_dict
from deeplake_mmdet.metrics.backends.columns import Columns
from deeplake_mmdet.metrics.ground_truth import GroundTruth

_FIRST_RIGHT = 1 / (1 + np.spacing(1))


class FasterCocoEval(Backend):
    """The engine in C++."""

    name = 'faster-coco-eval'
    module = 'faster_coco_eval'

    def _build(self, truth: GroundTruth, objects: Columns) -> Any:
        from faster_coco_eval import COCO

        return truth, objects, COCO(dataset_dict(truth, objects))

    def _run(self, built: Any, found: Columns, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
        from faster_coco_eval import COCO, COCOeval_faster

        truth, objects, known = built
        evaluation = COCOeval_faster(known, COCO(dataset_dict(truth, found)), settings.iou_type)
        recall_thrs = _recall_thresholds(len(objects.areas))
        evaluation.params.recThrs = recall_thrs
        evaluation.params.iouThrs = settings.iou_thrs
        evaluation.params.maxDets = list(settings.max_dets)
        evaluation.params.useCats = int(settings.use_cats)
        evaluation.evaluate()
        evaluation.accumulate()
        categories = objects.categories if settings.use_cats else np.ones_like(objects.categories)
        numbers = _to_find(objects, categories, len(truth.classes) if settings.use_cats else 1, evaluation.params)
        precision = _as_pycocotools_divides(evaluation.eval['precision'], recall_thrs, numbers)
        return precision[:, np.searchsorted(recall_thrs, RECALL_THRS)], evaluation.eval['recall']


def _recall_thresholds(objects: int) -> np.ndarray:
    """COCO's recall thresholds, and so many more that one lies between 1/n and 2/n for each number n of objects."""
    steps = int(np.ceil(np.log(max(objects, 1)) / np.log(1.5))) + 1
    return np.union1d(RECALL_THRS, 1.5 ** -np.arange(steps))


def _to_find(objects: Columns, categories: np.ndarray, classes: int, params: Any) -> np.ndarray:
    """How many objects count, by category and area range, int64 (K, A)."""
    numbers = np.zeros((classes, AREAS), np.int64)
    for area, (least, most) in enumerate(params.areaRng):
        counts = ~objects.crowd & (objects.areas >= least) & (objects.areas <= most)
        numbers[:, area] = np.bincount(categories[counts] - 1, minlength=classes)
    return numbers


def _as_pycocotools_divides(precision: np.ndarray, recall_thrs: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Put 1/(1 + 2.2e-16) where a precision of 1 rests on a single detection.

    Args:
        precision: float64 (T, R, K, A, M).
        recall_thrs: Recall thresholds, rising, float64 (R,).
        numbers: How many objects count, int64 (K, A).
    """
    second = np.searchsorted(recall_thrs, 1 / np.maximum(numbers, 1), side='right')
    # Beyond the last threshold (a single object) there is no second one to find.
    with_end = np.concatenate([precision, np.zeros_like(precision[:, :1])], axis=1)
    k, a = np.indices(numbers.shape)
    two_right = with_end[:, second, k, a] == 1  # (T, K, A, M)
    return np.where((precision == 1) & ~two_right[:, None], _FIRST_RIGHT, precision)
