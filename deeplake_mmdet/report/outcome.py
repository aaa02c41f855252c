"""What a detector got right and wrong at its best score threshold: every count of the page comes from here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from deeplake_mmdet.metrics.evaluation import Evaluation
from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, TRUE_POSITIVE, Matching, match
from deeplake_mmdet.report.score_curve import ScoreCurve

IOU = 0.5


@dataclass(frozen=True)
class Outcome:
    """D detections and M objects at one score threshold.

    Attributes:
        evaluation: What was measured; if that was no matter of classes, with all of them as one.
        masks: Whether masks were compared instead of boxes.
        matching: Who found whom, within the classes.
        curve: Precision and recall at every threshold.
        threshold: The score with the highest F1.
        shown: Detections with at least this score, bool (D,).
        missed: Objects that none of them found, bool (M,); those of another class at their place do not count.
        taken_for: The missed object, of another class, at the place of each false detection, int64 (D,); -1 for none.
    """

    evaluation: Evaluation
    masks: bool
    matching: Matching
    curve: ScoreCurve
    threshold: float
    shown: np.ndarray
    missed: np.ndarray
    taken_for: np.ndarray

    @classmethod
    def of(cls, evaluation: Evaluation) -> Outcome:
        """Match, find the best threshold, and look at what is wrong there."""
        if evaluation.values and not evaluation.per_class:
            evaluation = _of_any_class(evaluation)
        truth, detections, curves = evaluation.truth, evaluation.detections, evaluation.curves
        masks = compares_masks(evaluation)
        # As the metric counts: objects marked as ignored are to be found in COCO's evaluation, not in PASCAL VOC's.
        neither = truth.crowd if curves else truth.ignored
        matching = match(truth, detections, iou_thr=IOU, masks=masks, neither=neither)
        curve = ScoreCurve.of(matching)
        threshold = curve.threshold
        shown = matching.scores >= threshold
        missed = matching.counted & ~matching.found(threshold)
        others = match(
            truth,
            detections,
            iou_thr=IOU,
            masks=masks,
            by_class=False,
            neither=neither,
            only_detections=shown & (matching.kinds == FALSE_POSITIVE),
            only_objects=missed,
        )
        return cls(evaluation, masks, matching, curve, threshold, shown, missed, others.objects)

    @cached_property
    def right(self) -> np.ndarray:
        """Detections that are shown and found an object, bool (D,)."""
        return self.shown & (self.matching.kinds == TRUE_POSITIVE)

    @cached_property
    def wrong(self) -> np.ndarray:
        """Detections that are shown and false, those of a wrong class included, bool (D,)."""
        return self.shown & (self.matching.kinds == FALSE_POSITIVE)

    def per_class(self) -> dict[str, np.ndarray]:
        """Counts and rates of each class, (K,) each: ``objects``, ``detections``, ``precision``, ``recall``, ``F1``."""
        truth, labels = self.evaluation.truth, self.evaluation.detections.labels
        number = len(truth.classes)
        objects = np.bincount(truth.labels[self.matching.counted], minlength=number)
        right = np.bincount(labels[self.right], minlength=number)
        wrong = np.bincount(labels[self.wrong], minlength=number)
        return {
            'objects': objects,
            'detections': np.bincount(labels[self.shown], minlength=number),
            'precision': _share(right, right + wrong),
            'recall': _share(right, objects),
            'F1': _share(2 * right, right + wrong + objects),
        }


def compares_masks(evaluation: Evaluation) -> bool:
    """Whether masks tell what is right: where they were evaluated and boxes were not."""
    return 'segm' in evaluation.curves and 'bbox' not in evaluation.curves


def _of_any_class(evaluation: Evaluation) -> Evaluation:
    """The same with all classes as one: proposals, which recall is measured of, have no class that means anything."""
    truth, detections = evaluation.truth, evaluation.detections
    return replace(
        evaluation,
        truth=replace(truth, labels=np.zeros_like(truth.labels), classes=('any class',), category_ids=(1,)),
        detections=replace(detections, labels=np.zeros_like(detections.labels)),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
