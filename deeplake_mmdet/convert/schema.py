"""The columns of a detection dataset: what the converters write and the reader finds, said in one place.

Encoded images are stored as they are. Each per-instance column is ragged: a row holds one entry an instance, in the
order of the annotation file, and a row without instances holds an array of length 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from deeplake import types

from deeplake_mmdet.config.tensor_roles import COCO_SEGMENTATION
from deeplake_mmdet.convert.coco_fields import category_fields, dump_json

# Metadata `format` of the text columns of a COCO dataset that no training reads, and what the key of the dataset's
# metadata starts with that holds the other top-level keys of an annotation file.
COCO_KEYPOINTS, COCO_FIELDS, COCO_TOP_LEVEL = 'coco_keypoints', 'coco_fields', 'coco:'
_PLAIN: dict[str, type] = {'bytes': bytes, 'text': str}


@dataclass(frozen=True)
class Column:
    """One column and what a row must hold in it.

    Args:
        name: The column's name.
        type: Its Deep Lake type, or the name of a numpy dtype for a scalar.
        value: What a row's value is: 'bytes', 'text', or the name of the numpy dtype of its array.
        ndim: Dimensions of that array; 0 is a numpy scalar.
        metadata: The column's metadata, JSON-like.
        per_instance: Whether a row's value has one entry an instance: an array along its first axis, or a JSON list.
    """

    name: str
    type: Any
    value: str
    ndim: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    per_instance: bool = False

    def check(self, value: Any) -> None:
        """Raises TypeError when ``value`` is not exactly what the column stores (Deep Lake casts and corrupts)."""
        if self.value in _PLAIN:
            good, kind = isinstance(value, _PLAIN[self.value]) and bool(value), f'non-empty {self.value}'
        else:
            numeric = isinstance(value, np.ndarray | np.generic)
            good = numeric and (value.dtype, value.ndim) == (np.dtype(self.value), self.ndim)
            kind = f'a {self.ndim}-d {self.value} numpy value'
        if not good:
            raise TypeError(
                f'DatasetWriter.append({self.name}=) expected {kind}, but got {value!r:.80}. '
                f'Convert it to that type first.'
            )

    def batch(self, values: Sequence[Any]) -> Any:
        """The values of many rows in the form Deep Lake stores without loss: one array of scalars, or a list."""
        return values if self.value in _PLAIN or self.ndim else np.array(values, dtype=self.value)


def ragged(name: str, dtype: str) -> Column:
    """A column of one ``dtype`` number an instance."""
    return Column(name, types.Array(dtype, 1), dtype, 1, per_instance=True)


def json_list(name: str, text_format: str) -> Column:
    """A text column whose rows are JSON lists of one entry an instance, in the form that `text_format` names."""
    return Column(name, types.Text(), 'text', 0, {'format': text_format}, per_instance=True)


def image_columns(dtype: str = 'uint8', compression: str = 'jpeg') -> list[Column]:
    """The columns of the images themselves.

    Args:
        dtype: Of the decoded pixels, 'uint8' or 'uint16'.
        compression: 'jpeg' or 'png', what most of the images are.
    """
    return [
        Column('images', types.Image(dtype=dtype, sample_compression=compression), 'bytes'),
        Column('img_id', 'int64', 'int64'),
        Column('height', 'int32', 'int32'),
        Column('width', 'int32', 'int32'),
        Column('file_name', types.Text(), 'text'),
        Column('split', types.Text(), 'text'),
    ]


def image_values(data: bytes, img_id: int, size_hw: tuple[int, int], file_name: str, split: str) -> dict[str, Any]:
    """One row's values of :func:`image_columns`: encoded bytes, id, height and width in pixels, names."""
    return {
        'images': data,
        'img_id': np.int64(img_id),
        'height': np.int32(size_hw[0]),
        'width': np.int32(size_hw[1]),
        'file_name': file_name,
        'split': split,
    }


def source_metadata(source_format: str, *files: str | Path) -> dict[str, Any]:
    """The metadata of a converted dataset: the format and the names of the files that it was made from."""
    return {'source': {'format': source_format, 'files': [Path(file).name for file in files]}}


def box_columns(dtype: str, box_format: str, class_names: Sequence[str], **metadata: Any) -> list[Column]:
    """Boxes in pixels, their labels (positions in ``class_names``) and their areas in square pixels.

    Args:
        dtype: Of the boxes, 'float32' or 'float64'.
        box_format: 'ltwh' or 'ltrb'.
        class_names: The names, in label order.
        **metadata: More metadata of the column ``categories``.
    """
    labels = types.ClassLabel(types.Array('uint32', 1))
    return [
        Column('boxes', types.BoundingBox(dtype, box_format, 'pixel'), dtype, 2, per_instance=True),
        Column('categories', labels, 'uint32', 1, {'class_names': list(class_names), **metadata}, per_instance=True),
        ragged('areas', 'float64'),
    ]


