"""Whether two handles give the same rows in the same order: a comparison that finds the first difference.

Annotations are compared in full, images by their shapes and by the bytes of some or of all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from deeplake_mmdet.source.column_types import can_play, kind_of
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.numbered import SOURCE_ROW

# Kinds that hold an image's worth of data in a row, beside images themselves.
_HEAVY = ('BinaryMask', 'SegmentMask', 'Polygon')
# Annotations: numbers and texts, a few in a row.
_LIGHT = ('ClassLabel', 'Text', 'Generic', 'Nullable')
_ROWS_AT_ONCE, _IMAGES_AT_ONCE = 8192, 64
# So many images are compared byte for byte even where the others are known to be alike.
SAMPLE = 256


def difference(
    one: SourceHandle, other: SourceHandle, *, all_images: bool, names: Collection[str] | None = None
) -> str:
    """What differs between two selections; an empty text if nothing does.

    Args:
        one, other: The two. Of each value the other one's is read first.
        all_images: Compare the bytes of all images, instead of `SAMPLE` of them.
        names: The columns to compare; None for all that a detector could read.

    Raises:
        SourceError: A storage failed.
    """
    if len(one) != len(other):
        return f'{len(other)} rows instead of {len(one)}'
    if _described(one, names) != _described(other, names):
        return 'other columns'
    columns = _types(one, names)
    light = [name for name, dtype in columns.items() if is_light(dtype)]
    heavy = [name for name, dtype in columns.items() if name not in light and _is_heavy(one, name, dtype)]
    for name in heavy:
        if kind_of(columns[name]) == 'Image' and not same_values(other.image_shapes(name), one.image_shapes(name)):
            return f'images of other sizes in column {name!r}'
    return _difference_of_values(one, other, light) or _difference_of_bytes(one, other, heavy, all_images)


def _types(handle: SourceHandle, names: Collection[str] | None) -> dict[str, Any]:
    columns = [column for column in handle.selection().schema.columns if column.name != SOURCE_ROW]
    return {column.name: column.dtype for column in columns if names is None or column.name in names}


def _described(handle: SourceHandle, names: Collection[str] | None) -> dict[str, tuple[Any, str]]:
    """Type and metadata of columns. Types of links are equal to nothing, so their text has to do."""
    selection = handle.selection()
    return {
        name: (str(dtype) if kind_of(dtype) == 'Link' else dtype, _metadata(selection[name]))
        for name, dtype in _types(handle, names).items()
    }


def _metadata(column: Any) -> str:
    return repr(sorted((key, column.metadata[key]) for key in column.metadata.keys()))  # noqa: SIM118  no dict


def is_light(dtype: Any) -> bool:
    """Whether a column's rows hold a few numbers or texts, and not an image's worth of data."""
    kind = kind_of(dtype)
    return kind == 'BoundingBox' or (kind in _LIGHT and len(getattr(dtype, 'shape', ())) <= 2)


def _is_heavy(handle: SourceHandle, name: str, dtype: Any) -> bool:
    return kind_of(dtype) in _HEAVY or can_play('img', handle.selection()[name], dtype)


def _difference_of_values(one: SourceHandle, other: SourceHandle, columns: list[str]) -> str:
    for rows in _chunks(np.arange(len(one)), _ROWS_AT_ONCE) if columns else ():
        start, stop = int(rows[0]), int(rows[-1]) + 1
        pairs = zip(other.read_columns(columns, start, stop), one.read_columns(columns, start, stop), strict=True)
        for name, (a, b) in zip(columns, pairs, strict=True):
            if not same_values(a, b):
                return f'other values in column {name!r}'
    return ''


def _difference_of_bytes(one: SourceHandle, other: SourceHandle, columns: list[str], all_images: bool) -> str:
    count = len(one) if all_images else min(len(one), SAMPLE)
    spread = np.linspace(0, len(one) - 1, count).round().astype(np.int64)
    for rows in _chunks(spread, _IMAGES_AT_ONCE):
        for name in columns:
            if not same_values(other.read(name, other.rows[rows].tolist()), one.read(name, one.rows[rows].tolist())):
                return f'other data in column {name!r}'
    return ''


def _chunks(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def same_values(a: Any, b: Any) -> bool:
    """Equality of what Deep Lake's reads give: arrays, numbers, texts, bytes, dicts, None, and lists of them."""
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return False
        if all(isinstance(item, np.ndarray) for item in (*a, *b)):
            return _same_arrays(a, b)
        return all(same_values(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray | np.generic) and isinstance(b, np.ndarray | np.generic):
        return _same_arrays([np.asarray(a)], [np.asarray(b)])
    if hasattr(a, 'to_dict') and hasattr(b, 'to_dict'):
        return repr(a.to_dict()) == repr(b.to_dict())
    return type(a) is type(b) and bool(a == b)


def _same_arrays(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Equality of each pair; put together first, because there are millions of them."""
    if [(array.shape, array.dtype) for array in a] != [(array.shape, array.dtype) for array in b]:
        return False
    if not a:
        return True
    one, other = (np.concatenate([array.reshape(-1) for array in arrays]) for arrays in (a, b))
    return np.array_equal(one, other, equal_nan=one.dtype.kind == 'f')
