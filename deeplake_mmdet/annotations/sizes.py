"""Heights and widths of the images, without decoding one."""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.columns import ColumnMap
from deeplake_mmdet.source.handle import SourceHandle


def image_sizes(source: SourceHandle, columns: ColumnMap) -> np.ndarray:
    """Height and width of every image.

    From the ``height`` and ``width`` columns where they exist, else from the shapes in the image column's chunk
    headers. The latter ignore an EXIF orientation; the image reader notices when an image has one.

    Args:
        source: The dataset.
        columns: Its column map.

    Returns:
        int64 array of shape (N, 2). Zeros where the stored bytes are not of the column's declared format.

    Raises:
        AnnotationError: A stored height or width is missing or negative.
        SourceError: The storage failed.
    """
    if columns.get('height') and columns.get('width'):
        return np.stack([_scalars(source, columns[role]) for role in ('height', 'width')], axis=-1)
    shapes = source.image_shapes(columns.image.name) if len(source) else []
    return np.array([tuple(shape[:2]) if len(shape) >= 2 else (0, 0) for shape in shapes], np.int64).reshape(-1, 2)


def _scalars(source: SourceHandle, column: str) -> np.ndarray:
    values = source.read_column(column, 0, len(source)) if len(source) else []
    numbers = np.asarray([-1 if value is None else value for value in values]).astype(np.int64).reshape(-1)
    wrong = np.flatnonzero(numbers < 0)
    if len(wrong):
        row = int(source.rows[wrong[0]])
        raise AnnotationError(f'Column {column!r}, row {row}: expected a number of pixels, but got none.')
    return numbers
