"""The objects that each detection overlaps most, and the largest overlap of each object, whoever found whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.metrics.box_pairs import pairs_in_groups
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.overlaps import BoxOverlaps, MaskOverlaps


@dataclass(frozen=True)
class BestOverlaps:
    """Largest IoU of D detections and M objects within their images; crowd regions are no object to a detection.

    Attributes:
        own: With an object of the detection's class, float64 (D,); 0 where there is none.
        own_object: Which object, the first of equals, int64 (D,); -1 where there is none.
        other: With an object of another class, float64 (D,).
        other_object: Which object, int64 (D,).
        of_objects: Of each object, crowd regions included, with a shown detection of any class, float64 (M,).
    """

    own: np.ndarray
    own_object: np.ndarray
    other: np.ndarray
    other_object: np.ndarray
    of_objects: np.ndarray

    @classmethod
    def of(cls, truth: GroundTruth, detections: Detections, *, shown: np.ndarray, masks: bool) -> BestOverlaps:
        """Compare every detection with every object of its image.

        Args:
            truth: The annotations of N images.
            detections: The detections of the same images in the same order.
            shown: Detections that count for `of_objects`, bool (D,).
            masks: Whether masks are compared instead of boxes.
        """
        number, plain = len(detections.boxes), np.zeros(len(truth.labels), bool)
        compare = (
            MaskOverlaps(truth, detections, plain, truth.image_of) if masks else BoxOverlaps(truth, detections, plain)
        )
        own, other, of_objects = np.zeros(number), np.zeros(number), np.zeros(len(truth.labels))
        own_object, other_object = np.full(number, -1, np.int64), np.full(number, -1, np.int64)
        for d, o in pairs_in_groups(detections.image_of, truth.image_of):
            ious = compare(d, o)
            np.maximum.at(of_objects, o[shown[d]], ious[shown[d]])
            same, counted = detections.labels[d] == truth.labels[o], ~truth.crowd[o]
            for best, which, chosen in (
                (own, own_object, same & counted),
                (other, other_object, ~same & counted),
            ):
                pairs = np.flatnonzero(chosen)
                pairs = pairs[best_of_each(d[pairs], ious[pairs])]
                best[d[pairs]], which[d[pairs]] = ious[pairs], o[pairs]
        return cls(own, own_object, other, other_object, of_objects)


def best_of_each(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where the largest value of each key stands, the first of equals, int64 (number of different keys,).

    Args:
        keys: Integers (n,) in any order.
        values: Numbers (n,).
    """
    order = np.lexsort((-values, keys))
    return order[np.unique(keys[order], return_index=True)[1]]
