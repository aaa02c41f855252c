"""Which columns hold one entry an object, so that they stay in step with the boxes when an object is dropped.

No type says so. What does is that a column has as many entries as there are boxes, in every row of the version. Where
that proves nothing (all rows have the same number of boxes, or the column is empty in many rows), and where a column
cannot be taken apart, the column is refused by name, and whoever edits says what it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

import numpy as np

from deeplake_mmdet.config.tensor_roles import MASK_FORMATS
from deeplake_mmdet.errors import ColumnError
from deeplake_mmdet.source.column_types import BITMAPS, RESULTS, kind_of, mask_kind
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.pins import closest
from deeplake_mmdet.versions.reading import columns_of, pieces, read_at, rows_at_once


class Form(Enum):
    """How a column holds its entries."""

    ARRAY = 'along the first axis of an array'
    LAYERS = 'along the last axis of an array of height x width x objects'
    POLYGONS = 'as a list of polygons'
    JSON = 'as a JSON list'


# What converters call such columns. Their name counts where their lengths prove nothing.
_KNOWN = (
    *('areas', 'area', 'iscrowd', 'iscrowds', 'is_crowd', 'ignore', 'difficult', 'truncated'),
    *('ann_ids', 'masks', 'keypoints', 'annotation_fields'),
)
_ONE_AN_IMAGE = ('Image', 'Link', 'Embedding', 'Audio', 'Video', 'Medical', 'Mesh')
_OPAQUE = ('Dict', 'Struct', 'Bytes', 'Sequence')
_MISSING, _NO_LIST = -1, -2
_REMEDY = (
    'Say what it holds: --per-object {0} (per_object=) for one entry an object, along its first axis, or --per-image '
    '{0} (per_image=) for something that stays as it is.'
)


@dataclass(frozen=True)
class ObjectColumns:
    """The columns of one entry an object.

    Attributes:
        boxes: Name of the column of boxes.
        labels: Name of the column of labels.
        forms: Name and form of each such column, these two included.
    """

    boxes: str
    labels: str
    forms: dict[str, Form]


def find_object_columns(
    source: SourceHandle, boxes: str, labels: str, *, per_object: Collection[str] = (), per_image: Collection[str] = ()
) -> ObjectColumns:
    """Look through all columns and rows.

    Args:
        source: The version.
        boxes, labels: Names of these two columns.
        per_object, per_image: Columns of which the caller knows better.

    Raises:
        ColumnError: A column is unclear, or contradicts the boxes.
        SourceError: The storage failed.
    """
    columns = columns_of(source)
    for name in (*per_object, *per_image):
        if name not in columns or (name in per_object and name in per_image):
            raise ColumnError(
                f'edit(per_object=, per_image=) expected columns, each in one of the two, but got {name!r}. The '
                f'columns are {", ".join(map(repr, columns))}.{closest(name, columns)}'
            )
    counts = np.concatenate([*_lengths(source, boxes, Form.ARRAY), np.zeros(0, np.int64)])
    counts = np.maximum(counts, 0)
    forms = {boxes: Form.ARRAY}
    for name, dtype in columns.items():
        if name == boxes or name in per_image or (name.startswith(RESULTS) and name not in per_object):
            continue
        trusted = name in (labels, *per_object)
        form = _Column(source, name, dtype, counts, trusted=trusted).form()
        if form is not None:
            forms[name] = form
    return ObjectColumns(boxes, labels, forms)


class _Column:
    """One column against the number of boxes in each row, (N,)."""

    def __init__(self, source: SourceHandle, name: str, dtype: Any, counts: np.ndarray, *, trusted: bool) -> None:
        self._source, self._name, self._dtype, self._counts = source, name, dtype, counts
        self._trusted = trusted

    def form(self) -> Form | None:
        """How it holds one entry an object; None for a column that does something else."""
        kind, text = kind_of(self._dtype), str(self._dtype)
        is_text = kind == 'Text' or text == 'text'
        dimensions = len(getattr(self._dtype, 'shape', None) or ())
        if kind in _ONE_AN_IMAGE:
            return None
        if kind in _OPAQUE or text in ('bytes', 'dict') or (not is_text and 'text' in text):
            self._refuse('is of a type that cannot be taken apart')
        if is_text:
            return self._text()
        if kind == 'Polygon':
            return self._decided(Form.POLYGONS)
        if kind in BITMAPS:
            return self._bitmaps()
        return self._decided(Form.ARRAY) if dimensions or text.startswith(('array', 'nullable[array')) else None

    def _text(self) -> Form | None:
        if mask_kind(self._source.base()[self._name], self._dtype) in MASK_FORMATS:
            return Form.JSON
        first = next(_lengths(self._source, self._name, Form.JSON), np.zeros(0, np.int64))
        if (first == _NO_LIST).any() and not self._trusted:  # no list: a name, a caption
            return None
        return self._decided(Form.JSON)

    def _bitmaps(self) -> Form | None:
        fits = [form for form in (Form.LAYERS, Form.ARRAY) if self._fits(form)]
        if len(fits) == 2:
            self._refuse('has as many rows of pixels as layers, so that nobody knows which axis is that of the objects')
        if not fits:
            self._refuse('has masks that are not one a box')
        return fits[0]

    def _fits(self, form: Form) -> bool:
        lengths = np.concatenate([*_lengths(self._source, self._name, form)])
        return bool(((lengths == self._counts) | ((lengths == _MISSING) & (self._counts == 0))).all())

    def _decided(self, form: Form) -> Form | None:
        lengths = np.concatenate([*_lengths(self._source, self._name, form), np.zeros(0, np.int64)])
        missing = (lengths == _MISSING) & (self._counts > 0)
        wrong = np.flatnonzero((lengths != self._counts) & (lengths != _MISSING))
        is_known = self._trusted or self._name in _KNOWN
        if len(wrong) and is_known:
            row = int(self._source.rows[wrong[0]])
            raise ColumnError(
                f'Column {self._name!r}, row {row}: expected one entry an object, but got {max(0, lengths[wrong[0]])} '
                f'for {self._counts[wrong[0]]} boxes. Objects cannot be dropped before {len(wrong)} rows are '
                f'corrected; or say that the column holds something else: --per-image {self._name} (per_image=).'
            )
        if len(wrong):
            return None
        if missing.any():
            self._refuse(f'is empty in {int(missing.sum())} rows that have boxes, and fits the boxes in all others')
        if not is_known and len(np.unique(self._counts)) < 2:
            self._refuse('has one entry a box, but all rows have the same number of boxes, which proves nothing')
        return form

    def _refuse(self, why: str) -> NoReturn:
        raise ColumnError(f'Column {self._name!r} {why}. {_REMEDY.format(self._name)}')


def _lengths(source: SourceHandle, column: str, form: Form) -> Iterator[np.ndarray]:
    """Number of entries in each row, piece by piece; negative where there is none."""
    dtype = columns_of(source)[column]
    if kind_of(dtype) in BITMAPS:
        shapes = source.image_shapes(column)
        axis = 2 if form is Form.LAYERS else 0
        yield np.array([int(shape[axis]) if len(shape) == 3 else _NO_LIST for shape in shapes], np.int64)
        return
    for piece in pieces(len(source), rows_at_once(dtype)):
        values = read_at(source, column, np.arange(piece.start, piece.stop))
        yield np.array([_length(value, form) for value in values], np.int64)


def _length(value: Any, form: Form) -> int:
    if value is None:
        return _MISSING
    if form is not Form.JSON:
        return len(value) if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim) else _NO_LIST
    try:
        parsed = json.loads(value) if value.startswith('[') else None
    except (ValueError, RecursionError):
        parsed = None
    return len(parsed) if isinstance(parsed, list) else _NO_LIST
