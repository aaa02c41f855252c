"""COCO-format files with everything that real ones hold: the reference side of the equality tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_util

# Ids that are neither dense nor sorted, and a category without an annotation.
CATEGORIES = [
    {'id': 90, 'name': 'disc', 'supercategory': 'round'},
    {'id': 7, 'name': 'box', 'supercategory': 'angular'},
    {'id': 18, 'name': 'unused', 'supercategory': 'none'},
    {'id': 3, 'name': 'bar', 'supercategory': 'angular'},
]


def write_coco_files(folder: Path, *, images: int = 24, seed: int = 0) -> Path:
    """Write images and ``annotations.json`` into a folder; returns the JSON's path.

    Among the boxes: fractions, crowd regions (RLE), boxes out of the image and beside it, of no area, below a pixel,
    annotations marked as ignored; among the images: empty ones, small ones, gray and 16-bit ones, PNG and JPEG.
    """
    rng = np.random.default_rng(seed)
    (folder / 'images').mkdir(parents=True)
    infos, annotations = [], []
    for i in range(images):
        height, width = (20, 20) if i % 11 == 5 else (int(rng.integers(60, 100)), int(rng.integers(60, 100)))
        name = f'{i:03d}.' + ('png' if i % 5 == 0 else 'jpg')
        _write_image(folder / 'images' / name, rng, height, width, kind=i)
        infos.append({'id': 1000 - 13 * i, 'file_name': name, 'height': height, 'width': width})
        if i % 6 == 4:
            continue  # no annotation at all
        for k in range(int(rng.integers(1, 6))):
            annotations.append(_annotation(rng, infos[-1], kind=i + k, number=len(annotations)))
    rng.shuffle(annotations)
    path = folder / 'annotations.json'
    path.write_text(json.dumps({'images': infos, 'annotations': annotations, 'categories': CATEGORIES}))
    return path


def _write_image(path: Path, rng: np.random.Generator, height: int, width: int, kind: int) -> None:
    image = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (width, height))
    if kind % 10 == 0:
        image = image.astype(np.uint16) * 257
    elif kind % 7 == 3:
        image = image[:, :, 0]
    assert cv2.imwrite(str(path), image)


def _annotation(rng: np.random.Generator, info: dict, kind: int, number: int) -> dict:
    width, height = info['width'], info['height']
    x, y = round(float(rng.uniform(0, width * 0.6)), 2), round(float(rng.uniform(0, height * 0.6)), 2)
    w, h = round(float(rng.uniform(2, width * 0.4)), 2), round(float(rng.uniform(2, height * 0.4)), 2)
    if kind % 13 == 1:
        x, y = float(width) - 5, float(height) - 4  # reaches out of the image
        w, h = 12.5, 9.25
    if kind % 17 == 2:
        x, w = float(width) + 3, 4.0  # beside the image
    if kind % 19 == 3:
        w = 0.0
    if kind % 23 == 4:
        h = 0.5
    annotation = {
        'id': 5000 - 3 * number,
        'image_id': info['id'],
        'category_id': CATEGORIES[(0, 1, 3)[int(rng.integers(3))]]['id'],
        'bbox': [x, y, w, h],
        'area': round(w * h * float(rng.uniform(0.4, 1.0)), 4),
        'iscrowd': 0,
        'segmentation': [[x, y, x + w, y, x + w, y + h], [x, y, x, y + h, x + w / 2, y + h]],
    }
    if kind % 8 == 6:
        annotation['iscrowd'] = 1
        mask = np.zeros((height, width), np.uint8, order='F')
        mask[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1] = 1
        rle = mask_util.encode(mask)
        annotation['segmentation'] = {'size': [height, width], 'counts': rle['counts'].decode()}
    if kind % 29 == 5:
        annotation['ignore'] = 1
    return annotation
