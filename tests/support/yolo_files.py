"""YOLO trees: written from plain values, and read by the rules of Ultralytics' documentation, with no code of ours.

A tree here is a dict: for each image name below the root (``images/train/a.jpg``), its lines as lists of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

Line = list[float]
NAMES = ['cat', 'dog', 'no']


def write_image(path: Path, height: int = 40, width: int = 60) -> Path:
    """An image file of noise; its suffix says its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.name.encode()) * 1000 + height
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))
    return path


def write_tree(
    root: Path,
    tree: Mapping[str, Sequence[Line] | None],
    *,
    names: Any = NAMES,
    size_hw: tuple[int, int] = (40, 60),
    **keys: Any,
) -> Path:
    """Writes images and label files (none for an image whose lines are None) and the data.yaml; gives its path.

    Args:
        root: The folder of the dataset.
        tree: The images, in folders that are called images.
        names: Of the data.yaml.
        size_hw: Height and width of all images.
        **keys: Further keys of the data.yaml; by default the splits train, val and test that there are.
    """
    for name, lines in tree.items():
        write_image(root / name, *size_hw)
        label = root / ('labels' + name.removeprefix('images')).rsplit('.', 1)[0]
        if lines is not None:
            label.parent.mkdir(parents=True, exist_ok=True)
            text = ''.join(' '.join([str(int(line[0])), *map(repr, line[1:])]) + '\n' for line in lines)
            label.with_name(f'{label.name}.txt').write_text(text)
    splits = {split for name in tree for split in ('train', 'val', 'test') if name.startswith(f'images/{split}/')}
    document = {'names': names} | (keys or {split: f'images/{split}' for split in sorted(splits)})
    (root / 'data.yaml').write_text(yaml.safe_dump(document, sort_keys=False))
    return root / 'data.yaml'


def read_tree(data_yaml: Path) -> tuple[list[str], dict[str, dict[str, list[Line]]]]:
    """The names and, for each split, the lines of each image by its name below the folder of the split."""
    document = yaml.safe_load(data_yaml.read_text())
    names = document['names']
    names = [names[number] for number in range(len(names))] if isinstance(names, dict) else names
    splits = {}
    for split in ('train', 'val', 'test'):
        if split in document:
            folder = data_yaml.parent / document[split]
            images = sorted(path for path in folder.rglob('*.*') if path.suffix in ('.jpg', '.png'))
            splits[split] = {path.relative_to(folder).as_posix(): read_lines(path) for path in images}
    return names, splits


def read_lines(image: Path) -> list[Line]:
    """The label file of an image: its last folder images becomes labels."""
    before, after = str(image).rsplit('/images/', 1)
    label = Path(f'{before}/labels/{after}').with_suffix('.txt')
    text = label.read_text() if label.exists() else ''
    return [[float(column) for column in line.split()] for line in text.splitlines() if line]


def pixel_boxes(lines: Sequence[Line], size_hw: tuple[int, int]) -> np.ndarray:
    """Left, top, right, bottom in pixels of each line, float64, (N, 4): of a box, or of the extent of a polygon."""
    height, width = size_hw
    boxes = []
    for _, *numbers in lines:
        if len(numbers) == 4:
            x, y, w, h = numbers
            boxes.append([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height])
        else:
            xs, ys = np.array(numbers[::2]) * width, np.array(numbers[1::2]) * height
            boxes.append([xs.min(), ys.min(), xs.max(), ys.max()])
    return np.array(boxes, np.float64).reshape(-1, 4)
