"""Annotations and detections drawn at random, with ties, crowds and images without either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Evaluation
from deeplake_mmdet.metrics.flat import offsets_of
from deeplake_mmdet.metrics.ground_truth import GroundTruth

REVISION = {
    'uri': 's3://bucket/shapes',
    'dataset_id': '7c3f',
    'branch': 'main',
    'commit_id': '0000000003c00000000',
    'view_id': 'val',
    'query': '',
    'rows': '12',
    'digest': '5d41402abc4b2a76b9719d911017c592',
    'format': '4',
}


def random_truth(
    seed: int,
    images: int = 12,
    classes: Sequence[str] = ('cat', 'dog', 'owl'),
    *,
    objects: float = 4,
    size: tuple[int, int] = (60, 80),
    crowd: float = 0.15,
    masks: bool = False,
) -> GroundTruth:
    """Objects on a coarse grid, so that overlaps tie; some images have none.

    Args:
        seed: Of the draw.
        images: Their number.
        classes: Class names; the last one has no object if there are several.
        objects: How many an image has on average.
        size: Height and width of every image.
        crowd: Share of crowd regions.
        masks: Whether objects have segmentations: rings, run lengths of both kinds, and none.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.poisson(objects, images) * (rng.random(images) < 0.85)
    total = int(lengths.sum())
    boxes = _boxes(rng, total, size)
    labels = rng.integers(0, max(1, len(classes) - 1), total)
    crowds = rng.random(total) < crowd
    return GroundTruth(
        img_ids=list(range(10, 10 + images)),
        rows=np.arange(images) * 3,
        sizes=np.tile(np.array(size, np.int64), (images, 1)),
        offsets=offsets_of(lengths),
        boxes_xywh=boxes,
        labels=labels.astype(np.int64),
        areas=boxes[:, 2] * boxes[:, 3] * 0.8,
        crowd=crowds,
        ignored=crowds | (rng.random(total) < 0.1),
        classes=tuple(classes),
        category_ids=tuple(range(1, len(classes) + 1)),
        segmentations=[_segmentation(rng, box, size, i) for i, box in enumerate(boxes)] if masks else None,
    )


def random_detections(truth: GroundTruth, seed: int, *, share: float = 0.8, noise: float = 2.0) -> Detections:
    """Most objects found, some twice or as another class, and boxes out of nowhere; scores in steps of 0.1.

    Args:
        truth: What they are detections of; masks are predicted if it has segmentations.
        seed: Of the draw.
        share: Of the objects that are detected.
        noise: False boxes an image on average.
    """
    rng = np.random.default_rng(seed)
    size = tuple(truth.sizes[0].tolist()) if len(truth) else (60, 80)
    parts: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for image in range(len(truth)):
        own = truth.boxes_xywh[truth.of_image(image)]
        chosen = np.flatnonzero(rng.random(len(own)) < share)
        chosen = np.concatenate([chosen, chosen[rng.random(len(chosen)) < 0.3]])
        own_labels = truth.labels[truth.of_image(image)][chosen]
        confused = rng.random(len(chosen)) < 0.15
        own_labels = np.where(confused, rng.integers(0, len(truth.classes), len(chosen)), own_labels)
        jittered = own[chosen] + rng.integers(-1, 2, (len(chosen), 4))
        false = _boxes(rng, rng.poisson(noise), size)
        parts.append(np.concatenate([jittered, false]))
        labels.append(np.concatenate([own_labels, rng.integers(0, len(truth.classes), len(false))]))
    boxes = np.concatenate([*parts, np.zeros((0, 4))])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    scores = (rng.integers(1, 10, len(boxes)) / 10).astype(np.float32)
    return Detections(
        img_ids=list(truth.img_ids),
        sources=[''] * len(truth),
        offsets=offsets_of(np.array([len(part) for part in parts], np.int64)),
        boxes=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32),
        scores=scores,
        labels=np.concatenate([*labels, np.zeros(0, np.int64)]).astype(np.int64),
        mask_scores=scores if truth.segmentations is None else rng.permutation(scores),
        sizes=truth.sizes,
        counts=None if truth.segmentations is None else [box_mask(box, size)['counts'] for box in boxes],
    )


def random_evaluation(seed: int = 0, **options: Any) -> Evaluation:
    """An evaluation without curves, as PASCAL VOC's metric leaves it; `options` are those of `random_truth`."""
    truth = random_truth(seed, **options)
    classes = len(truth.classes)
    return Evaluation(
        metric='DeepLakeVOCMetric',
        revision=REVISION,
        truth=truth,
        detections=random_detections(truth, seed + 1),
        values={'mAP': 0.5, 'AP50': 0.5},
        per_class={'AP50': np.where(np.bincount(truth.labels, minlength=classes) > 0, 0.5, np.nan)},
    )


def box_mask(xywh: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """A filled box as COCO run lengths."""
    bitmap = np.zeros(size, np.uint8, order='F')
    x, y, w, h = np.round(np.maximum(xywh, 0)).astype(int)
    bitmap[y : y + h, x : x + w] = 1
    return coco_mask.encode(bitmap)


def _boxes(rng: np.random.Generator, number: int, size: tuple[int, int]) -> np.ndarray:
    """xywh on a grid of four pixels, float64 (n, 4)."""
    sides = rng.integers(2, 8, (number, 2)) * 4
    corners = rng.integers(0, 16, (number, 2)) * 4 % (np.array(size[::-1]) - sides)
    return np.concatenate([corners, sides], axis=1).astype(np.float64)


def _segmentation(rng: np.random.Generator, xywh: np.ndarray, size: tuple[int, int], number: int) -> Any:
    x, y, w, h = xywh.tolist()
    if number % 5 == 4:
        return []
    if number % 5 == 3:
        return box_mask(xywh, size)
    if number % 5 == 2:
        bitmap = coco_mask.decode(box_mask(xywh, size)).ravel(order='F')
        changes = np.flatnonzero(np.diff(np.concatenate([[0], bitmap]))).tolist()
        return {'size': list(size), 'counts': np.diff([0, *changes, bitmap.size]).tolist()}
    return [[x, y, x + w, y, x + w, y + h * rng.choice([0.5, 1.0]), x, y + h]]
