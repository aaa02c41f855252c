"""Objects and detections as columns, numbered as COCO's evaluation orders them.

Masks become compressed run lengths here, by pycocotools for every engine: polygons drawn by another library could
differ in a pixel, and an object without a mask, on which pycocotools itself fails, has none of the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.run_lengths import run_lengths

_MASKS_OF_A_CALL = 255


@dataclass(frozen=True)
class Columns:
    """D objects or detections, in the order of their images.

    Attributes:
        images: Image numbers from 1, int64 (D,).
        categories: Category numbers from 1 in the order of the run's classes, int64 (D,).
        boxes: Left, top, width, height in pixels, float64 (D, 4).
        areas: Square pixels, float64 (D,).
        crowd: bool (D,); of a detection False.
        scores: float64 (D,); of an object 0.
        masks: COCO run lengths ``{'size': [height, width], 'counts': …}``, D, or None for boxes.
    """

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    scores: np.ndarray
    masks: list[Any] | None


def columns_of_truth(truth: GroundTruth, iou_type: str) -> Columns:
    """The objects; areas are the annotated ones.

    Raises:
        AnnotationError: Masks are evaluated, and the ground truth was read without them, or one cannot be drawn.
    """
    return Columns(
        images=truth.image_of + 1,
        categories=truth.labels + 1,
        boxes=truth.boxes_xywh,
        areas=truth.areas,
        crowd=truth.crowd,
        scores=np.zeros(len(truth.labels)),
        masks=_masks_of_truth(truth) if iou_type == 'segm' else None,
    )


def columns_of_detections(truth: GroundTruth, detections: Detections, iou_type: str) -> Columns:
    """The detections; areas are those of what is evaluated: of the boxes, or of the masks.

    Raises:
        AnnotationError: Masks are evaluated, and none were predicted, or of another size than their image.
    """
    assert len(truth) == len(detections)
    boxes, masks = detections.boxes_xywh, None
    areas, scores = boxes[:, 2] * boxes[:, 3], detections.scores
    if iou_type == 'segm':
        _check_sizes(truth, detections)
        masks, scores = detections.segmentations, detections.mask_scores
        areas = _areas(masks)
    return Columns(
        images=detections.image_of + 1,
        categories=detections.labels + 1,
        boxes=boxes,
        areas=areas,
        crowd=np.zeros(len(boxes), bool),
        scores=scores.astype(np.float64),
        masks=masks,
    )


def _check_sizes(truth: GroundTruth, detections: Detections) -> None:
    """COCO's evaluation takes masks of different sizes for disjoint, and gives 0 instead of an error."""
    other = (detections.sizes != truth.sizes).any(axis=1) & (np.diff(detections.offsets) > 0)
    if other.any():
        image = int(np.flatnonzero(other)[0])
        raise AnnotationError(
            f'The predictions of the image with img_id {truth.img_ids[image]!r} expected masks of its height and width '
            f'{truth.sizes[image].tolist()}, but got {detections.sizes[image].tolist()}. Rescale the predicted masks '
            'to the original image.'
        )


def _areas(masks: list[Any]) -> np.ndarray:
    """In pieces: pycocotools holds the number of masks of one call in 8 bits, and fails on more under NumPy 2."""
    starts = range(0, len(masks), _MASKS_OF_A_CALL)
    pieces = [coco_mask.area(masks[start : start + _MASKS_OF_A_CALL]) for start in starts]
    return np.concatenate([np.zeros(0), *pieces])


def _masks_of_truth(truth: GroundTruth) -> list[Any]:
    if truth.segmentations is None:
        raise AnnotationError("The metric 'segm' expected annotations with masks, but they were read without.")
    masks = []
    for segmentation, image in zip(truth.segmentations, truth.image_of.tolist(), strict=True):
        size = truth.sizes[image].tolist()
        try:
            mask = run_lengths(segmentation, size)
        except Exception as error:  # pycocotools raises the base class itself
            raise AnnotationError(_undrawn(truth, image, f'{type(error).__name__}: {error}')) from error
        if list(mask['size']) != size:
            raise AnnotationError(_undrawn(truth, image, f'one of {list(mask["size"])}'))
        masks.append(mask)
    return masks


def _undrawn(truth: GroundTruth, image: int, problem: str) -> str:
    return (
        f'Row {truth.rows[image]} (img_id {truth.img_ids[image]!r}) expected masks of height and width '
        f'{truth.sizes[image].tolist()}, but got {problem}. Correct the row.'
    )
