"""The masks of one row as COCO segmentations, the form that MMDetection loads, whatever the column that holds them.

A text column holds the segmentations themselves, a polygon becomes one ring, a bitmap becomes run lengths or, for
pipelines that work on polygons, rings of exactly its pixels. What cannot be drawn, or does not fit the row's boxes
and image, is refused with its column, row and object.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.bitmaps import bitmap_rings, checked_bitmaps, pack_bitmaps, unpacked_rings
from deeplake_mmdet.annotations.coco_masks import first_fault
from deeplake_mmdet.config.tensor_roles import COCO_FRACTIONAL, COCO_RLE
from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.column_types import BITMAPS

_REMEDY = 'Correct the row, or leave it out by a query.'


def segmentations(
    value: Any, kind: str, objects: int, size_hw: tuple[int, int], where: str, *, as_rings: bool = False
) -> list[Any]:
    """The segmentation of each object of one row, in the order of its boxes.

    Args:
        value: What the row holds: a JSON text; polygons of shape (K, 2), x and y in pixels, as a list or as one array
            (N, K, 2) of any numbers; bitmaps of shape (H, W, N); or None for nothing.
        kind: What `deeplake_mmdet.source.column_types.mask_kind` says of its column.
        objects: Number of boxes in the row.
        size_hw: Height and width of the image.
        where: Names column and row, for messages.
        as_rings: Whether bitmaps become rings instead of run lengths.

    Returns:
        One item an object: a list of rings ``[x, y, x, y, …]``, an RLE ``{'size': [H, W], 'counts': …}``, or None for
        an object without a mask.

    Raises:
        AnnotationError: The row is not what its column promises, has more or fewer masks than boxes, masks of another
            size than the image, or one that cannot be drawn.
    """
    if kind in BITMAPS and value is not None:
        bitmaps = checked_bitmaps(value, kind, objects, size_hw, where)
        _check_count(bitmaps.shape[2], objects, where)
        return list(map(bitmap_rings, np.moveaxis(bitmaps, -1, 0))) if as_rings else pack_bitmaps(bitmaps)
    masks = [] if value is None else _polygons(value, where) if kind == 'Polygon' else _parsed(value, where)
    _check_count(len(masks), objects, where)
    fault = first_fault(masks, size_hw)
    if fault is None and kind == COCO_FRACTIONAL:
        masks = [_in_pixels(mask, size_hw) for mask in masks]
        fault = first_fault(masks, size_hw)
    if fault is not None:
        raise AnnotationError(f'{where}, object {fault[0]}: {fault[1]}. {_REMEDY}')
    if as_rings and kind == COCO_RLE:
        return [unpacked_rings(mask) if isinstance(mask, dict) else mask for mask in masks]
    return masks


def _check_count(masks: int, objects: int, where: str) -> None:
    if masks != objects:
        raise AnnotationError(f'{where}: expected a list of {objects} masks, one a box, but got {masks}. {_REMEDY}')


def _parsed(text: str, where: str) -> list[Any]:
    try:
        masks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            f'{where}: expected a JSON list of masks, but got no JSON document: {error}. {_REMEDY}'
        ) from None
    if not isinstance(masks, list):
        raise AnnotationError(f'{where}: expected a JSON list of masks, but got a {type(masks).__name__}. {_REMEDY}')
    return masks


def _in_pixels(mask: Any, size_hw: tuple[int, int]) -> Any:
    """Rings of fractions of the image's width and height, in pixels; what is no rings, as it is."""
    if not isinstance(mask, list):
        return mask
    return [[value * size_hw[1 - place % 2] for place, value in enumerate(ring)] for ring in mask]


def _polygons(value: Any, where: str) -> list[Any]:
    polygons = [np.asarray(polygon, np.float64) for polygon in value]
    for number, points in enumerate(polygons):
        if points.ndim != 2 or points.shape[1] != 2:
            raise AnnotationError(
                f'{where}, object {number}: expected a polygon of shape (points, 2), but got {points.shape}. {_REMEDY}'
            )
    return [[points.reshape(-1).tolist()] for points in polygons]
