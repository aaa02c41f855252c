"""Overlaps of detections with objects, pair by pair, as COCO computes them.

Intersection over union; with a crowd region the intersection over the detection's own area. The arithmetic is that of
pycocotools in its order, so the numbers are the same to the last bit.
"""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.run_lengths import run_lengths


class BoxOverlaps:
    """Overlaps of boxes.

    Args:
        truth: M objects.
        detections: D detections.
        crowd: Objects that are crowd regions, bool (M,).
    """

    def __init__(self, truth: GroundTruth, detections: Detections, crowd: np.ndarray) -> None:
        self._found, self._true, self._crowd = detections.boxes_xywh, truth.boxes_xywh, crowd

    def __call__(self, detections: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """The overlaps of n pairs, float64 (n,).

        Args:
            detections: A detection of each pair, int64 (n,).
            objects: The object, int64 (n,).
        """
        d, o = self._found[detections], self._true[objects]
        sides = np.minimum(d[:, :2] + d[:, 2:], o[:, :2] + o[:, 2:]) - np.maximum(d[:, :2], o[:, :2])
        sides[(sides <= 0).any(axis=1)] = 0
        inside = sides[:, 0] * sides[:, 1]
        own, other = d[:, 2] * d[:, 3], o[:, 2] * o[:, 3]
        return _ratio(inside, np.where(self._crowd[objects], own, own + other - inside))


class MaskOverlaps:
    """Overlaps of masks.

    Args:
        truth: M objects with segmentations.
        detections: D detections with masks.
        crowd: Objects that are crowd regions, bool (M,).
        groups: Number of the group that each object is in, int64 (M,); pairs come group by group, in each group every
            detection with every object.

    Raises:
        AnnotationError: One of the two has no masks.
    """

    def __init__(self, truth: GroundTruth, detections: Detections, crowd: np.ndarray, groups: np.ndarray) -> None:
        if truth.segmentations is None:
            raise AnnotationError(
                "match(masks=True) expected annotations with segmentations, but got none. Evaluate with metric='segm'."
            )
        self._found, self._true = detections.segmentations, truth.segmentations
        self._sizes, self._image_of = truth.sizes.tolist(), truth.image_of.tolist()
        self._crowd, self._groups = crowd, groups

    def __call__(self, detections: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """The overlaps of n pairs, float64 (n,); see `BoxOverlaps`."""
        from pycocotools import mask as coco_mask

        overlaps = np.zeros(len(objects))
        ends = np.flatnonzero(np.diff(self._groups[objects])) + 1
        for part in np.split(np.arange(len(objects)), ends):
            d, of_d = np.unique(detections[part], return_inverse=True)
            o, of_o = np.unique(objects[part], return_inverse=True)
            found = [self._found[place] for place in d.tolist()]
            true = [run_lengths(self._true[place], self._sizes[self._image_of[place]]) for place in o.tolist()]
            overlaps[part] = coco_mask.iou(found, true, self._crowd[o].astype(np.uint8).tolist())[of_d, of_o]
        return overlaps


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=part > 0)
