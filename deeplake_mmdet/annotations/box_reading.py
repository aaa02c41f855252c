"""Which of the six readings a dataset's boxes have: said in the config, declared by the column, or LTWH pixels.

Whatever is chosen is verified over all boxes; how sceptically depends on who said it.
"""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.annotations.boxes import OUTSIDE_SHARE, fit, plausible_formats
from deeplake_mmdet.annotations.ragged import Place
from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.errors import AnnotationError, ColumnError
from deeplake_mmdet.source.columns import ColumnMap

# Share of boxes that may leave their image before another reading that fits is believed more.
_DECLARED_SHARE, _CONFIGURED_SHARE = 0.1, 1.0


def choose_format(columns: ColumnMap, wanted: BoxFormat | None) -> tuple[BoxFormat, list[str]]:
    """The reading, and a remark if nobody said which.

    Raises:
        ColumnError: The config and the column contradict each other.
    """
    declared = columns.box_format
    if wanted and declared and wanted != declared:
        raise ColumnError(
            f'DeepLakeDataset(deeplake_bbox_format=) says {wanted}, but the column {columns["gt_bboxes"]!r} declares '
            f'{declared}. Remove the key, or correct the column.'
        )
    stated = wanted or declared
    if stated:
        return stated, []
    return BoxFormat(), [
        f'The column {columns["gt_bboxes"]!r} declares no box format: reading {BoxFormat()} boxes. '
        'Set deeplake_bbox_format to say otherwise.'
    ]


def trust_in(columns: ColumnMap, wanted: BoxFormat | None) -> float:
    """The share of boxes that may leave their image, by who stated the reading."""
    if wanted:
        return _CONFIGURED_SHARE
    return _DECLARED_SHARE if columns.box_format else OUTSIDE_SHARE


def verify_format(
    boxes: np.ndarray, box_format: BoxFormat, sizes: np.ndarray, place: Place, outside_share: float
) -> list[str]:
    """Refuse negative sizes, and a reading that another one beats; remark on boxes out of their image.

    Args:
        boxes: Boxes as stored, shape (M, 4).
        box_format: Their reading.
        sizes: Height and width of each box's image, shape (M, 2).
        place: Names rows.
        outside_share: See `trust_in`.

    Raises:
        AnnotationError: The reading is implausible; those that would fit are listed.
    """
    if not len(boxes):
        return []
    found = fit(boxes, box_format, sizes)
    if found.plausible:
        return []
    others = [other for other in plausible_formats(boxes, sizes) if other != box_format]
    tolerable = len(found.outside) <= outside_share * found.total or (not others and outside_share > OUTSIDE_SHARE)
    if tolerable and not len(found.negative) and not found.tiny:
        return [f'{len(found.outside)} of {found.total} boxes in {place.column!r} leave their image by over a pixel.']
    worst = found.negative if len(found.negative) else found.outside
    example = f' {place(worst[0])}: {boxes[worst[0]].tolist()}.' if len(worst) else ''
    fits = ', '.join(f'dict(mode={o.mode!r}, type={o.type!r})' for o in others) or 'none of the six readings'
    raise AnnotationError(
        f'DeepLakeDataset(deeplake_bbox_format=): read as {box_format}, the boxes in {place.column!r} are implausible: '
        f'{found}.{example} What would fit: {fits}.'
    )
