"""One label file of a YOLO dataset: a line an object, a box or a polygon, as fractions of the image's width and height.

Each line is read by its own number of columns: five are a box, an odd number from seven on is a polygon, whose extent
is the box. Ultralytics takes all lines of a file for polygons as soon as one is, and then reads the centre and the size
of a box as two points; its own converter from COCO writes such files, and means boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.convert.yolo_file import fail

TOLERANCE = 0.01  # what Ultralytics grants coordinates beyond 0 and 1


@dataclass(frozen=True)
class YoloLabels:
    """The objects of one image.

    Attributes:
        labels: uint32, (N,).
        boxes: Centre x, centre y, width and height, as fractions; float64, (N, 4).
        polygons: For each object ``[x, y, x, y, …]`` as fractions, or None for one that is only a box.
        repeated: How many lines say what another one said before.
    """

    labels: np.ndarray
    boxes: np.ndarray
    polygons: list[list[float] | None]
    repeated: int


def parse_labels(text: str, file: str, class_names: Sequence[str]) -> YoloLabels:
    """Reads and checks the text of a label file.

    Raises:
        ConversionError: A line is malformed or out of range; it is named.
    """
    objects = [
        _parsed(line.split(), file, number, class_names)
        for number, line in enumerate(text.splitlines(), start=1)
        if line and not line.isspace()
    ]
    polygons = [numbers[1:] if len(numbers) > 5 else None for numbers in objects]
    boxes = [numbers[1:] if len(numbers) == 5 else extent(numbers[1:]) for numbers in objects]
    return YoloLabels(
        np.array([numbers[0] for numbers in objects], np.uint32),
        np.array(boxes, np.float64).reshape(-1, 4),
        polygons,
        len(objects) - len(set(map(tuple, objects))),
    )


def extent(polygon: list[float]) -> list[float]:
    """Centre x, centre y, width and height of the box around ``[x, y, x, y, …]``."""
    left, right = min(polygon[::2]), max(polygon[::2])
    top, bottom = min(polygon[1::2]), max(polygon[1::2])
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def _parsed(columns: list[str], file: str, line: int, class_names: Sequence[str]) -> list[float]:
    """The numbers of one line."""
    if len(columns) != 5 and (len(columns) < 7 or len(columns) % 2 == 0):
        fail(
            file,
            'a class and a box (x y w h), or a class and a polygon of three points or more (x y x y x y …)',
            f'{len(columns)} columns',
            'Correct the line',
            line,
        )
    try:
        numbers = [math.nan if '_' in column else float(column) for column in columns]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        fail(file, 'finite numbers', repr(' '.join(columns))[:80], 'Correct the line', line)
    if numbers[0] not in range(len(class_names)):
        classes = f'{len(class_names)} classes, {", ".join(class_names[:5])}{"…" if len(class_names) > 5 else ""}'
        remedy = f'The data.yaml has {classes}: correct the line, or add the class to names'
        fail(file, f'a class from 0 to {len(class_names) - 1}', columns[0], remedy, line)
    least, most = min(numbers[1:]), max(numbers[1:])
    if least < -TOLERANCE or most > 1 + TOLERANCE:
        wrong = least if least < -TOLERANCE else most
        remedy = 'Divide pixels by the width and height of the image, or correct the line'
        fail(file, 'fractions from 0 to 1 of the width and height of the image', str(wrong), remedy, line)
    if len(numbers) == 5 and min(numbers[3:]) < 0:
        fail(file, 'a width and a height that are not negative', ' '.join(columns[3:]), 'Correct the line', line)
    return numbers
