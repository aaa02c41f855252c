"""A small detection dataset drawn by rule, for the demo, for tests and for first steps: no download, no licence.

Five classes of shapes on soft backgrounds, with occlusion, a wide range of sizes, a rare class, images without objects
and crowded images; colour says nothing about the class. Boxes, areas and masks are those of the visible pixels. The
same seed gives the same bytes, and an image depends on its seed and its position only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deeplake_mmdet.annotations.rings import mask_to_rings
from deeplake_mmdet.convert.coco_source import instance_values
from deeplake_mmdet.convert.demo_draw import SHAPES, Shape, background, coverage, paint, vivid_colour
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.schema import coco_columns, image_columns, image_values
from deeplake_mmdet.convert.views import split_view
from deeplake_mmdet.convert.writer import DatasetWriter
from deeplake_mmdet.errors import ConversionError

SIZE = 256  # pixels, height and width
QUALITY = 92  # of the JPEG encoder
DIAMETERS = (18.0, 100.0)  # pixels
FREQUENCIES = (0.30, 0.25, 0.21, 0.16, 0.08)  # of the classes, in the order of SHAPES
EMPTY_EVERY, CROWDED_EVERY = 16, 7  # one image in so many
MIN_VISIBLE, MIN_PIXELS = 0.25, 40  # less of an object than this is not drawn at all
CATEGORIES: list[dict[str, Any]] = [
    {'id': number, 'name': name, 'supercategory': 'shape'} for number, name in enumerate(SHAPES, start=1)
]


def make_demo(
    path: str | Path, *, seed: int = 0, train: int = 240, val: int = 60, overwrite: bool = False
) -> ConversionReport:
    """Makes the demo dataset, with the columns of a COCO dataset and the saved views 'train' and 'val'.

    Args:
        path: The dataset to make, a local folder or a URL.
        seed: Not negative; another seed draws other images.
        train: Images in the view 'train'.
        val: Images in the view 'val'.
        overwrite: Replace a local Deep Lake dataset at ``path``.

    Returns:
        What was written.

    Raises:
        ConversionError: When a number is out of range or ``path`` may not be written.
    """
    for name, value, least in (('seed', seed, 0), ('train', train, 1), ('val', val, 1)):
        if type(value) is not int or value < least:
            raise ConversionError(
                f'make_demo({name}=) expected an int of at least {least}, but got {value!r}. Give another number.'
            )
    destination = Destination(path, overwrite=overwrite)
    report = ConversionReport(str(path), SHAPES)
    columns = coco_columns(image_columns(), CATEGORIES, ignore=False, masks=True)
    metadata = {'source': {'format': 'demo', 'files': [], 'seed': seed, 'train': train, 'val': val}}
    with DatasetWriter(destination, columns, metadata) as writer:
        for row in _rows(seed, {'train': train, 'val': val}):
            report.count(row['file_name'], row['boxes'], row['categories'], (SIZE, SIZE))
            writer.append({column.name: row[column.name] for column in columns})
        report.views = {'train': train, 'val': val}
        views = {name: split_view(name, rows) for name, rows in report.views.items()}
        writer.finish(f'Draw the demo with seed {seed}', views)
    return report


def _rows(seed: int, splits: dict[str, int]) -> Iterator[dict[str, Any]]:
    labels = {category['id']: label for label, category in enumerate(CATEGORIES)}
    img_id = ann_id = 0
    for part, (split, count) in enumerate(splits.items()):
        for position in range(count):
            image, shapes, masks = draw_scene(np.random.default_rng([seed, part, position]), position)
            pairs = zip(shapes, masks, strict=True)
            annotations = [annotate(shape, mask, ann_id + i) for i, (shape, mask) in enumerate(pairs, start=1)]
            img_id, ann_id = img_id + 1, ann_id + len(annotations)
            name = f'{split}/{position:05d}.jpg'
            values = image_values(encode(image), img_id, (SIZE, SIZE), name, split)
            yield values | instance_values(annotations, labels)


def draw_scene(rng: np.random.Generator, position: int) -> tuple[np.ndarray, list[Shape], list[np.ndarray]]:
    """One image, (SIZE, SIZE, 3) uint8 BGR, its shapes from back to front, and their visible pixels, (SIZE, SIZE) bool.

    Args:
        rng: Where all chance comes from.
        position: Of the image in its split; empty and crowded images come at fixed positions.
    """
    canvas = background(rng, SIZE)
    shapes = [] if position % EMPTY_EVERY == EMPTY_EVERY // 2 else _arrange(rng, canvas, position % CROWDED_EVERY == 3)
    alphas = [coverage(shape, SIZE) for shape in shapes]
    shapes, alphas = _drop_hidden(shapes, alphas)
    for shape, alpha in zip(shapes, alphas, strict=True):
        paint(canvas, shape, alpha)
    return np.clip(np.round(canvas), 0, 255).astype(np.uint8), shapes, visible_masks(alphas)


def _arrange(rng: np.random.Generator, canvas: np.ndarray, crowded: bool) -> list[Shape]:
    """Shapes from back to front, in any order; placed from the largest to the smallest, crowded ones closer."""
    count = int(rng.integers(10, 16) if crowded else rng.integers(4, 11))
    diameters = DIAMETERS[0] * (DIAMETERS[1] / DIAMETERS[0]) ** rng.uniform(0, 1, count)
    shapes: list[Shape] = []
    for diameter in sorted(diameters.tolist(), reverse=True):
        for _ in range(20):
            centre = tuple(rng.uniform(0.3 * diameter, SIZE - 0.3 * diameter, 2).tolist())
            if all(_overlap(centre, diameter, other) < (0.75 if crowded else 0.3) for other in shapes):
                shapes.append(_shape(rng, canvas, centre, diameter))
                break
    return [shapes[i] for i in rng.permutation(len(shapes))]


def _overlap(centre: tuple[float, float], diameter: float, other: Shape) -> float:
    """How far two discs reach into each other, over the diameter of the smaller; not positive when they are apart."""
    distance = float(np.hypot(centre[0] - other.centre[0], centre[1] - other.centre[1]))
    return ((diameter + other.diameter) / 2 - distance) / min(diameter, other.diameter)


def _shape(rng: np.random.Generator, canvas: np.ndarray, centre: tuple[float, float], diameter: float) -> Shape:
    kind = SHAPES[int(rng.choice(len(SHAPES), p=FREQUENCIES))]
    x, y = (int(np.clip(value, 0, SIZE - 1)) for value in centre)
    return Shape(kind, centre, diameter, float(rng.uniform(0, 2 * np.pi)), vivid_colour(rng, canvas[y, x]))


def _drop_hidden(shapes: list[Shape], alphas: list[np.ndarray]) -> tuple[list[Shape], list[np.ndarray]]:
    """Removes what is hardly visible, from the front, so that nothing is drawn that is not annotated."""
    covered = np.zeros((SIZE, SIZE), bool)
    kept: list[int] = []
    for position in reversed(range(len(shapes))):
        whole = alphas[position] >= 0.5
        seen = int((whole & ~covered).sum())
        if seen >= max(MIN_PIXELS, MIN_VISIBLE * whole.sum()):
            kept.insert(0, position)
            covered |= whole
    return [shapes[i] for i in kept], [alphas[i] for i in kept]


def visible_masks(alphas: list[np.ndarray]) -> list[np.ndarray]:
    """The pixels at which each of the shapes, given from back to front, is the one in front; bool, (SIZE, SIZE)."""
    covered = np.zeros((SIZE, SIZE), bool)
    masks: list[np.ndarray] = []
    for alpha in reversed(alphas):
        masks.insert(0, (alpha >= 0.5) & ~covered)
        covered |= alpha >= 0.5
    return masks


def annotate(shape: Shape, mask: np.ndarray, ann_id: int) -> dict[str, Any]:
    """The COCO annotation of the visible pixels of a shape; its rings rasterise to exactly ``mask``."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    left, top = int(columns[0]), int(rows[0])
    return {
        'id': ann_id,
        'category_id': SHAPES.index(shape.kind) + 1,
        'bbox': [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        'area': int(mask.sum()),
        'segmentation': mask_to_rings(mask),
    }


def encode(image: np.ndarray) -> bytes:
    """The JPEG bytes of a BGR image."""
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
