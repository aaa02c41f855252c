"""Precision over recall of each class, as COCO's metrics accumulated it or from the matching of the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.metrics.evaluation import Curves
from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, NEITHER, Matching
from deeplake_mmdet.report.outcome import IOU, Outcome

RECALLS = np.linspace(0, 1, 101)
_IOUS = (0.5, 0.75)
_NAMES = {'bbox': 'boxes', 'segm': 'masks', 'proposal': 'proposals'}


@dataclass(frozen=True)
class PrecisionRecall:
    """The curves of K classes.

    Attributes:
        name: Such as ``bbox_50``.
        title: Such as ``boxes, IoU 0.50``.
        classes: Names of the curves, K.
        precision: Highest precision at each of `RECALLS` or beyond, float64 (K, 101); NaN without an object.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    precision: np.ndarray

    @property
    def average_precision(self) -> np.ndarray:
        """Mean of each curve, float64 (K,)."""
        return self.precision.mean(axis=1)

    @property
    def mean(self) -> np.ndarray:
        """Mean over the classes with objects, float64 (101,); NaN if there are none."""
        known = self.precision[~np.isnan(self.precision).any(axis=1)]
        return known.mean(axis=0) if len(known) else np.full(len(RECALLS), np.nan)


def precision_recall(outcome: Outcome) -> list[PrecisionRecall]:
    """All curves of an evaluation, at IoU 0.5 and 0.75 where those were measured."""
    classes = outcome.evaluation.truth.classes
    found = []
    for metric, curves in outcome.evaluation.curves.items():
        names = classes if curves.precision.shape[2] == len(classes) else ('all',)
        for place in _places(curves):
            iou = float(curves.iou_thrs[place])
            precision = curves.precision[place, :, :, 0, -1].T
            precision = np.where(precision > -1, precision, np.nan)
            title = f'{_NAMES.get(metric, metric)}, IoU {iou:.2f}'
            found.append(PrecisionRecall(f'{metric}_{iou * 100:.0f}', title, names, precision))
    if not found:
        labels = outcome.evaluation.detections.labels, outcome.evaluation.truth.labels
        precision = curves_of(outcome.matching, *labels, len(classes))
        found.append(
            PrecisionRecall(f'bbox_{IOU * 100:.0f}', f'boxes, IoU {IOU:.2f}, by COCO’s rules', classes, precision)
        )
    return found


def _places(curves: Curves) -> list[int]:
    """Which IoU thresholds are drawn."""
    places = [int(np.argmin(np.abs(curves.iou_thrs - iou))) for iou in _IOUS]
    near = [place for place, iou in zip(places, _IOUS, strict=True) if np.isclose(curves.iou_thrs[place], iou)]
    return near or [0]


def curves_of(matching: Matching, labels: np.ndarray, object_labels: np.ndarray, classes: int) -> np.ndarray:
    """Curves as COCO accumulates them, every detection counted, float64 (classes, 101); NaN without an object.

    Args:
        matching: Who found whom.
        labels: Classes of the detections, int64 (D,).
        object_labels: Classes of the objects, int64 (M,).
        classes: Number of classes.
    """
    objects = np.bincount(object_labels[matching.counted], minlength=classes)
    order = np.lexsort((-matching.scores, labels))
    order = order[matching.kinds[order] != NEITHER]
    ends = np.searchsorted(labels[order], np.arange(classes + 1))
    curves = np.full((classes, len(RECALLS)), np.nan)
    for k in np.flatnonzero(objects).tolist():
        wrong = matching.kinds[order[ends[k] : ends[k + 1]]] == FALSE_POSITIVE
        right = np.cumsum(~wrong)
        precision = np.maximum.accumulate((right / np.arange(1, len(wrong) + 1))[::-1])[::-1]
        places = np.searchsorted(right / objects[k], RECALLS, 'left')
        curves[k] = np.append(precision, 0.0)[places]
    return curves
