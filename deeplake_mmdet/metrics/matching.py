"""Which detection found which object, decided as COCO's evaluation decides it.

Within each image and class the detections choose in the order of their scores: each takes the free object that it
overlaps most, if the overlap reaches the threshold. A crowd region is taken only where no object is, never runs out,
and whoever takes it is neither right nor wrong. What a detection takes does not depend on those of lower score, so one
matching holds for every score threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.metrics.box_pairs import pairs_in_groups
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.overlaps import BoxOverlaps, MaskOverlaps

FALSE_POSITIVE, TRUE_POSITIVE, NEITHER = 0, 1, 2  # kinds of a detection


@dataclass(frozen=True)
class Matching:
    """D detections and M objects, each with its partner.

    Attributes:
        objects: The object that each detection found, int64 (D,); -1 for none.
        detections: The best-scored detection that found each object, int64 (M,); -1 for none.
        kinds: `FALSE_POSITIVE`, `TRUE_POSITIVE` or `NEITHER`, int8 (D,).
        ious: Overlap of each detection with the object that it found, else the largest with any object that it was
            compared with, float64 (D,) from 0 to 1. That of a crowd region is the part of the detection inside it.
        scores: The scores by which they chose, float32 (D,).
        counted: Objects that are to be found, bool (M,); the others are crowd regions and their like.
    """

    objects: np.ndarray
    detections: np.ndarray
    kinds: np.ndarray
    ious: np.ndarray
    scores: np.ndarray
    counted: np.ndarray

    def found(self, threshold: float) -> np.ndarray:
        """Objects that a detection of at least this score found, bool (M,)."""
        finders = self.detections >= 0
        finders[finders] = self.scores[self.detections[finders]] >= threshold
        return finders


def match(
    truth: GroundTruth,
    detections: Detections,
    *,
    iou_thr: float = 0.5,
    masks: bool = False,
    by_class: bool = True,
    neither: np.ndarray | None = None,
    only_detections: np.ndarray | None = None,
    only_objects: np.ndarray | None = None,
) -> Matching:
    """Match the detections of images with the objects of the same images.

    Args:
        truth: The annotations of N images with M objects.
        detections: The D detections of the same images in the same order.
        iou_thr: Overlap from which on an object is found.
        masks: Compare masks instead of boxes, in the order of the masks' scores.
        by_class: Compare detections with objects of their own class only.
        neither: Objects that are crowd regions to the rules, bool (M,). Defaults to those that COCO treats so,
            ``truth.crowd``; PASCAL VOC's rules ask for ``truth.ignored``.
        only_detections, only_objects: The ones that take part, bool (D,) and (M,). Defaults to all.

    Raises:
        AnnotationError: Masks are to be compared, and there are none.
    """
    crowd = truth.crowd if neither is None else neither
    scores = detections.mask_scores if masks else detections.scores
    groups = _Groups.of(truth, detections, scores, by_class)
    compare = (
        MaskOverlaps(truth, detections, crowd, groups.of_objects) if masks else BoxOverlaps(truth, detections, crowd)
    )
    found, finder = np.full(len(scores), -1, np.int64), np.full(len(crowd), -1, np.int64)
    ious = np.zeros(len(scores))
    for d, o in groups.pairs(only_detections, only_objects):
        overlaps = compare(d, o)
        np.maximum.at(ious, d, overlaps)
        enough = overlaps >= min(iou_thr, 1 - 1e-10)
        _choose(d[enough], o[enough], overlaps[enough], crowd, found, finder, ious)
    kinds = np.where(found < 0, FALSE_POSITIVE, TRUE_POSITIVE).astype(np.int8)
    kinds[found >= 0] = np.where(crowd[found[found >= 0]], NEITHER, TRUE_POSITIVE)
    return Matching(found, finder, kinds, ious, scores, ~crowd)


def _choose(
    detections: np.ndarray,
    objects: np.ndarray,
    overlaps: np.ndarray,
    crowd: np.ndarray,
    found: np.ndarray,
    finder: np.ndarray,
    ious: np.ndarray,
) -> None:
    """Let each detection take the best of its objects that is free.

    Args:
        detections, objects, overlaps: Pairs that overlap enough, those of each detection side by side, (n,).
        crowd: As in `match`.
        found, finder, ious: ``objects``, ``detections`` and ``ious`` of the `Matching`; changed in place.
    """
    runs = np.cumsum(np.concatenate([[0], np.diff(detections) != 0])) if len(detections) else detections
    # Objects before crowd regions, the largest overlap first, of equal ones the last.
    order = np.lexsort((-objects, -overlaps, crowd[objects], runs))
    chose = -1
    for d, o, overlap in zip(*(values[order].tolist() for values in (detections, objects, overlaps)), strict=True):
        if d != chose and (finder[o] < 0 or crowd[o]):
            chose = d
            found[d], ious[d] = o, overlap
            if finder[o] < 0:
                finder[o] = d


@dataclass(frozen=True)
class _Groups:
    """The images, or the classes of each image: what is compared with each other.

    Attributes:
        of_detections, of_objects: Number of the group, int64 (D,) and (M,).
        order: The detections group by group, the best first, int64 (D,).
    """

    of_detections: np.ndarray
    of_objects: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, truth: GroundTruth, detections: Detections, scores: np.ndarray, by_class: bool) -> _Groups:
        of_detections, of_objects = detections.image_of, truth.image_of
        if by_class:
            number = len(truth.classes)
            of_detections = of_detections * number + detections.labels
            of_objects = of_objects * number + truth.labels
        return cls(of_detections, of_objects, np.lexsort((-scores, of_detections)))

    def pairs(
        self, only_detections: np.ndarray | None, only_objects: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every detection with each object of its group, a bounded number of pairs at a time."""
        detections = self.order if only_detections is None else self.order[only_detections[self.order]]
        objects = np.arange(len(self.of_objects)) if only_objects is None else np.flatnonzero(only_objects)
        for d, o in pairs_in_groups(self.of_detections[detections], self.of_objects[objects]):
            yield detections[d], objects[o]
