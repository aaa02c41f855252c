"""Tiny datasets, with one thing wrong where a test wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIZE = 40  # pixels, height and width


def write_tiny(
    path: Path | str,
    *,
    boxes: list[Any] | None = None,
    labels: list[Any] | None = None,
    images: list[bytes] | None = None,
    class_names: list[str] | None = ('cat', 'dog'),
    box_format: tuple[str | None, str | None] = ('ltwh', 'pixel'),
    extra: dict[str, tuple[Any, list[Any]]] | None = None,
    sizes: bool = True,
) -> str:
    """Write a dataset of a few rows; returns its path.

    Args:
        path: Where.
        boxes: float32 arrays of shape (n, 4), one a row; by default two boxes in each of six rows.
        labels: uint32 arrays of shape (n,); by default alternating.
        images: Encoded PNG images; by default noise of SIZE x SIZE.
        class_names: Metadata of the label column, or None.
        box_format: Declared format and unit.
        extra: More columns: name to type and values.
        sizes: Whether to store height and width.
    """
    import cv2
    import deeplake
    from deeplake import types

    rng = np.random.default_rng(0)
    boxes = [[[2, 3, 10, 12], [20, 5, 15, 30]]] * 6 if boxes is None else boxes
    boxes = [np.asarray(box, np.float32).reshape(-1, 4) for box in boxes]
    labels = [np.arange(len(box)) % 2 for box in boxes] if labels is None else labels
    if images is None:
        noise = [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in boxes]
        images = [cv2.imencode('.png', image)[1].tobytes() for image in noise]
    columns = {
        'images': (types.Image(sample_compression='png'), images),
        'boxes': (types.BoundingBox('float32', *box_format), boxes),
        'categories': (types.ClassLabel(types.Array('uint32', 1)), [np.asarray(item, np.uint32) for item in labels]),
        **(extra or {}),
    }
    if sizes:
        columns |= {name: ('int32', np.full(len(boxes), SIZE, np.int32)) for name in ('height', 'width')}
    dataset = deeplake.create(str(path))
    for name, (dtype, _) in columns.items():
        dataset.add_column(name, dtype)
    if class_names is not None:
        dataset['categories'].metadata['class_names'] = list(class_names)
    dataset.append({name: values for name, (_, values) in columns.items()})
    dataset.commit('tiny')
    return str(path)
