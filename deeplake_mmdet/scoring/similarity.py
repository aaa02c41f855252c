"""How alike two boxes are, for the search for wrong annotations: ObjectLab's mixture of overlap and nearness.

IoU alone cannot tell a box that was shifted off its object from one that has nothing to do with it, so a tenth of the
similarity is nearness: exp(-distance of the centres / size of the annotated box). ObjectLab measures the distance in
pixels; here the size, the square root of the area, makes it the same for an image at any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.metrics.box_pairs import pairs_in_groups
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.overlaps import BoxOverlaps
from deeplake_mmdet.scoring.best_overlaps import best_of_each
from deeplake_mmdet.scoring.error_kinds import BACKGROUND_IOU

OVERLAP_WEIGHT = 0.9


@dataclass(frozen=True)
class Likeness:
    """D detections and M objects, crowd regions excepted, as far as they are alike.

    A detection belongs to the object of its image that it is most like, of equals to one of its class, if the two
    overlap by more than background; to one object at most, so that two objects never share one detection.

    Attributes:
        owner: The object that each detection belongs to, int64 (D,); -1 for none.
        nearest: Similarity of each detection with the object that it is most like, float64 (D,); 0 without an object.
        support: Of each object the largest similarity times certainty over all detections of the image, float64 (M,).
    """

    owner: np.ndarray
    nearest: np.ndarray
    support: np.ndarray

    @classmethod
    def of(cls, truth: GroundTruth, detections: Detections, certainty: np.ndarray) -> Likeness:
        """Compare every detection with every object of its image.

        Args:
            truth: The annotations of N images.
            detections: The detections of the same images in the same order.
            certainty: How far each detection is to be trusted, (D,) from 0 to 1.
        """
        number = len(detections.boxes)
        owner, nearest, support = np.full(number, -1, np.int64), np.zeros(number), np.zeros(len(truth.labels))
        objects = np.flatnonzero(~truth.crowd)
        overlap, near = BoxOverlaps(truth, detections, truth.crowd), _Nearness(truth, detections)
        for d, place in pairs_in_groups(detections.image_of, truth.image_of[objects]):
            o = objects[place]
            ious = overlap(d, o)
            alike = OVERLAP_WEIGHT * ious + (1 - OVERLAP_WEIGHT) * near(d, o)
            np.maximum.at(support, o, alike * certainty[d])
            same = detections.labels[d] == truth.labels[o]
            best = best_of_each(d, alike + 1e-9 * same)
            nearest[d[best]] = alike[best]
            best = best[ious[best] >= BACKGROUND_IOU]
            owner[d[best]] = o[best]
        return cls(owner, nearest, support)


class _Nearness:
    """exp(-distance of the centres / size of the object), pair by pair."""

    def __init__(self, truth: GroundTruth, detections: Detections) -> None:
        found = detections.boxes_xywh
        self._found = found[:, :2] + found[:, 2:] / 2
        self._true = truth.boxes_xywh[:, :2] + truth.boxes_xywh[:, 2:] / 2
        self._size = np.sqrt(np.maximum(truth.boxes_xywh[:, 2] * truth.boxes_xywh[:, 3], 1))

    def __call__(self, detections: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """The nearness of n pairs, float64 (n,), given the detection and the object of each, int64 (n,)."""
        distances = np.linalg.norm(self._found[detections] - self._true[objects], axis=1)
        return np.exp(-distances / self._size[objects])
