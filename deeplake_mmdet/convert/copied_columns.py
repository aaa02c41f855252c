"""The columns that a copy of a dataset gets: types and metadata as they are, and images for links to images.

Deep Lake gives most types back as it took them; the types of which it does not are refused by name, because a copy that
lost something would look like the original. Two of them, sequences and nullable links, would crash or read foreign
memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from deeplake import types

from deeplake_mmdet.config.link_credentials import LINK_CREDS
from deeplake_mmdet.convert.schema import Column
from deeplake_mmdet.errors import ColumnError, ConversionError, ImageReadError
from deeplake_mmdet.source.column_types import kind_of, same_type
from deeplake_mmdet.source.columns import image_column
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.images import ImageReader
from deeplake_mmdet.source.numbered import SOURCE_ROW
from deeplake_mmdet.source.pins import closest

_FAITHFUL = (
    *('BoundingBox', 'ClassLabel', 'Text', 'Generic', 'BinaryMask', 'SegmentMask', 'Polygon', 'Point'),
    *('Embedding', 'Dict', 'Nullable'),
)
# Of nullable types Deep Lake gives no bytes, or foreign ones.
_NOT_NULLABLE = ('kind=image', 'kind=link', 'kind=video', 'kind=audio', 'sequence[', 'medical', 'mesh')
# Types whose empty values read as None, and can be written as None.
_MAY_BE_NONE = ('Text', 'BinaryMask', 'SegmentMask', 'Dict')
_LOOKED_AT, _HEAD = 64, 32  # images whose first bytes are looked at before their column is made
_PNG, _JPEG = b'\x89PNG', b'\xff\xd8\xff'


@dataclass(frozen=True)
class SourceColumn(Column):
    """A column whose values come out of another dataset.

    Attributes:
        images: Reads them, if they are encoded images, or links to such.
        empty: What is written for a missing value.
    """

    images: ImageReader | None = None
    empty: Any = None

    @property
    def is_link(self) -> bool:
        """Whether the values are links, whose images are stored in their place."""
        return self.images is not None and self.images.column.is_link

    def check(self, value: Any) -> None:
        """Nothing to check: values are of the column's own type; see `refuse_missing`."""

    def refuse_missing(self, value: Any, row: int) -> None:
        """Refuses a value that is missing, where the type cannot say so.

        Raises:
            ColumnError: It is None, as in rows that are older than their column.
        """
        if value is not None or kind_of(self.type) in _MAY_BE_NONE or str(self.type).startswith(('nullable', 'bytes')):
            return
        raise ColumnError(
            f'materialize() expected a value in each row of column {self.name!r}, but got none in row {row}, which is '
            f'older than the column. Fill it, or leave the column out: --without {self.name} '
            f'(without=[{self.name!r}]).'
        )

    def batch(self, values: Sequence[Any]) -> Any:
        """See `Column.batch`; of numbers one array, of the dtype that they were read with."""
        if all(isinstance(value, np.generic) for value in values):
            return np.array(values, values[0].dtype)
        return [self.empty if value is None else value for value in values]


def copied_columns(source: SourceHandle, without: Sequence[str]) -> list[SourceColumn]:
    """The columns of a copy.

    Args:
        source: What is copied.
        without: Names of columns to leave out.

    Raises:
        ColumnError: One cannot be copied without loss, or a name in `without` is no column.
        ConversionError: Nothing is left.
    """
    selection, base = source.selection(), source.base()
    dtypes = {column.name: column.dtype for column in selection.schema.columns if column.name != SOURCE_ROW}
    for name in without:
        if name not in dtypes:
            raise ColumnError(
                f'materialize(without=) names {name!r}, which is no column. The columns are '
                f'{", ".join(map(repr, dtypes))}.{closest(name, dtypes)}'
            )
    stored = {column.name: column.dtype for column in base.schema.columns}
    reasons = {name: _refused(dtype, stored.get(name)) for name, dtype in dtypes.items() if name not in without}
    wrong = {name: reason for name, reason in reasons.items() if reason}
    if wrong:
        listed = '; '.join(f'{name!r} ({str(dtypes[name])[:60]}) {reason}' for name, reason in wrong.items())
        raise ColumnError(
            f'materialize() expected columns that can be copied without loss, but got {listed}. Leave them out: '
            f'--without {" ".join(wrong)} (without={list(wrong)}).'
        )
    if not reasons:
        raise ConversionError(f'materialize(without=) expected a column to be left, but got all: {list(without)}.')
    return [_copied(source, name, dtypes[name], selection[name]) for name in reasons]


def _refused(dtype: Any, stored: Any) -> str:
    """Why a column cannot be copied; an empty text if it can."""
    kind = kind_of(dtype)
    if stored is None or not same_type(dtype, stored):
        return 'is computed by the query, and Deep Lake does not tell its form'
    if kind in ('Image', 'Link'):
        return ''
    if kind not in _FAITHFUL:
        return f'is of the kind {kind}, which Deep Lake does not give back as it is stored'
    if kind == 'Nullable' and any(word in str(dtype) for word in _NOT_NULLABLE):
        return 'is nullable, and Deep Lake does not give its bytes'
    return ''


def _copied(source: SourceHandle, name: str, dtype: Any, column: Any) -> SourceColumn:
    metadata = _metadata(column)
    if kind_of(dtype) not in ('Image', 'Link'):
        return SourceColumn(name, dtype, '', metadata=metadata, empty=_empty(source, name, dtype))
    images = ImageReader(source, image_column(column, dtype))
    if images.column.is_link:
        metadata = {key: value for key, value in metadata.items() if key != LINK_CREDS}
        dtype = _type_behind(images, dtype)
    return SourceColumn(name, dtype, '', metadata=metadata, images=images)


def _empty(source: SourceHandle, name: str, dtype: Any) -> Any:
    """What reads as None: itself, but for a map of segments, which has to have as many dimensions as the others."""
    if kind_of(dtype) != 'SegmentMask' or str(dtype).startswith('nullable'):
        return None
    dimensions = max((len(shape) for shape in source.image_shapes(name)), default=0)
    return np.zeros((0,) * (dimensions or 2), str(dtype).partition('dtype=array(dtype=')[2].partition(',')[0])


def _metadata(column: Any) -> Mapping[str, Any]:
    return {} if not hasattr(column, 'metadata') else dict(column.metadata.to_dict())


def _type_behind(images: ImageReader, dtype: Any) -> Any:
    """The type of a column of images that links lead to: as most of them are, else as the links' type declares.

    A type that says something else would keep Deep Lake from telling their sizes.
    """
    rows = images.handle.rows
    spread = rows[np.linspace(0, len(rows) - 1, min(len(rows), _LOOKED_AT)).astype(int)].tolist() if len(rows) else []
    heads = [head for head in images.behind_links(spread, _HEAD) if not isinstance(head, ImageReadError | None)]
    jpeg, png = (sum(head.startswith(mark) for head in heads) for mark in (_JPEG, _PNG))
    declared = images.column.compression or 'jpeg'
    compression = declared if jpeg == png else 'jpeg' if jpeg > png else 'png'
    deep = sum(head.startswith(_PNG) and head[24:25] == b'\x10' for head in heads)
    depth = 'uint16' if heads and deep == len(heads) else 'uint8'
    return types.Image(dtype=depth, sample_compression=compression)
