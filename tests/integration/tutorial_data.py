"""Small data in the form that the tutorials expect: COCO files whose classes are colours of rectangles."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

# COCO's ids of the classes that the driving tutorial is about, and some that it is not.
DRIVING = {
    'person': 1,
    'bicycle': 2,
    'car': 3,
    'motorcycle': 4,
    'bus': 6,
    'truck': 8,
    'traffic light': 10,
    'stop sign': 13,
    'dog': 18,
    'umbrella': 28,
}
# VisDrone's twelve, of which the first is no class of objects.
AERIAL = (
    'ignored regions',
    'pedestrian',
    'people',
    'bicycle',
    'car',
    'van',
    'truck',
    'tricycle',
    'awning-tricycle',
    'bus',
    'motor',
    'others',
)


def write_coco(
    ann_file: Path,
    folder: Path,
    categories: dict[str, int],
    *,
    images: int,
    seed: int,
    first_id: int = 1,
    sides: tuple[int, int] = (14, 40),
    size_hw: tuple[int, int] = (96, 128),
    at_least: Sequence[int] = (),
) -> None:
    """Writes images with one to six filled rectangles, as COCO instances with polygons.

    Args:
        ann_file: The JSON file.
        folder: Of the images.
        categories: Id of each class.
        images: Their number.
        seed: Of the draw.
        first_id: Of the images and annotations.
        sides: Smallest and largest side of a rectangle, in pixels.
        size_hw: Of the images.
        at_least: Positions of images that hold four rectangles or more.
    """
    rng, names = np.random.default_rng(seed), list(categories)
    folder.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {'images': [], 'annotations': [], 'categories': []}
    document['categories'] = [{'id': number, 'name': name} for name, number in categories.items()]
    for position in range(images):
        number, count = first_id + position, int(rng.integers(1, 7))
        pixels = rng.integers(90, 140, (*size_hw, 3), dtype=np.uint8)
        for _ in range(max(count, 4) if position in at_least else count):
            label = int(rng.integers(len(names)))
            width, height = (int(side) for side in rng.integers(*sides, 2))
            x, y = int(rng.integers(0, size_hw[1] - width)), int(rng.integers(0, size_hw[0] - height))
            cv2.rectangle(pixels, (x, y), (x + width - 1, y + height - 1), _colour(label, len(names)), -1)
            document['annotations'].append(
                {
                    'id': 10 * first_id + len(document['annotations']),
                    'image_id': number,
                    'category_id': categories[names[label]],
                    'bbox': [x, y, width, height],
                    'area': width * height,
                    'iscrowd': 0,
                    'segmentation': [[x, y, x + width, y, x + width, y + height, x, y + height]],
                }
            )
        name = f'{number:012d}.jpg'
        document['images'].append({'id': number, 'file_name': name, 'height': size_hw[0], 'width': size_hw[1]})
        assert cv2.imwrite(str(folder / name), pixels)
    ann_file.parent.mkdir(parents=True, exist_ok=True)
    ann_file.write_text(json.dumps(document))


def _colour(label: int, classes: int) -> tuple[float, ...]:
    return tuple(255 * part for part in colorsys.hsv_to_rgb(label / classes, 1, 1))
