"""Small annotation files and images of every kind, for the tests of the converters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np


def write_image(path: Path, height: int, width: int) -> Path:
    """An image file of noise; its suffix says its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(height * 1000 + width).integers(0, 255, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def coco_document() -> dict[str, Any]:
    """Sparse and permuted ids, crowd, two kinds of RLE, several rings, odd boxes, empty images, an unused category."""
    rings = [[1.5, 2.25, 10.125, 2.5, 10.0, 9.75], [20, 20, 30, 20, 30, 30.333333333333336, 20, 30]]
    annotations = [
        {
            'id': 1001,
            'image_id': 42,
            'category_id': 7,
            'bbox': [1.5, 2.25, 28.5, 28.083333333333336],
            'area': 54.730000000000004,
            'iscrowd': 0,
            'segmentation': rings,
        },
        {
            'id': 12,
            'image_id': 139,
            'category_id': 90,
            'bbox': [0, 0, 64, 48],
            'area': 3072,
            'iscrowd': 1,
            'segmentation': {'size': [48, 64], 'counts': [0, 48, 3000, 24]},
        },
        {
            'id': 13,
            'image_id': 42,
            'category_id': 90,
            'bbox': [7.19, 22.31, 0, 5.07],
            'area': 0.37,
            'iscrowd': 0,
            'segmentation': [],
        },
        {'id': 9_000_000_000, 'image_id': 42, 'category_id': 7, 'bbox': [3, 4, 5, 6], 'area': 30, 'ignore': 1},
        {
            'id': 15,
            'image_id': 7,
            'category_id': 90,
            'bbox': [0.1, 0.2, 0.30000000000000004, 40],
            'area': 1e-3,
            'iscrowd': 0,
            'segmentation': {'size': [40, 50], 'counts': '[6=k000000o=E\\B000^Q1'},
        },
    ]
    images = [
        {'id': 42, 'file_name': 'a.jpg', 'height': 40, 'width': 60},
        {'id': 3, 'file_name': 'sub/empty.jpg', 'height': 32, 'width': 32},
        {'id': 139, 'file_name': 'sub/crowd.jpg', 'height': 48, 'width': 64},
        {'id': 7, 'file_name': 'unmeasured.png'},
        {'id': 9_000_000_001, 'file_name': 'empty too.jpg', 'height': 20, 'width': 30},
    ]
    categories = [
        {'id': 90, 'name': 'toothbrush', 'supercategory': 'indoor'},
        {'id': 7, 'name': 'train'},
        {'id': 18, 'name': 'never seen', 'supercategory': 'animal'},
    ]
    return {'info': {}, 'images': images, 'annotations': annotations, 'categories': categories}


VOC_OBJECT = """<object><name>{name}</name><pose>Left</pose>{flags}
<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"""
VOC_SIZE = '<size><width>{1}</width><height>{0}</height><depth>3</depth></size>'


def voc_object(name: str, *corners: float, flags: str = '') -> str:
    """The XML of one object."""
    return VOC_OBJECT.format(*corners, name=name, flags=flags)
