"""What the columns of a COCO dataset do not say of an object of the annotation file, and how the object is made again.

The columns hold numbers, and a number for every object. What a file has beyond that is kept as one JSON object of
*fields* for each image, annotation and category: fields that no column is for, values that a column cannot hold as they
are (``"iscrowd": true``), and `ABSENT` in place of a value that a column holds though the file has none. The fields of
the plain case are empty. An object is made again as `with_fields` of what the columns say, its *base*
(:func:`image_base`, :func:`annotation_base`, :func:`category_base`), and of its fields. It equals that of the file,
though a number may be written as ``5.0`` that was ``5``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = 'absent'  # unmistakable: the fields that it stands in for never are texts
_IMAGE, _CATEGORY = {'id', 'file_name', 'height', 'width'}, {'id', 'name', 'supercategory'}
_ANNOTATION = {'id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'ignore', 'segmentation', 'keypoints'}


def dump_json(value: Any) -> str:
    """A JSON text in ASCII, without spaces.

    Raises:
        ValueError: There is NaN or infinity in it, which JSON has no word for.
    """
    return json.dumps(value, separators=(',', ':'), allow_nan=False)


def image_base(img_id: int, file_name: str, height: int, width: int) -> dict[str, Any]:
    """What the columns say of an image, height and width in pixels."""
    return {'id': img_id, 'file_name': file_name, 'height': height, 'width': width}


def image_fields(image: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one image of a file: all but what `image_base` has, and a size that is not stated."""
    sizes = {key: image.get(key, ABSENT) for key in ('height', 'width')}
    unstated = {key: value for key, value in sizes.items() if value in (None, ABSENT)}
    return {key: value for key, value in image.items() if key not in _IMAGE} | unstated


def annotation_base(
    ann_id: int,
    image_id: int,
    category_id: int,
    bbox: Sequence[float],
    area: float,
    iscrowd: int,
    ignore: int = 0,
    segmentation: Any = None,
    keypoints: Any = None,
) -> dict[str, Any]:
    """What the columns say of an annotation; of the last three, only those that are neither 0 nor None.

    Args:
        ann_id: Its id.
        image_id: The id of its image.
        category_id: The id, not the label, of its category.
        bbox: Left, top, width and height in pixels.
        area: In square pixels.
        iscrowd: 0 or 1.
        ignore: 0 or 1; 0 where there is no such column.
        segmentation: Rings, an RLE, or None; None where there is no such column.
        keypoints: A list of numbers or None; None where there is no such column.
    """
    base = {'id': ann_id, 'image_id': image_id, 'category_id': category_id, 'bbox': list(bbox), 'area': area}
    base['iscrowd'] = iscrowd
    base |= {'ignore': ignore} if ignore else {}
    base |= {'segmentation': segmentation} if segmentation is not None else {}
    return base | ({'keypoints': keypoints} if keypoints is not None else {})


def annotation_fields(annotation: Mapping[str, Any], *, masks: bool, keypoints: bool) -> dict[str, Any]:
    """The fields of one annotation of a file.

    Args:
        annotation: In the form of the COCO format.
        masks: Whether there is a column of masks; without one, an empty mask is a field.
        keypoints: Whether there is a column of keypoints; without one, empty keypoints are a field.
    """
    fields = {key: value for key, value in annotation.items() if key not in _ANNOTATION}
    iscrowd = annotation.get('iscrowd', ABSENT)
    if not _is_number(iscrowd):
        fields['iscrowd'] = iscrowd
    if 'ignore' in annotation and not (annotation['ignore'] and _is_number(annotation['ignore'])):
        fields['ignore'] = annotation['ignore']
    for key, in_column in (('segmentation', masks), ('keypoints', keypoints)):
        if key in annotation and (annotation[key] is None or not in_column):
            fields[key] = annotation[key]
    return fields


def category_base(category_id: int, name: str, supercategory: str) -> dict[str, Any]:
    """What the metadata of the column says of a category; a supercategory only where it is not ''."""
    return {'id': category_id, 'name': name} | ({'supercategory': supercategory} if supercategory else {})


def category_fields(category: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one category of a file: all but what `category_base` has, and a supercategory of '' or null."""
    unsaid = {'supercategory'} if not category.get('supercategory') else set()
    return {key: value for key, value in category.items() if key not in _CATEGORY - unsaid}


def with_fields(base: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The object of the annotation file.

    Args:
        base: What the columns say of it.
        fields: What they do not.
    """
    gone = {key for key in base if fields.get(key) == ABSENT}
    return {key: value for key, value in {**base, **fields}.items() if key not in gone}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
