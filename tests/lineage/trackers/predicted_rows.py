"""What a validation hands to a sink for one image."""

from __future__ import annotations

from typing import Any

import numpy as np


def predicted(number: int) -> dict[str, Any]:
    """A grey image with one annotation and two detections."""
    return {
        'image': np.full((40, 60, 3), number, np.uint8),
        'img_id': 100 + number,
        'row': number,
        'gt_boxes': np.array([[1, 2, 30, 20]], np.float32),
        'gt_labels': np.array([1]),
        'boxes': np.array([[1, 2, 31, 22], [5, 5, 9, 9]], np.float32),
        'labels': np.array([0, 1]),
        'scores': np.array([0.9, 0.25], np.float32),
        'classes': ('car', 'van'),
    }
