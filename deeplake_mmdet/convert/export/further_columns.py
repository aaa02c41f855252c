"""Columns that play no role in training, and that an export writes where they hold what their name says.

A name alone proves nothing: a text column says in its metadata what form it has, and a column of numbers must have one
an object. Columns of another form are left out, and named in the report.
"""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.annotations.ragged import read_flat
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.column_types import can_play

FILE_NAME, SPLIT = 'file_name', 'split'


def object_values(dataset: AnnotatedDataset, column: str) -> np.ndarray | None:
    """One number an object of a column that plays no role, (M,); None if there is no column of such numbers.

    Raises:
        AnnotationError: It does not hold one number a box.
    """
    if not holds_numbers(dataset, column):
        return None
    values, offsets = read_flat(dataset.source, {column: None})[column]
    wrong = np.flatnonzero(offsets != dataset.index.offsets)
    if len(wrong):
        row = int(dataset.index.rows[wrong[0] - 1])
        raise AnnotationError(
            f'Column {column!r}, row {row}: expected one number a box, but got more or fewer. Correct the row, or '
            'leave it out by a query.'
        )
    return values


def holds_numbers(dataset: AnnotatedDataset, column: str) -> bool:
    """Whether there is a column of that name that can hold one number an object."""
    if column not in dataset.column_names():
        return False
    base = dataset.source.base()
    return can_play('gt_ignore', base[column], base.schema[column].dtype)


def format_of(dataset: AnnotatedDataset, column: str) -> str | None:
    """What the metadata of a column says under ``format``; None if it says nothing, or there is no such column."""
    if column not in dataset.column_names():
        return None
    metadata = dataset.source.base()[column].metadata
    return metadata['format'] if 'format' in list(metadata.keys()) else None