def coco_columns(
    image: Sequence[Column],
    categories: Sequence[Mapping[str, Any]],
    *,
    ignore: bool = False,
    masks: bool = False,
    keypoints: bool = False,
    image_fields: bool = False,
    annotation_fields: bool = False,
) -> list[Column]:
    """The columns of a COCO dataset, from which the annotation file can be made again, see `coco_fields`.

    ===================  ========================================================================================
    column               what it holds of the file
    ===================  ========================================================================================
    images               the bytes of the image file, untouched
    img_id, file_name    ``id`` and ``file_name`` of the image
    height, width        as the image states them; measured, where it does not
    split                not of the file: the name of the saved view that the row was imported for
    image_fields         JSON object: every other field of the image (``license``, ``coco_url``, …)
    boxes, areas         ``bbox`` (left, top, width, height) and ``area`` of each annotation, as float64
    categories           position of its category in the file's ``categories``; the ids are in the metadata
    ann_ids, iscrowd     ``id``, and ``iscrowd`` as 0 or 1
    ignore               ``ignore`` as 0 or 1; 0 where there is none
    masks                JSON list: ``segmentation`` (rings or an RLE, with the file's own numbers), null for none
    keypoints            JSON list: ``keypoints`` ``[x, y, v, …]``, null for none
    annotation_fields    JSON list of objects: every other field of each annotation (``num_keypoints``, ``score``, …)
    ===================  ========================================================================================

    The metadata of ``categories`` is `category_metadata`; that of the dataset is `coco_metadata`.

    Args:
        image: The columns of the images, see :func:`image_columns`.
        categories: The ``categories`` of the annotation file, in its order.
        ignore: Whether any annotation is marked ``ignore``.
        masks: Whether any annotation has a segmentation that is not empty. Where none has, empty ones are
            ``annotation_fields``, so that a dataset of boxes does not look like one of masks.
        keypoints: Whether any annotation has a list of keypoints.
        image_fields: Whether any image has a field that no column holds.
        annotation_fields: Whether any annotation has one.
    """
    names = [category['name'] for category in categories]
    columns = [*image, *box_columns('float64', 'ltwh', names, **category_metadata(categories))]
    columns += [ragged('iscrowd', 'uint8'), ragged('ann_ids', 'int64')]
    columns += [ragged('ignore', 'uint8')] if ignore else []
    columns += [json_list('masks', COCO_SEGMENTATION)] if masks else []
    columns += [json_list('keypoints', COCO_KEYPOINTS)] if keypoints else []
    columns += [Column('image_fields', types.Text(), 'text', 0, {'format': COCO_FIELDS})] if image_fields else []
    return columns + ([json_list('annotation_fields', COCO_FIELDS)] if annotation_fields else [])


def category_metadata(categories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The metadata that the column ``categories`` has beside its class names, in label order.

    Returns:
        ``category_ids``; ``supercategories``, '' for none; and, if any category has another field (``keypoints``,
        ``skeleton``, …), ``category_fields``: a JSON text, a list of one object of such fields a category.
    """
    ids = [category['id'] for category in categories]
    parents = [category.get('supercategory') or '' for category in categories]
    fields = [category_fields(category) for category in categories]
    others = {'category_fields': dump_json(fields)} if any(fields) else {}
    return {'category_ids': ids, 'supercategories': parents, **others}


def coco_metadata(split: str, top_level: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a dataset that holds what is neither image nor annotation nor category of one annotation file.

    Args:
        split: Of the rows that came from the file; each file of a dataset has its own.
        top_level: All other top-level keys of the file (``info``, ``licenses``, …) and their values.

    Returns:
        ``{'coco:<split>': JSON text of top_level}``; nothing where there are no such keys.
    """
    return {f'{COCO_TOP_LEVEL}{split}': dump_json(dict(top_level))} if top_level else {}


def voc_columns(image: Sequence[Column], class_names: Sequence[str]) -> list[Column]:
    """The columns of a PASCAL VOC dataset."""
    flags = [ragged('difficult', 'uint8'), ragged('truncated', 'uint8')]
    return [*image, *box_columns('float32', 'ltrb', class_names), *flags]
