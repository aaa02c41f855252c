"""COCO's segmentations in their one compact form: compressed run lengths."""

from __future__ import annotations

from typing import Any

import numpy as np


def run_lengths(segmentation: Any, size_hw: tuple[int, int] | list[int]) -> dict[str, Any]:
    """Compressed run lengths ``{'size': [height, width], 'counts': bytes}`` of one object.

    Args:
        segmentation: Rings ``[[x, y, …], …]``, run lengths of either kind, or nothing (no ring, or rings of no
            point) for an object without a mask.
        size_hw: Height and width of the image.
    """
    from pycocotools import mask as coco_mask

    height, width = size_hw
    if isinstance(segmentation, dict):
        plain = isinstance(segmentation['counts'], list)
        return coco_mask.frPyObjects(segmentation, height, width) if plain else segmentation
    rings = [ring for ring in segmentation or () if len(ring)]
    if not rings:
        return coco_mask.encode(np.zeros((height, width), np.uint8, order='F'))
    return coco_mask.merge(coco_mask.frPyObjects(rings, height, width))
