"""Pairs of boxes and their IoU, without a loop over images: an image has few boxes, a dataset has many images.

The arithmetic is that of MMDetection's `bbox_overlaps`, step by step in float32, so that the same boxes meet or miss a
threshold.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deeplake_mmdet.metrics.flat import offsets_of

_PAIRS = 2**18  # looked at in one go, about 30 MB


def pairs_in_groups(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every item on the left with every item on the right that is in the same group, a bounded number at a time.

    Args:
        left: Number of the group of each item, integers (n,).
        right: The same, (m,).

    Yields:
        Places on the left and on the right, int64 (p,) each: in the order of the left, the pairs of one item all at
        once and in the order of the right.
    """
    order = np.argsort(right, kind='stable')
    first, end = (np.searchsorted(right[order], left, side) for side in ('left', 'right'))
    ends, start = offsets_of(end - first), 0
    while start < len(left):
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] + _PAIRS, 'right')) - 1)
        counts = np.diff(ends[start : stop + 1])
        places = np.arange(counts.sum()) + np.repeat(first[start:stop] - ends[start:stop] + ends[start], counts)
        if len(places):
            yield np.repeat(np.arange(start, stop), counts), order[places]
        start = stop


def pair_ious(left: np.ndarray, right: np.ndarray, *, legacy: bool) -> np.ndarray:
    """IoU of boxes with boxes, float32 (…).

    Args:
        left: Boxes, xyxy pixels, float32 (…, 4).
        right: Others; the two are broadcast against each other.
        legacy: Whether widths and heights count the last pixel, as PASCAL VOC does and COCO does not.
    """
    last = np.float32(legacy)
    with np.errstate(over='ignore', invalid='ignore'):  # boxes of a model that has diverged
        width = np.minimum(left[..., 2], right[..., 2]) - np.maximum(left[..., 0], right[..., 0]) + last
        height = np.minimum(left[..., 3], right[..., 3]) - np.maximum(left[..., 1], right[..., 1]) + last
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        union = _areas(left, last) + _areas(right, last) - overlap
        return overlap / np.maximum(union, np.float32(1e-6))


def _areas(boxes: np.ndarray, last: np.float32) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0] + last) * (boxes[..., 3] - boxes[..., 1] + last)
