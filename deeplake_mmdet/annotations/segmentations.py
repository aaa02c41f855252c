"""Masks of a Polygon, BinaryMask or SegmentMask column as COCO segmentations, the form that MMDetection loads.

A polygon becomes one ring. A bitmap becomes run lengths, which hold exactly its pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deeplake_mmdet.errors import AnnotationError


def segmentations(value: Any, size_hw: tuple[int, int], where: str) -> list[Any]:
    """The segmentation of each object of one image.

    Args:
        value: Polygons, each of shape (K, 2) with x and y in pixels, as a list or as one array (N, K, 2) of floats; or
            bitmaps as one array (H, W, N) or (H, W) of bool or integers, what is not 0 belonging to the object.
        size_hw: Height and width of the image.
        where: Names the row, for messages.

    Returns:
        One item an object: a list with one ring ``[x, y, x, y, …]``, or ``{'size': [H, W], 'counts': …}``.

    Raises:
        AnnotationError: The value is neither, or of another size than the image.
    """
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype.kind == 'f'):
        return [[_ring(polygon, where)] for polygon in value]
    bitmaps = np.asarray(value)
    if bitmaps.ndim not in (2, 3) or bitmaps.dtype.kind not in 'bui':
        raise AnnotationError(
            f'{where}: expected polygons, or masks of shape (height, width, objects), but got {bitmaps.dtype} of shape '
            f'{bitmaps.shape}.'
        )
    if bitmaps.size == 0:
        return []
    if bitmaps.shape[:2] != size_hw:
        raise AnnotationError(
            f'{where}: expected masks of the size of their image, {size_hw} (height, width), but got '
            f'{bitmaps.shape[:2]}.'
        )
    return _run_lengths(bitmaps if bitmaps.ndim == 3 else bitmaps[:, :, None])


def _ring(polygon: Any, where: str) -> list[float]:
    points = np.asarray(polygon, np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise AnnotationError(f'{where}: expected polygons of shape (points, 2), but got {points.shape}.')
    return points.reshape(-1).tolist()


def _run_lengths(bitmaps: np.ndarray) -> list[dict[str, Any]]:
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(bitmaps != 0, np.uint8))
    return [{'size': list(item['size']), 'counts': item['counts'].decode('ascii')} for item in encoded]
