"""Heights and widths of the images, without decoding one."""

from __future__ import annotations

from typing import Any

import numpy as np

from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.columns import ColumnMap
from deeplake_mmdet.source.fork_gate import reading


def image_sizes(selection: Any, columns: ColumnMap, rows: np.ndarray) -> np.ndarray:
    """Height and width of every image.

    From the ``height`` and ``width`` columns where they exist, else from the shapes in the image column's chunk
    headers. The latter ignore an EXIF orientation; the image reader notices when an image has one.

    Args:
        selection: Deep Lake dataset or view.
        columns: Its column map.
        rows: Row numbers for messages, shape (N,).

    Returns:
        int64 array of shape (N, 2). Zeros where the stored bytes are not of the column's declared format.

    Raises:
        AnnotationError: A stored height or width is missing or negative.
    """
    with reading():
        if columns.get('height') and columns.get('width'):
            sizes = np.stack([_scalars(selection, columns[role], rows) for role in ('height', 'width')], axis=-1)
        else:
            shapes = selection.query(f'select shape("{columns.image.name}") as s')['s'][:] if len(rows) else []
            sizes = np.array([tuple(shape[:2]) if len(shape) >= 2 else (0, 0) for shape in shapes], np.int64)
    return sizes.reshape(-1, 2)


def _scalars(selection: Any, column: str, rows: np.ndarray) -> np.ndarray:
    values = np.asarray([-1 if value is None else value for value in selection[column][:]]).astype(np.int64).reshape(-1)
    wrong = np.flatnonzero(values < 0)
    if len(wrong):
        raise AnnotationError(
            f'Column {column!r}, row {int(rows[wrong[0]])}: expected a number of pixels, but got none.'
        )
    return values
