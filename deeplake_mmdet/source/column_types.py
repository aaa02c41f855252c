"""What a column's type says: which kind it is, which role it can play, which box format it declares."""

from __future__ import annotations

import itertools
from typing import Any

from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.config.tensor_roles import COCO_SEGMENTATION, MASK_FORMATS

# What the names of columns begin with that hold results of detectors, in place of annotations.
RESULTS = 'model_evaluation/'
_DTYPES = ('float32', 'float64', 'float16', 'int16', 'int32', 'int64', 'uint16', 'uint32', 'uint8')
BITMAPS = ('BinaryMask', 'SegmentMask')
_ONE_AN_IMAGE = ('img_id', 'height', 'width')
_ONE_AN_OBJECT = ('gt_iscrowd', 'gt_difficult', 'gt_ignore', 'gt_areas')
# What a role needs, in words, for messages.
NEEDS = {
    'img': 'images, or arrays of pixels',
    'gt_masks': 'polygons, masks of height x width x objects (BinaryMask, or SegmentMask not stored as PNG), or '
    f'text with format={COCO_SEGMENTATION!r} in its metadata',
    **dict.fromkeys(_ONE_AN_IMAGE, 'one value an image'),
    **dict.fromkeys(_ONE_AN_OBJECT, 'a one-dimensional array of numbers, one an object'),
}
# What is wrapped by Nullable shows in its text form only, e.g. nullable[kind=bbox, …].
_WRAPPED = {
    '[kind=bbox': 'BoundingBox',
    '[kind=class_label': 'ClassLabel',
    '[kind=bmask': 'BinaryMask',
    '[kind=smask': 'SegmentMask',
    '[polygon': 'Polygon',
    '[text': 'Text',
}


def kind_of(dtype: Any) -> str:
    """Deep Lake's name of a type: ``Image``, ``BoundingBox``, ``ClassLabel``, ``Text``, ``Generic``, …"""
    name = str(getattr(dtype, 'kind', None)).rpartition('.')[2]
    if name == 'Nullable':
        return next((long for short, long in _WRAPPED.items() if short in str(dtype)), name)
    return name


def same_type(one: Any, other: Any) -> bool:
    """Whether two types are one; Deep Lake's types of links equal nothing, not even themselves."""
    return bool(one == other) or (kind_of(one) == 'Link' and str(one) == str(other))


def stores_encoded(dtype: Any) -> bool:
    """Whether samples are read as they are stored: the bytes of an image file."""
    return getattr(dtype, 'sample_compression', None) is not None and kind_of(dtype) not in BITMAPS


def can_play(role: str, column: Any, dtype: Any, *, is_scalar: bool = False) -> bool:
    """Whether a column's form allows a role; for a role without demands of form, always.

    Args:
        role: A key of ``deeplake_tensors``.
        column: The Deep Lake column, for its metadata.
        dtype: Its type.
        is_scalar: Whether every row holds one number, whatever the type says.
    """
    dimensions = len(getattr(dtype, 'shape', ()))
    is_text = 'text' in str(getattr(dtype, 'data_type', ''))
    if role == 'img':
        # Deep Lake gives no bytes of a nullable compressed image.
        pixels = kind_of(dtype) in ('Generic', 'Nullable') and getattr(dtype, 'sample_compression', None) is None
        return (pixels or kind_of(dtype) in ('Image', 'Link')) and dimensions >= 2
    if role == 'gt_masks':
        return mask_kind(column, dtype) is not None
    if role in _ONE_AN_OBJECT:
        return dimensions == 1 and not is_text
    if role in _ONE_AN_IMAGE:
        return (dimensions == 0 or is_scalar) and (role == 'img_id' or not is_text)
    return True


def mask_kind(column: Any, dtype: Any) -> str | None:
    """How a column holds masks; None where it holds none.

    Args:
        column: The Deep Lake column, for its metadata.
        dtype: Its type.

    Returns:
        ``'Polygon'``, ``'BinaryMask'``, ``'SegmentMask'``, or the ``format`` of a text column.
    """
    kind = kind_of(dtype)
    if kind == 'Text':
        stated = column.metadata['format'] if 'format' in list(column.metadata.keys()) else None
        return stated if stated in MASK_FORMATS else None
    # A PNG image holds one map, and Deep Lake gives it a layer too many or none at all.
    stacks = kind in BITMAPS and not (kind == 'SegmentMask' and dtype.sample_compression == 'png')
    return kind if stacks or kind == 'Polygon' else None


def metadata_of(column: Any, key: str, convert: type) -> tuple[Any, ...] | None:
    """A list in a column's metadata, or None if it is not there."""
    metadata = column.metadata
    value = metadata[key] if key in list(metadata.keys()) else None
    return None if value is None else tuple(convert(item) for item in value)


def declared_format(dtype: Any, column: Any) -> BoxFormat | None:
    """What a box column declares: by its type (recoverable only by comparing types), else by its metadata."""
    from deeplake import types as T

    for wrap in (lambda inner: inner, T.Nullable):
        for number, mode, unit in itertools.product(_DTYPES, ('ltwh', 'ltrb', 'ccwh'), ('pixel', 'fractional', None)):
            if dtype == wrap(T.BoundingBox(number, mode, unit)):
                return BoxFormat(mode.upper(), unit or 'pixel')
    coords = dict(column.metadata['coords'] or {}) if 'coords' in list(column.metadata.keys()) else {}
    stated = {key: value for key, value in coords.items() if value}
    return BoxFormat.from_config({'mode': 'LTWH', **stated}) if stated else None


def type_in_words(dtype: Any, column: Any) -> str:
    """A type with what Deep Lake's own words leave out: how its boxes are to be read."""
    boxes = declared_format(dtype, column) if kind_of(dtype) == 'BoundingBox' else None
    return f'{dtype}, {boxes}' if boxes else str(dtype)
