"""Annotations and detections drawn at random, and pycocotools' curves of them by way of JSON.

The reference shares no code with the package's engines: it writes the arrays as an annotation file and a result file
have them, with original ids, images and annotations in any order, and evaluates these.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet.metrics.backends import Settings
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth

COCO_IOUS = np.linspace(0.5, 0.95, 10)


def settings(iou_type: str = 'bbox', **changes: Any) -> Settings:
    """MMDetection's settings, with changes."""
    return Settings(**(dict(iou_type=iou_type, iou_thrs=COCO_IOUS, max_dets=(100, 300, 1000)) | changes))


def draw_case(
    seed: int,
    *,
    images: int = 8,
    classes: int = 3,
    objects: float = 3,
    detections: float = 8,
    size: int = 150,
    texts: bool = False,
    masks: bool = False,
) -> tuple[GroundTruth, Detections]:
    """Objects on whole pixels and detections of them a few pixels off, so that overlaps and scores tie.

    A tenth are crowds, a fifth of the images have no object and another fifth no detection; category ids are sparse and
    in no order.

    Args:
        seed: Of the draw.
        images: How many.
        classes: How many; the first one has no object if there are several.
        objects: How many an image has on average.
        detections: The same.
        size: Height of the images; they are a little wider.
        texts: Whether image ids are texts, not integers.
        masks: Whether both have masks: rings, run lengths of all kinds, and none.
    """
    rng = np.random.default_rng(seed)
    true, found = ((rng.poisson(mean, images) * (rng.random(images) < 0.8)) for mean in (objects, detections))
    boxes = np.column_stack([rng.integers(0, size // 2, (true.sum(), 2)), rng.integers(1, size // 2, (true.sum(), 2))])
    labels = rng.integers(min(1, classes - 1), classes, len(boxes))
    crowd = rng.random(len(boxes)) < 0.1
    numbers = np.sort(rng.choice(1000, images, replace=False)).tolist()
    ids = [f'image {number:03}' for number in numbers] if texts else numbers
    sizes = np.tile([size, size + 3], (images, 1))
    truth = GroundTruth(
        img_ids=ids,
        rows=np.arange(images),
        sizes=sizes,
        offsets=_ends(true),
        boxes_xywh=boxes.astype(float),
        labels=labels,
        areas=(boxes[:, 2] * boxes[:, 3] * rng.uniform(0.4, 1, len(boxes))).round(2),
        crowd=crowd,
        ignored=crowd | (rng.random(len(boxes)) < 0.1),
        classes=tuple(f'class {k}' for k in range(classes)),
        category_ids=tuple(rng.choice(np.arange(1, 3 * classes), classes, replace=False).tolist()),
        segmentations=[_segmentation(rng, box, sizes[0].tolist()) for box in boxes.tolist()] if masks else None,
    )
    return truth, _detections(rng, truth, found, masks=masks)


def _detections(rng: np.random.Generator, truth: GroundTruth, numbers: np.ndarray, *, masks: bool) -> Detections:
    total, size = int(numbers.sum()), int(truth.sizes[0, 0])
    boxes = np.column_stack([rng.integers(0, size // 2, (total, 2)), rng.integers(1, size // 2, (total, 2))])
    labels = rng.integers(0, len(truth.classes), total)
    for place, image in enumerate(np.repeat(np.arange(len(truth)), numbers).tolist()):
        own = truth.of_image(image)
        if own.stop > own.start and rng.random() < 0.8:
            source = int(rng.integers(own.start, own.stop))
            boxes[place] = truth.boxes_xywh[source] + rng.integers(-2, 3, 4)
            labels[place] = truth.labels[source] if rng.random() < 0.8 else labels[place]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0)
    scores, mask_scores = rng.integers(0, 11, (2, total)).astype(np.float32) / np.float32(10)
    sizes = truth.sizes * (numbers > 0)[:, None]
    return Detections(
        img_ids=list(truth.img_ids),
        sources=[''] * len(truth),
        offsets=_ends(numbers),
        boxes=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32),
        scores=scores,
        labels=labels,
        mask_scores=mask_scores if masks else scores,
        sizes=sizes if masks else np.zeros_like(sizes),
        counts=[_filled(_part(rng, box), truth.sizes[0].tolist())['counts'] for box in boxes.tolist()]
        if masks
        else None,
    )


def _segmentation(rng: np.random.Generator, box: list[int], size: list[int]) -> Any:
    x, y, w, h = box
    mask = _filled(box, size)
    pixels = coco_mask.decode(mask).ravel(order='F')
    runs = np.diff([0, *np.flatnonzero(np.diff(pixels, prepend=0)).tolist(), pixels.size]).tolist()
    choices = [
        [[x, y, x + w, y, x + w, y + h]],
        [[x, y, x + w, y, x + w, y + h, x, y + h], [x, y, x + w / 3, y, x, y + h]],
        mask,
        mask | {'counts': mask['counts'].decode()},
        mask | {'counts': runs},
        [],
    ]
    return choices[rng.integers(len(choices))]


def _part(rng: np.random.Generator, box: list[int]) -> list[int]:
    """A box, half of it, or nothing of it."""
    return [*box[:3], box[3] * int(rng.integers(0, 3)) // 2]


def _filled(box: Sequence[int], size: list[int]) -> dict[str, Any]:
    x, y, w, h = (max(int(side), 0) for side in box)
    pixels = np.zeros(size, np.uint8, order='F')
    pixels[y : y + h, x : x + w] = 1
    return coco_mask.encode(pixels)


def _ends(numbers: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(numbers)]).astype(np.int64)


def reference(truth: GroundTruth, detections: Detections, asked: Settings) -> COCOeval:
    """pycocotools' evaluation of the same as files, with its twelve numbers where it can give them."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = _opened(_annotation_file(truth, asked.iou_type))
        results = json.loads(json.dumps(_result_file(truth, detections, asked.iou_type)))
        # loadRes takes no empty list.
        found = known.loadRes(results) if results else _opened(_annotation_file(truth, 'bbox') | {'annotations': []})
        evaluation = COCOeval(known, found, asked.iou_type)
        evaluation.params.iouThrs = asked.iou_thrs
        evaluation.params.maxDets = list(asked.max_dets)
        evaluation.params.useCats = int(asked.use_cats)
        evaluation.params.catIds = list(truth.category_ids)  # in the order of the classes, as `CocoMetric` sets them
        evaluation.evaluate()
        evaluation.accumulate()
        if len(asked.max_dets) == 3:
            evaluation.summarize()
    return evaluation


def _opened(content: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = json.loads(json.dumps(content))
    coco.createIndex()
    return coco


def _annotation_file(truth: GroundTruth, iou_type: str) -> dict[str, Any]:
    """The last image first; annotations in the order of their ids, which do not start at 1."""
    annotations = []
    for image in reversed(range(len(truth))):
        for place in range(truth.offsets[image], truth.offsets[image + 1]):
            annotation = {
                'id': 7 + 3 * len(annotations),
                'image_id': truth.img_ids[image],
                'category_id': truth.category_ids[truth.labels[place]],
                'bbox': truth.boxes_xywh[place].tolist(),
                'area': float(truth.areas[place]),
                'iscrowd': int(truth.crowd[place]),
            }
            if iou_type == 'segm':
                annotation['segmentation'] = _as_json(truth.segmentations[place], truth.sizes[image].tolist())
            annotations.append(annotation)
    sizes = truth.sizes.tolist()
    images = [{'id': img_id, 'height': h, 'width': w} for img_id, (h, w) in zip(truth.img_ids, sizes, strict=True)]
    categories = [{'id': k, 'name': name} for k, name in zip(truth.category_ids, truth.classes, strict=True)]
    return {'images': images[::-1], 'annotations': annotations, 'categories': categories}


def _as_json(segmentation: Any, size: list[int]) -> Any:
    if segmentation == []:  # pycocotools fails on it
        return {'size': size, 'counts': [size[0] * size[1]]}
    if isinstance(segmentation, dict) and isinstance(segmentation['counts'], bytes):
        return segmentation | {'counts': segmentation['counts'].decode()}
    return segmentation


def _result_file(truth: GroundTruth, detections: Detections, iou_type: str) -> list[dict[str, Any]]:
    """As `CocoMetric` writes it, and for masks without the boxes, as it evaluates them."""
    results = []
    for image, img_id in enumerate(detections.img_ids):
        for place in range(detections.offsets[image], detections.offsets[image + 1]):
            x, y, right, bottom = detections.boxes[place].tolist()
            result = {'image_id': img_id, 'category_id': truth.category_ids[detections.labels[place]]}
            if iou_type == 'segm':
                size, counts = detections.sizes[image].tolist(), detections.counts[place].decode()
                result |= {'segmentation': {'size': size, 'counts': counts}}
                result |= {'score': float(detections.mask_scores[place])}
            else:
                result |= {'bbox': [x, y, right - x, bottom - y], 'score': float(detections.scores[place])}
            results.append(result)
    return results
