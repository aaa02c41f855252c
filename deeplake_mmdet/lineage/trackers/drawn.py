"""A validation image with its boxes drawn in, for trackers that show plain images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deeplake_mmdet.lineage.trackers.names import artifact_name
from deeplake_mmdet.report.drawing import Shape, draw
from deeplake_mmdet.report.figures import picture


def drawn(row: Mapping[str, Any]) -> np.ndarray:
    """The image, RGB uint8 (H', W', 3): what is annotated dashed, what was detected solid with its score.

    Args:
        row: See `deeplake_mmdet.lineage.trackers.sink.Sink.predictions`.
    """
    names = row['classes']
    shapes = [
        Shape(np.asarray(box, float), picture.RIGHT, str(names[int(label)]), dashed=True, below=True)
        for box, label in zip(row['gt_boxes'], row['gt_labels'], strict=True)
    ]
    shapes += [
        Shape(np.asarray(box, float), picture.CONFUSED, f'{names[int(label)]} {float(score):.2f}', thickness=2)
        for box, label, score in zip(row['boxes'], row['labels'], row['scores'], strict=True)
    ]
    image = np.ascontiguousarray(row['image'][..., ::-1])
    return np.ascontiguousarray(draw(image, image.shape[:2], shapes)[..., ::-1])


def image_name(row: Mapping[str, Any]) -> str:
    """A name for it that any tracker takes; the same image has the same in every validation."""
    return artifact_name(f'row_{row["row"]}_id_{row["img_id"]}')
