"""Masks for tests: bitmaps drawn by COCO's own code, and tiny datasets with a column of masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tests.support.tiny import write_tiny

# Boxes as left, top, width and height; the masks of a row fill them.
BOXES = [[[2, 3, 10, 12], [20, 5, 15, 30]], [], [[1, 1, 8, 9]], [[0, 0, 40, 40], [5, 6, 7, 8], [9, 9, 3, 20]]]
SIZE = 40


def rasterise(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The pixels of a COCO segmentation, bool (height, width)."""
    if not segmentation:
        return np.zeros((height, width), bool)
    rle = segmentation
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation['counts'], list):
        rle = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(rle).astype(bool)


def box_bitmaps(boxes: list[list[int]]) -> np.ndarray:
    """One layer a box that holds its pixels, bool (SIZE, SIZE, n)."""
    layers = np.zeros((SIZE, SIZE, len(boxes)), bool)
    for layer, (x, y, w, h) in enumerate(boxes):
        layers[y : y + h, x : x + w, layer] = True
    return layers


def box_rings(boxes: list[list[int]]) -> list[list[list[float]]]:
    """The same as COCO polygons of one ring."""
    return [[[x, y, x + w, y, x + w, y + h, x, y + h]] for x, y, w, h in boxes]


def packed(bitmap: np.ndarray) -> dict[str, Any]:
    """A bitmap as COCO holds it in JSON: compressed run lengths."""
    rle = coco_mask.encode(np.asfortranarray(bitmap, np.uint8))
    return {'size': list(rle['size']), 'counts': rle['counts'].decode()}


def write_masks(path: Path, column: Any, values: list[Any], *, boxes: Any = BOXES, text_format: str = '') -> str:
    """Write a dataset with a column ``masks`` of any type; gives its path.

    Args:
        path: Where.
        column: The Deep Lake type.
        values: One a row.
        boxes: One list of boxes a row.
        text_format: Metadata ``format`` of the column, if any.
    """
    import deeplake

    write_tiny(path, boxes=boxes, extra={'masks': (column, values)})
    if text_format:
        dataset = deeplake.open(str(path))
        dataset['masks'].metadata['format'] = text_format
        dataset.commit('format')
    return str(path)
