"""Columns as the dicts that pycocotools and its kin work on."""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.metrics.backends.columns import Columns
from deeplake_mmdet.metrics.ground_truth import GroundTruth


def image_dicts(truth: GroundTruth) -> list[dict[str, Any]]:
    """The images, numbered from 1 in the order of their ids."""
    sides = zip(*truth.sizes.T.tolist(), strict=True)
    return [{'id': number, 'height': height, 'width': width} for number, (height, width) in enumerate(sides, start=1)]


def category_dicts(truth: GroundTruth) -> list[dict[str, Any]]:
    """The classes, numbered from 1 in the order of their original category ids."""
    return [{'id': number, 'name': str(number)} for number in range(1, len(truth.classes) + 1)]


def dataset_dict(truth: GroundTruth, columns: Columns) -> dict[str, Any]:
    """Objects or detections as a dataset in COCO's form."""
    names = ('image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'score')
    values = [
        column.tolist()
        for column in (
            columns.images,
            columns.categories,
            columns.boxes,
            columns.areas,
            columns.crowd.astype(int),
            columns.scores,
        )
    ]
    annotations: list[dict[str, Any]] = [
        dict(zip(names, row, strict=True), id=number) for number, row in enumerate(zip(*values, strict=True), start=1)
    ]
    for annotation, mask in zip(annotations, columns.masks or [], strict=False):
        annotation['segmentation'] = mask
    return {'images': image_dicts(truth), 'categories': category_dicts(truth), 'annotations': annotations}
