"""Pictures of predictions beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

_GAP = 8
_SAME_PLACE = 0.6  # intersection over union
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_comparison(
    dataset: Any,
    predictions: Sequence[dict[str, Any]],
    path: str,
    *,
    count: int = 6,
    score: float = 0.3,
    scale: int = 2,
) -> None:
    """Write one picture: a few images, each with its ground truth on the left and its predictions on the right.

    Args:
        dataset: A `DeepLakeDataset` in test mode.
        predictions: What ``tools/test.py --out`` wrote, one dict an image, in the dataset's order.
        path: Picture file to write.
        count: Number of images, spread evenly over those that have objects, if any has.
        score: Lowest score of a prediction that is drawn.
        scale: Enlargement, so that names stay readable on small images.
    """
    filled = [i for i in range(len(dataset)) if dataset.get_data_info(i)['instances']] or list(range(len(dataset)))
    chosen = [filled[i] for i in np.linspace(0, len(filled) - 1, min(count, len(filled))).astype(int)]
    tiles = [_tile(dataset, i, predictions[i]['pred_instances'], score, scale) for i in chosen]
    columns = 1 if len(tiles) < 3 else 2
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    canvas = np.full((len(rows) * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, tile in enumerate(row):
            top, left = _GAP + r * (height + _GAP), _GAP + c * (width + _GAP)
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    cv2.imwrite(path, canvas)


def _tile(dataset: Any, idx: int, predicted: Any, score: float, scale: int) -> np.ndarray:
    import mmcv

    info = dataset.get_data_info(idx)
    image = mmcv.imread(info['img_path'])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    meta = dataset.metainfo
    truth, found = image.copy(), image
    for instance in info['instances']:
        _box(truth, np.asarray(instance['bbox']) * scale, meta, instance['bbox_label'], '')
    boxes, labels, scores = (np.asarray(predicted[key]) for key in ('bboxes', 'labels', 'scores'))
    for i in _best(boxes, scores, score):
        _box(found, boxes[i] * scale, meta, int(labels[i]), f' {scores[i]:.2f}')
    return np.hstack(
        [
            _titled(truth, 'ground truth'),
            np.full((image.shape[0] + 24, 4, 3), 255, np.uint8),
            _titled(found, f'predictions (score >= {score})'),
        ]
    )


def _best(boxes: np.ndarray, scores: np.ndarray, score: float) -> list[int]:
    """Predictions worth drawing, the best last: of those that cover the same place only the best, of any class."""
    xywh = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    kept = cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), score, _SAME_PLACE)
    return list(kept)[::-1]


def _box(image: np.ndarray, box: np.ndarray, meta: dict[str, Any], label: int, suffix: str) -> None:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    colour = meta['palette'][label][::-1]  # OpenCV draws in BGR
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, 2, cv2.LINE_AA)
    text = f'{meta["classes"][label]}{suffix}'
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.45, 1)
    left, top = min(x1, image.shape[1] - width - 4), max(y1 - height - 5, 0)
    cv2.rectangle(image, (left, top), (left + width + 4, top + height + 5), colour, cv2.FILLED)
    cv2.putText(image, text, (left + 2, top + height + 1), _FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)


def _titled(image: np.ndarray, title: str) -> np.ndarray:
    bar = np.full((24, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, title, (4, 17), _FONT, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([bar, image])
