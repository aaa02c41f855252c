"""What a detector that is neither perfect nor useless predicts: the same for an image wherever it is evaluated."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData


def instances(boxes: Any, labels: Any, **more: Any) -> InstanceData:
    """Boxes, xyxy pixels, and labels in the form of MMDetection's samples."""
    return InstanceData(
        bboxes=torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4)),
        labels=torch.as_tensor(np.asarray(labels, np.int64).reshape(-1)),
        **more,
    )


def sample(info: Mapping[str, Any], boxes: Any, labels: Any, scores: Any) -> dict[str, Any]:
    """Detections of one image, as a metric gets them.

    Args:
        info: The image's data info.
        boxes: xyxy pixels (n, 4).
        labels: Classes (n,).
        scores: (n,).
    """
    scores = torch.as_tensor(np.asarray(scores, np.float32).reshape(-1))
    return {
        'img_id': info['img_id'],
        'img_path': info['img_path'],
        'ori_shape': (info['height'], info['width']),
        'pred_instances': instances(boxes, labels, scores=scores),
    }


def predict(dataset: Any, places: Sequence[int] | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """Detections near the annotations, some twice, some elsewhere or of another class; their scores tie.

    Args:
        dataset: A dataset in test mode.
        places: Which of its samples; by default all.
        seed: Of the detector.
    """
    classes = len(dataset.metainfo['classes'])
    return [
        _predict(dataset.get_data_info(i), classes, seed) for i in (range(len(dataset)) if places is None else places)
    ]


def _predict(info: Mapping[str, Any], classes: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, zlib.crc32(str(info['img_id']).encode())])
    true_boxes = np.array([item['bbox'] for item in info['instances']]).reshape(-1, 4)
    true_labels = np.array([item['bbox_label'] for item in info['instances']], np.int64)
    near = np.repeat(np.arange(len(true_boxes)), rng.integers(0, 4, len(true_boxes)))
    elsewhere = rng.uniform(0, 15, (rng.integers(0, 3), 4)) + np.array([0, 0, 20, 20])
    boxes = np.concatenate([true_boxes[near] + rng.normal(0, 1.2, (len(near), 4)), elsewhere])
    labels = np.concatenate([true_labels[near], rng.integers(0, classes, len(elsewhere))])
    confused = rng.random(len(labels)) < 0.1
    labels = np.where(confused, rng.integers(0, classes, len(labels)), labels)
    return sample(info, boxes, labels, rng.integers(1, 8, len(labels)) / 10)
