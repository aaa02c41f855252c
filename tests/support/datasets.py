"""Small Deep Lake datasets, written with Deep Lake alone, so that a fault of ours cannot hide in both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import deeplake
import numpy as np
from deeplake import types

CLASSES = ('cat', 'dog')


def pixels(row: int, height: int = 16, width: int = 20) -> np.ndarray:
    """Noise that differs from row to row: RGB, uint8."""
    return np.random.default_rng(row).integers(0, 256, (height, width, 3), np.uint8)


def png(row: int, height: int = 16, width: int = 20) -> bytes:
    """The same as an encoded image."""
    return encode(pixels(row, height, width))


def encode(rgb: np.ndarray, extension: str = '.png') -> bytes:
    """Encode RGB, RGBA or gray pixels."""
    if rgb.ndim == 3 and rgb.shape[2] > 1:
        rgb = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR if rgb.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(extension, rgb)[1].tobytes()


def columns(box_format: tuple[str, str] = ('ltwh', 'pixel')) -> dict[str, Any]:
    """The columns that `rows` fills."""
    return {
        'images': types.Image(sample_compression='png'),
        'boxes': types.BoundingBox('float32', *box_format),
        'categories': types.ClassLabel(types.Array('uint32', 1)),
        'number': 'int64',
    }


def rows(numbers: Sequence[int]) -> dict[str, Any]:
    """Rows of a dataset: row n has ``number`` n, n % 3 boxes with labels 0, 1, …, and the image `png` (n)."""
    return {
        'images': [png(n) for n in numbers],
        'boxes': [
            np.array([[1 + k, 2, 5, 6 + n % 4] for k in range(n % 3)], 'float32').reshape(-1, 4) for n in numbers
        ],
        'categories': [np.arange(n % 3, dtype='uint32') for n in numbers],
        'number': np.array(numbers, 'int64'),
    }


def write_dataset(
    path: str,
    count: int = 8,
    *,
    creds: Mapping[str, str] | None = None,
    types: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    drop: Sequence[str] = (),
    classes: Sequence[str] | None = CLASSES,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """Create a dataset and commit its rows.

    Args:
        path: Folder or URL; it must not exist.
        count: Number of rows, numbered from 0.
        creds: Storage credentials.
        types: Columns to add to those of `columns`, or to take their place.
        values: Their values, one item a row.
        drop: Columns of `columns` to leave out.
        classes: Class names in the metadata of ``categories``; None for none.
        metadata: More metadata, by column.

    Returns:
        The writable dataset, nothing uncommitted.
    """
    dataset = deeplake.create(path, creds=dict(creds or {}))
    schema = {name: kind for name, kind in columns().items() if name not in drop} | dict(types or {})
    for name, kind in schema.items():
        dataset.add_column(name, kind)
    if classes is not None and 'categories' in schema:
        dataset['categories'].metadata['class_names'] = list(classes)
    for name, items in (metadata or {}).items():
        for key, value in items.items():
            dataset[name].metadata[key] = value
    content = {**rows(range(count)), **(values or {})}
    if count:
        dataset.append({name: content[name] for name in schema})
    dataset.commit('rows')
    return dataset


def append_rows(dataset: Any, numbers: Sequence[int]) -> str:
    """Append rows and commit; returns the id of the new commit."""
    dataset.append(rows(numbers))
    dataset.commit(f'rows {list(numbers)}')
    return str(dataset.version)
