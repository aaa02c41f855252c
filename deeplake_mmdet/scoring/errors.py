"""What a detector got right and wrong in each image, with each object and by each detection.

Matching is COCO's; counts hold at one score threshold, average precision over all scores. Everything is local to an
image, so images may be looked at in parts of any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.errors import AnnotationError, ConfigError
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, TRUE_POSITIVE, Matching, match
from deeplake_mmdet.scoring.best_overlaps import BestOverlaps
from deeplake_mmdet.scoring.error_kinds import BACKGROUND_IOU, detection_kinds, object_kinds
from deeplake_mmdet.scoring.image_iou import image_ious
from deeplake_mmdet.scoring.image_precision import image_precisions

AP_IOU = 0.5


@dataclass(frozen=True)
class Errors:
    """The errors in N images with M objects of K classes and D detections, called as the columns are.

    Attributes:
        iou: See `image_iou`, float32 (N,); 0 for an image with nothing in it.
        mean_iou: Mean over the objects of the IoU with the detection that found each, 0 for those that none found,
            float32 (N,); NaN for an image without an object.
        ap50: Average precision at IoU 0.5 of the image alone, float32 (N,); NaN for an image without an object.
        tp: Shown detections that found an object, int32 (N,).
        fp: Shown detections that found none, int32 (N,).
        fn: Objects that no shown detection found, int32 (N,).
        missed_by_class: `fn` by the class of the object, int32 (N, K).
        spurious_by_class: `fp` by the class of the detection, int32 (N, K).
        object_iou: Largest IoU with a shown detection of any class, float32 (M,).
        object_prediction: The shown detection that found the object (of a crowd region the best-scored of those that
            took it), int32 (M,), a number among all D; -1 for none.
        object_score: Its score, float32 (M,); 0 for none.
        object_error: Position in `ERRORS`, int32 (M,).
        shown: Detections whose score is high enough, bool (D,); the score of the mask where masks are compared.
        prediction_error: Position in `ERRORS`, int32 (D,); of detections that are not shown, too.
        prediction_object: The object that the detection found, or the crowd region that it took, int32 (D,), a number
            among all M; -1 for none.
    """

    iou: np.ndarray
    mean_iou: np.ndarray
    ap50: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    missed_by_class: np.ndarray
    spurious_by_class: np.ndarray
    object_iou: np.ndarray
    object_prediction: np.ndarray
    object_score: np.ndarray
    object_error: np.ndarray
    shown: np.ndarray
    prediction_error: np.ndarray
    prediction_object: np.ndarray


def errors_of(
    truth: GroundTruth, detections: Detections, *, iou_thr: float = 0.5, score_thr: float = 0.3, masks: bool = False
) -> Errors:
    """Find the errors of a detector.

    Args:
        truth: The annotations of N images.
        detections: The detections of the same images in the same order.
        iou_thr: IoU from which on an object is found, above 0.1 to 1.
        score_thr: Score from which on a detection is shown, 0 to 1.
        masks: Whether objects are found by their masks instead of their boxes; ``iou`` is that of boxes all the same.

    Raises:
        ConfigError: A threshold is out of range.
        AnnotationError: The images differ, a detection has a class that the run has not, or there are no masks.
    """
    _check_thresholds(iou_thr, score_thr)
    check_same_images('errors_of', truth, detections)
    masks = masks and _has_masks(detections)
    matching = match(truth, detections, iou_thr=iou_thr, masks=masks)
    at_half = matching if iou_thr == AP_IOU else match(truth, detections, iou_thr=AP_IOU, masks=masks)
    shown, found = matching.scores >= float(score_thr), matching.found(float(score_thr))
    overlaps = BestOverlaps.of(truth, detections, shown=shown, masks=masks)
    kinds = detection_kinds(matching, overlaps, iou_thr)
    right, wrong = shown & (matching.kinds == TRUE_POSITIVE), shown & (matching.kinds == FALSE_POSITIVE)
    missed = matching.counted & ~found
    return Errors(
        iou=image_ious(truth, detections, shown),
        mean_iou=_mean_ious(truth, matching, found),
        ap50=image_precisions(truth, detections, at_half),
        tp=_counts(detections, right),
        fp=_counts(detections, wrong),
        fn=_counts(truth, missed),
        missed_by_class=_counts_by_class(truth, missed, len(truth.classes)),
        spurious_by_class=_counts_by_class(detections, wrong, len(truth.classes)),
        object_iou=overlaps.of_objects.astype(np.float32),
        object_prediction=np.where(found, matching.detections, -1).astype(np.int32),
        object_score=_scores(matching, found),
        object_error=object_kinds(matching, overlaps, kinds, shown, found),
        shown=shown,
        prediction_error=kinds,
        prediction_object=matching.objects.astype(np.int32),
    )


def check_same_images(caller: str, truth: GroundTruth, detections: Detections) -> None:
    """Check that two belong together: a shift by one image would give numbers that look like a bad detector's.

    Raises:
        AnnotationError: The images differ, or a detection has a class that the run has not.
    """
    if list(truth.img_ids) != list(detections.img_ids):
        pairs = zip(truth.img_ids, detections.img_ids, strict=False)
        differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
        what = f'{detections.img_ids!r:.60}' if differing is None else f'{differing[1]!r} where {differing[0]!r} is due'
        raise AnnotationError(
            f'{caller}(detections=) expected the {len(truth)} images of the annotations in their order, but got '
            f'{len(detections)}: {what}. Pass the detections of the same images, sorted by image id.'
        )
    strange = (detections.labels < 0) | (detections.labels >= len(truth.classes))
    if strange.any():
        raise AnnotationError(
            f'{caller}(detections=) expected labels of the {len(truth.classes)} classes {truth.classes}, but got '
            f'{int(detections.labels[strange][0])}. Use a checkpoint of these classes, or their `metainfo`.'
        )


def _check_thresholds(iou_thr: float, score_thr: float) -> None:
    if not BACKGROUND_IOU < iou_thr <= 1:
        raise ConfigError(
            f'errors_of(iou_thr=) expected a number above {BACKGROUND_IOU}, below which there is only background, up '
            f'to 1, but got {iou_thr!r}. Pass 0.5, or another IoU from which on an object is found.'
        )
    if not 0 <= score_thr <= 1:
        raise ConfigError(
            f'errors_of(score_thr=) expected a number from 0 to 1, but got {score_thr!r}. Pass the score from which on '
            'a detection is shown.'
        )


def _has_masks(detections: Detections) -> bool:
    """Whether there are masks to compare; without a detection there is nothing to compare at all."""
    if detections.counts is None and len(detections.boxes):
        raise AnnotationError(
            'errors_of(masks=True) expected detections with masks, but got boxes alone. Use a detector of masks, or '
            'compare boxes.'
        )
    return len(detections.boxes) > 0


def _mean_ious(truth: GroundTruth, matching: Matching, found: np.ndarray) -> np.ndarray:
    ious = np.zeros(len(found))
    ious[found] = matching.ious[matching.detections[found]]
    of_objects = truth.image_of[matching.counted]
    sums = np.bincount(of_objects, ious[matching.counted], minlength=len(truth))
    counts = np.bincount(of_objects, minlength=len(truth))
    return np.divide(sums, counts, out=np.full(len(truth), np.nan), where=counts > 0).astype(np.float32)


def _counts(of: GroundTruth | Detections, chosen: np.ndarray) -> np.ndarray:
    """How many of each image are chosen, int32 (N,)."""
    return np.bincount(of.image_of[chosen], minlength=len(of)).astype(np.int32)


def _counts_by_class(of: GroundTruth | Detections, chosen: np.ndarray, classes: int) -> np.ndarray:
    """How many of each image and class are chosen, int32 (N, classes)."""
    groups = of.image_of[chosen] * classes + of.labels[chosen]
    return np.bincount(groups, minlength=len(of) * classes).astype(np.int32).reshape(len(of), classes)


def _scores(matching: Matching, found: np.ndarray) -> np.ndarray:
    scores = np.zeros(len(found), np.float32)
    scores[found] = matching.scores[matching.detections[found]]
    return scores
