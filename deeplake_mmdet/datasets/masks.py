"""COCO segmentations out of a column of JSON texts, polygons or masks, read with the sample and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.annotations.segmentations import segmentations
from deeplake_mmdet.errors import AnnotationError


def parse_masks(value: Any, index: AnnotationIndex, image: int, column: str) -> list[Any]:
    """Segmentations (rings, RLE or None) of all objects of one image, in the order of its boxes.

    Args:
        value: What the row holds: a JSON text, or what `segmentations` takes.
        index: The annotations.
        image: Number of the image in the index.
        column: Name of the column, for messages.

    Raises:
        AnnotationError: The row is no JSON list, of another length than the row's boxes, or no masks of its image.
    """
    boxes = int(index.offsets[image + 1] - index.offsets[image])
    try:
        if value is None or isinstance(value, str):
            masks = json.loads(value or '[]')
        else:
            height, width = index.sizes[image].tolist()
            masks = segmentations(value, (height, width), f'Column {column!r}, row {int(index.rows[image])}')
    except AnnotationError:
        raise
    except ValueError as error:
        raise AnnotationError(f'Column {column!r}, row {int(index.rows[image])}: no JSON document: {error}.') from None
    if not isinstance(masks, list) or len(masks) != boxes:
        found = len(masks) if isinstance(masks, list) else f'a {type(masks).__name__}'
        raise AnnotationError(
            f'Column {column!r}, row {int(index.rows[image])}: expected a list of {boxes} masks, one a box, '
            f'but got {found}.'
        )
    return masks


def wants_masks(pipeline: Iterable[Any]) -> bool:
    """Whether a step of a pipeline loads masks."""
    return any(getattr(step, 'with_mask', False) for step in pipeline)
