"""A small dataset of streets, drawn at random and made by the COCO converter; the annotation file is the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASSES = ('person', 'car', 'bus', 'bicycle')
SIZE = 48, 64  # height and width


def write_street(folder: Path, images: int = 24, seed: int = 0, *, masks: bool = True) -> tuple[str, dict[str, Any]]:
    """Write the images, the annotation file and the dataset.

    Args:
        folder: For all three.
        images: How many; every fifth has no object.
        seed: Of the draw.
        masks: Whether objects have polygons.

    Returns:
        Path of the dataset, and the annotation file. Row n is the image of id ``10 * n + 3``, called ``n.jpg`` with
        three digits; its annotations follow each other in the file.
    """
    from deeplake_mmdet.convert import convert_coco

    document = draw_street(images, seed, masks=masks)
    (folder / 'images').mkdir(parents=True)
    for number, image in enumerate(document['images']):
        pixels = np.random.default_rng([seed, number]).integers(0, 255, (*SIZE, 3), np.uint8)
        cv2.imwrite(str(folder / 'images' / image['file_name']), pixels)
    (folder / 'street.json').write_text(json.dumps(document))
    path = str(folder / 'dataset')
    convert_coco(folder / 'street.json', path, images=folder / 'images')
    return path, document


def draw_street(images: int, seed: int, *, masks: bool = True) -> dict[str, Any]:
    """The annotation file: boxes of two digits after the point, sparse category ids, a few crowds."""
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    for number in range(images):
        for _ in range(0 if number % 5 == 4 else rng.integers(1, 5)):
            x, y, w, h = (round(float(value), 2) for value in rng.uniform((0, 0, 3, 3), (30, 20, 33, 27)))
            annotation = {
                'id': 1000 + 7 * len(annotations),
                'image_id': 10 * number + 3,
                'category_id': 5 * int(rng.integers(0, len(CLASSES))) + 2,
                'bbox': [x, y, w, h],
                'area': round(w * h / 3, 3),
                'iscrowd': int(rng.random() < 0.1),
            }
            if masks:
                annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h], [x, y, x, y + h, x + w / 2, y + h]]
            annotations.append(annotation)
    height, width = SIZE
    return {
        'images': [
            {'id': 10 * n + 3, 'file_name': f'{n:03}.jpg', 'height': height, 'width': width} for n in range(images)
        ],
        'annotations': annotations,
        'categories': [{'id': 5 * n + 2, 'name': name} for n, name in enumerate(CLASSES)],
    }


def objects_of(document: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The annotations of each image, in the order of the images."""
    found: dict[int, list[dict[str, Any]]] = {image['id']: [] for image in document['images']}
    for annotation in document['annotations']:
        found[annotation['image_id']].append(annotation)
    return list(found.values())


def name_of(annotation: dict[str, Any]) -> str:
    """The class of an annotation."""
    return CLASSES[(annotation['category_id'] - 2) // 5]
