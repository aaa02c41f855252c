"""Tensors of format 3 as columns of format 4 that mean the same, and their samples in the form that those columns take.

Encoded images keep their bytes. A box column declares in its type what ``coords`` said. A tensor of one number a row
becomes a column of numbers. Binary masks become COCO run lengths: the same pixels in a tenth of the bytes. What format
4 has no counterpart for is named, never dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from deeplake import types

from deeplake_mmdet.annotations.bitmaps import pack_bitmaps
from deeplake_mmdet.config.tensor_roles import COCO_RLE
from deeplake_mmdet.convert.schema import Column
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.column_types import declared_format
from deeplake_mmdet.source.format3.tensors import Tensor

# Metadata that says nothing of a column's samples, or that its type says.
_NOT_KEPT = ('coords', 'intrinsics')
# Of tensors that never got a sample, and so no dtype.
_DTYPES = {'image': 'uint8', 'bbox': 'float32', 'class_label': 'uint32'}
# Deep Lake 4 gives the numbers of a list as floats, which hold whole numbers up to here.
_EXACT = 2**53


@dataclass(frozen=True)
class CopiedColumn(Column):
    """A column whose samples come out of a tensor.

    Args:
        adapt: Turns a sample as Deep Lake 4 reads it, which may be None, into what the column takes.
        is_image: Whether the samples are encoded images.
    """

    adapt: Callable[[Any], Any] = lambda value: value
    is_image: bool = False

    def check(self, value: Any) -> None:
        """Nothing to check: `adapt` gives the column's own type, and what is empty in format 3 stays empty."""

    def batch(self, values: Sequence[Any]) -> Any:
        """See `Column.batch`."""
        return np.array(values, self.value) if self.value and not self.ndim else values


def copied_column(tensor: Tensor, source: Any) -> CopiedColumn | str:
    """The column for a tensor, or the reason why there is none.

    Args:
        tensor: The tensor.
        source: Deep Lake's view of the rows, for the column's type and metadata.
    """
    htype = str(tensor.meta.get('htype') or 'generic')
    if tensor.meta.get('is_sequence') or htype in ('list', 'tag'):
        return 'sequences and lists, whose empty samples Deep Lake 4 cannot read'
    column = source[tensor.name]
    found = _of_htype(htype.partition('.')[0], tensor, source.schema[tensor.name].dtype, column)
    if found is None:
        return f'the htype {htype!r}, for which there is no column type'
    kind, value, ndim, adapt, is_image = found
    metadata = {**_metadata(column), **({'format': COCO_RLE} if htype == 'binary_mask' else {})}
    return CopiedColumn(tensor.name, kind, value, ndim, metadata, adapt=adapt, is_image=is_image)


def _of_htype(
    htype: str, tensor: Tensor, dtype: Any, column: Any
) -> tuple[Any, str, int, Callable[[Any], Any], bool] | None:
    """Column type, numpy dtype, dimensions of a sample, adapter, and whether it is an image."""
    number = str(tensor.meta.get('dtype') or _DTYPES.get(htype))
    if htype == 'image':
        compression = getattr(dtype, 'sample_compression', None) or 'png'
        return types.Image(dtype=number, sample_compression=compression), '', 0, bytes, True
    if htype == 'bbox':
        declared = declared_format(dtype, column)
        box_type = (
            types.BoundingBox(number, declared.mode.lower(), declared.type) if declared else types.BoundingBox(number)
        )
        return box_type, number, 2, lambda value: _array(value, number, 2).reshape(-1, 4), False
    if htype == 'class_label':
        return (
            types.ClassLabel(types.Array(number, 1)),
            number,
            1,
            lambda value: _array(value, number, 1).reshape(-1),
            False,
        )
    if htype == 'binary_mask':
        return types.Text(), '', 0, _run_lengths, False
    if htype == 'segment_mask':
        ndim = len(tensor.meta.get('max_shape') or ()) or 2
        kind = types.SegmentMask('uint32', sample_compression='lz4')
        return kind, 'uint32', ndim, lambda value: _array(_squeezed(value, ndim), 'uint32', ndim), False
    if htype == 'polygon':
        return types.Polygon(), '', 0, _polygons, False
    if htype == 'text':
        return types.Text(), '', 0, lambda value: value or '', False
    if htype == 'json':
        return types.Text(), '', 0, _json, False
    if htype in ('generic', 'keypoints_coco', 'point', 'instance_label', 'embedding') and number not in ('None', 'Any'):
        return _numbers(number, tensor)
    return None


def _numbers(number: str, tensor: Tensor) -> tuple[Any, str, int, Callable[[Any], Any], bool]:
    if tensor.is_scalar:
        return number, number, 0, lambda value: np.asarray(value, number).reshape(-1)[0], False
    ndim = max(1, len(tensor.meta.get('max_shape') or ()))
    return types.Array(number, ndim), number, ndim, lambda value: _array(value, number, ndim), False


def _array(value: Any, dtype: str, ndim: int) -> np.ndarray:
    """A sample of its column's dtype and dimensions; an empty one has no extent at all in format 3."""
    if value is None or (np.size(value) == 0 and np.ndim(value) != ndim):
        return np.zeros((0,) * ndim, dtype)
    return np.ascontiguousarray(value, dtype)


def _squeezed(value: Any, ndim: int) -> Any:
    """Deep Lake 4 adds a channel to masks that are stored as images."""
    extra = value is not None and value.ndim == ndim + 1 and value.shape[-1] == 1
    return value[..., 0] if extra else value


def _polygons(value: Any) -> Any:
    polygons = [np.ascontiguousarray(polygon, np.float32) for polygon in (() if value is None else value)]
    return polygons or np.zeros((0, 0, 2), np.float32)


def _run_lengths(bitmaps: np.ndarray | None) -> str:
    """A JSON list of one RLE for each layer of (H, W, N); (H, W) is one layer."""
    if bitmaps is None or not bitmaps.size:
        return '[]'
    return json.dumps(pack_bitmaps(bitmaps if bitmaps.ndim == 3 else bitmaps[..., None]), separators=(',', ':'))


def _json(value: Any) -> str:
    """The document as text, because Deep Lake 4 turns its numbers into arrays."""
    return '' if value is None else json.dumps(_document(value))


def _document(value: Any) -> Any:
    """A JSON document as Python holds it.

    Raises:
        ConversionError: A number may have been rounded.
    """
    if isinstance(value, list):
        return [_document(item) for item in value]
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, np.ndarray):  # an object of Deep Lake, whose text is the document
        return json.loads(str(value))
    number = value.item()
    if not isinstance(number, float) or not number.is_integer():
        return number
    if abs(number) >= _EXACT:
        raise ConversionError(
            f'convert_v3(src=) expected numbers below 2**53 in the lists of a json tensor, but got {number!r}, which '
            'Deep Lake 4 may have rounded. Leave the tensor out: without=[…], or --without on the command line.'
        )
    return int(number)


def _metadata(column: Any) -> Mapping[str, Any]:
    read = {key: column.metadata[key] for key in list(column.metadata.keys()) if key not in _NOT_KEPT}
    return {key: _plain(value) for key, value in read.items() if _plain(value) not in (None, [], {}, '')}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
