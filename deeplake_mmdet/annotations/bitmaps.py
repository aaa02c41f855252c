"""Masks stored as pixels, (height, width, objects): checked, and packed as COCO run lengths or rings.

Run lengths hold exactly the pixels. So do the rings, which pipelines with ``poly2mask=False`` need: to MMDetection an
object with run lengths is one to ignore there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deeplake_mmdet.annotations.rings import mask_to_rings
from deeplake_mmdet.errors import AnnotationError

_ANOTHER = 'name another column with deeplake_tensors=dict(gt_masks=…)'


def checked_bitmaps(value: Any, kind: str, objects: int, size_hw: tuple[int, int], where: str) -> np.ndarray:
    """The masks of one row, bool or integers of shape (H, W, N); what is not 0 belongs to the object.

    Args:
        value: What a column of bitmaps holds; (H, W) is the mask of a single object.
        kind: ``'BinaryMask'`` or ``'SegmentMask'``.
        objects: Number of boxes in the row.
        size_hw: Height and width of the image.
        where: Names column and row, for messages.

    Raises:
        AnnotationError: It is none of that, or does not say which pixels belong to which box.
    """
    bitmaps = np.asarray(value)
    if bitmaps.ndim not in (2, 3) or bitmaps.dtype.kind not in 'bui':
        raise AnnotationError(
            f'{where}: expected masks of shape (height, width, objects), but got {bitmaps.dtype} of shape '
            f'{bitmaps.shape}. Correct the row, or {_ANOTHER}.'
        )
    if bitmaps.size == 0:
        return np.zeros((*size_hw, 0), bool)
    if bitmaps.shape[:2] != size_hw:
        turned = bitmaps.ndim == 3 and bitmaps.shape[1:] == size_hw
        raise AnnotationError(
            f'{where}: expected masks of the size of their image, {size_hw} (height, width), but got '
            f'{bitmaps.shape[:2]}. '
            + ('The objects seem to come first: store them last.' if turned else 'Correct the row, or its image.')
        )
    if bitmaps.ndim == 2 and (kind == 'SegmentMask' or objects != 1):
        raise AnnotationError(
            f'{where}: expected a layer for each of {objects} boxes, shape (height, width, {objects}), but got one '
            f'map of shape {bitmaps.shape}, which does not say which pixels belong to which box. Store a layer an '
            f'object, or {_ANOTHER}.'
        )
    bitmaps = bitmaps if bitmaps.ndim == 3 else bitmaps[:, :, None]
    if kind == 'SegmentMask':
        _refuse_maps(bitmaps, where)
    return bitmaps


def _refuse_maps(layers: np.ndarray, where: str) -> None:
    """Refuse layers with several values, as a map of classes has them: none of them is the mask of an object."""
    mixed = np.flatnonzero(((layers != 0) & (layers != layers.max(axis=(0, 1)))).any(axis=(0, 1)))
    if len(mixed):
        values = np.unique(layers[:, :, mixed[0]])[:5].tolist()
        raise AnnotationError(
            f'{where}, object {mixed[0]}: expected a layer of one value beside 0, but got a map of the values '
            f'{values}{"…" if len(values) == 5 else ""}. Store a layer an object, or {_ANOTHER}.'
        )


def pack_bitmaps(bitmaps: np.ndarray) -> list[dict[str, Any]]:
    """COCO run lengths of each layer of (H, W, N), as JSON holds them."""
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(bitmaps != 0, np.uint8))
    return [{'size': list(item['size']), 'counts': item['counts'].decode('ascii')} for item in encoded]


def bitmap_rings(bitmap: np.ndarray) -> list[list[float]]:
    """Rings that are drawn as exactly the pixels of one layer (H, W); one ring of no points for an empty layer."""
    return [list(map(float, ring)) for ring in mask_to_rings(bitmap)] or [[]]


def unpacked_rings(rle: dict[str, Any]) -> list[list[float]]:
    """The same of the pixels of an RLE."""
    from pycocotools import mask as coco_mask

    packed = rle if isinstance(rle['counts'], str) else coco_mask.frPyObjects(rle, *rle['size'])
    return bitmap_rings(coco_mask.decode(packed))
