"""One evaluation, whole: what a metric measured and what it measured it on, for whoever wants to look closer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth


@dataclass(frozen=True)
class Curves:
    """Precision and recall as COCO accumulates them; -1 where there is nothing to find.

    Attributes:
        precision: float64 (T, R, K, A, M) over IoU thresholds, recall thresholds (0 to 1 in steps of 0.01), classes in
            the order of the run (one for proposals), area ranges (all, small, medium, large) and numbers of detections.
        recall: The same without recall thresholds, float64 (T, K, A, M).
        iou_thrs: float64 (T,).
        max_dets: Numbers of best-scored detections of an image that count, M.
    """

    precision: np.ndarray
    recall: np.ndarray
    iou_thrs: np.ndarray
    max_dets: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """What a metric measured last.

    Attributes:
        metric: Name of the metric's class.
        revision: What was read, as plain strings (``metainfo['deeplake']``).
        truth: The annotations of N images.
        detections: The detections of the same images in the same order.
        values: Metric name to value, as logged.
        per_class: Column of a table of classes to its values, float64 (K,); NaN for a class without an object.
        curves: ``'bbox'`` and ``'segm'`` to their curves; empty unless COCO's metrics were asked for.
    """

    metric: str
    revision: Mapping[str, str]
    truth: GroundTruth
    detections: Detections
    values: Mapping[str, float]
    per_class: Mapping[str, np.ndarray] = field(default_factory=dict)
    curves: Mapping[str, Curves] = field(default_factory=dict)
