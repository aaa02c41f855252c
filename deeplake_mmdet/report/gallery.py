"""The worst images as the page shows them: a thumbnail with what is wrong, and where to find the image."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.logging import print_log

from deeplake_mmdet.errors import DeepLakeMMDetError
from deeplake_mmdet.report.drawing import thumbnail
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.worst_images import worst_images

if TYPE_CHECKING:
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

_FILE_NAME = 'file_name'  # the column in which converters keep it


@dataclass(frozen=True)
class GalleryImage:
    """One image of the gallery.

    Attributes:
        row: Row number in the dataset.
        img_id: Image id.
        file_name: Name of the file that the image was converted from; empty where the dataset does not know it.
        mistakes: Kind to what is wrong, see `WorstImage`.
        counts: Kind to how often, what is right included.
        readable: Whether the image could be read; else the thumbnail shows the boxes only.
        jpeg: The thumbnail.
    """

    row: int
    img_id: Any
    file_name: str
    mistakes: Mapping[str, str]
    counts: Mapping[str, int]
    readable: bool
    jpeg: bytes


def draw_gallery(outcome: Outcome, dataset: DeepLakeDataset, limit: int) -> list[GalleryImage]:
    """Draw the images with the most mistakes.

    Args:
        outcome: What is right and wrong.
        dataset: What was evaluated.
        limit: How many images at most.
    """
    truth, worst = outcome.evaluation.truth, worst_images(outcome, limit)
    rows = [int(truth.rows[item.image]) for item in worst]
    gallery = []
    for item, row, file_name in zip(worst, rows, _file_names(dataset, rows), strict=True):
        image = read_image(dataset, row)
        jpeg = thumbnail(image, truth.sizes[item.image].tolist(), item.marks)
        img_id = truth.img_ids[item.image]
        gallery.append(GalleryImage(row, img_id, file_name, item.mistakes, item.counts, image is not None, jpeg))
    return gallery


def read_image(dataset: DeepLakeDataset, row: int) -> np.ndarray | None:
    """BGR uint8 (H, W, 3), as the pipeline reads it; None where it cannot be read, which is in the log."""
    import cv2
    import mmcv

    try:
        image = mmcv.imread(dataset.images.uri(row))
    except (DeepLakeMMDetError, OSError, cv2.error) as error:
        print_log(f'The report shows no picture of row {row}: {error}', logger='current', level=logging.WARNING)
        return None
    return image


def _file_names(dataset: DeepLakeDataset, rows: Sequence[int]) -> list[str]:
    columns = {column.name for column in dataset.source.base().schema.columns}
    if not rows or _FILE_NAME not in columns:
        return [''] * len(rows)
    return [value if isinstance(value, str) else '' for value in dataset.source.read(_FILE_NAME, rows)]
