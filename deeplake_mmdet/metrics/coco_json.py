"""Detections as COCO's result files, with the original image and category ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth


def write_results(detections: Detections, truth: GroundTruth, prefix: str) -> dict[str, str]:
    """Write ``PREFIX.bbox.json`` and, where masks were predicted, ``PREFIX.segm.json``.

    Args:
        detections: The detections.
        truth: The annotations of the same images.
        prefix: Folder and beginning of the files' names; missing folders are made.

    Returns:
        ``'bbox'`` and ``'segm'`` to the files written.
    """
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    image_ids = [truth.img_ids[image] for image in detections.image_of.tolist()]
    categories = [truth.category_ids[label] for label in detections.labels.tolist()]
    boxes = detections.boxes_xywh.tolist()
    common = [
        {'image_id': image_id, 'bbox': box, 'category_id': category}
        for image_id, box, category in zip(image_ids, boxes, categories, strict=True)
    ]
    written = {'bbox': _dump(common, {'score': detections.scores.tolist()}, f'{prefix}.bbox.json')}
    if detections.counts is not None:
        masks = [item | {'counts': item['counts'].decode('ascii')} for item in detections.segmentations]
        more = {'score': detections.mask_scores.tolist(), 'segmentation': masks}
        written['segm'] = _dump(common, more, f'{prefix}.segm.json')
    return written


def _dump(common: list[dict[str, Any]], more: dict[str, list[Any]], path: str) -> str:
    rows = zip(common, *more.values(), strict=True)
    Path(path).write_text(json.dumps([row[0] | dict(zip(more, row[1:], strict=True)) for row in rows]))
    return path
