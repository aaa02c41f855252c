"""What the entries of a COCO file must be to be stored without loss; one that is not is named by its id.

The format is the one of https://cocodataset.org/#format-data. An annotation without ``area`` is refused, not given one:
``CocoDataset`` and pycocotools do not read such files either, and whether the area is that of the box or of the mask
decides which objects count as small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.coco_masks import first_fault
from deeplake_mmdet.convert.coco_fields import dump_json
from deeplake_mmdet.convert.images import check_name, safe_path
from deeplake_mmdet.convert.json_file import JsonFile
from deeplake_mmdet.errors import ConversionError

_LISTS = {'image_id': 'images', 'category_id': 'categories'}
_INT64 = 2**63  # -2**63 itself is refused: Deep Lake 4.7 crashes on metadata whose list starts with it


def check_ids(file: JsonFile, what: str, entries: Sequence[Mapping[str, Any]], first: int = 0) -> None:
    """Refuses entries without an id.

    Args:
        file: The annotation file.
        what: 'image', 'annotation' or 'category'.
        entries: Some entries of the list.
        first: Position of the first one in it.
    """
    for position, entry in enumerate(entries, start=first):
        if not _is_id(number := entry.get('id')):
            file.fail(f'an integer id for {what} number {position}', repr(number), 'Give each an id of its own')


def check_unique(file: JsonFile, what: str, ids: np.ndarray) -> None:
    """Refuses ids (int64, (n,)) that are given twice."""
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        file.fail(f'{what} ids to be unique', f'{values[counts > 1][0]} twice', 'Give each an id of its own')


def check_image(file: JsonFile, image: Mapping[str, Any], root: str) -> None:
    """Refuses names that lead out of a folder, and sizes that are none; a size that is missing will be measured.

    Args:
        file: The annotation file.
        image: An entry of its ``images``.
        root: The folder or URL that its name is relative to.
    """
    location_of(image, root, file.owner)
    if not is_text(image['file_name']):
        file.fail(
            f'image {image["id"]} to have a file_name of valid text', ascii(image['file_name']), 'Rename the file'
        )
    for key in ('height', 'width'):
        pixels = image.get(key)
        if pixels is not None and (not _is_number(pixels) or pixels != int(pixels) or not 0 < pixels < 2**31):
            file.fail(
                f'image {image["id"]} to have a positive integer {key}',
                repr(pixels),
                'Correct it, or remove it to have the image measured',
            )


def location_of(image: Mapping[str, Any], root: str, owner: str) -> str:
    """The path or URL of an image.

    Args:
        image: An entry of ``images``.
        root: The folder or URL that its name is relative to.
        owner: Who reads it, for messages.

    Raises:
        ConversionError: It is not below `root`.
    """
    name = image.get('file_name', '')
    if '://' not in root:
        return str(safe_path(root, name, owner))
    check_name(name, owner)
    return f'{root.rstrip("/")}/{name}'


def check_categories(file: JsonFile, categories: Sequence[Mapping[str, Any]]) -> None:
    """Refuses names that are none or not unique, and what metadata cannot hold."""
    seen = set()
    for category in categories:
        name, parent = category.get('name'), category.get('supercategory')
        if not isinstance(name, str) or not name or name in seen or not is_text(name):
            file.fail(f'category {category["id"]} to have a name of its own', ascii(name), 'Rename the category')
        if parent is not None and (not isinstance(parent, str) or not is_text(parent)):
            file.fail(
                f'category {category["id"]} to have a text as supercategory', ascii(parent), 'Correct or remove it'
            )
        check_fields(file, f'category {category["id"]}', category)
        seen.add(name)


def check_annotations(file: JsonFile, annotations: Sequence[Mapping[str, Any]]) -> None:
    """Refuses ids, numbers and flags that are none; not the segmentations, see `check_masks`."""
    if not _all_sound(annotations):
        for annotation in annotations:
            _check_annotation(file, annotation)


def _all_sound(annotations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `_check_annotation` refuses none of these, at the speed of built-in functions; False tells nothing."""
    try:
        boxes = [annotation['bbox'] for annotation in annotations]
        numbers = [*chain.from_iterable(boxes), *(annotation['area'] for annotation in annotations)]
        references = [annotation[key] for key in _LISTS for annotation in annotations]
        flags = {annotation.get(key) for key in ('iscrowd', 'ignore') for annotation in annotations}
        lists = {*map(type, boxes)} == {list} and {*map(len, boxes)} == {4}
        if not lists or not {*map(type, numbers)} <= {int, float} or {*map(type, references)} != {int}:
            return False
        values = np.array(numbers, np.float64)
    except (KeyError, TypeError, OverflowError):
        return False
    sizes, areas = values[: 4 * len(boxes)].reshape(-1, 4)[:, 2:], values[4 * len(boxes) :]
    small = np.abs(values) < 2**53  # NaN is not; 2**53 itself may be another number, rounded
    sound = small.all() and (sizes >= 0).all() and (areas >= 0).all() and flags <= {0, 1, None}
    ids = min(references) > -_INT64 and max(references) < _INT64
    return bool(sound) and ids and not any('keypoints' in annotation for annotation in annotations)


def _check_annotation(file: JsonFile, annotation: Mapping[str, Any]) -> None:
    name = f'annotation {annotation["id"]}'
    for key in _LISTS:
        if not _is_id(annotation.get(key)):
            refuse_reference(file, annotation['id'], key, annotation.get(key))
    bbox: Any = annotation.get('bbox')
    area: Any = annotation.get('area')
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        file.fail(f'{name} to have a bbox of 4 finite numbers', repr(bbox), 'Correct or remove the annotation')
    if bbox[2] < 0 or bbox[3] < 0:
        file.fail(
            f'{name} to have a bbox of left, top, width and height',
            f'a negative size, {bbox!r}',
            'Correct or remove the annotation: the corner must be the upper left one',
        )
    if not _is_number(area) or area < 0:
        file.fail(
            f'{name} to have a finite area of 0 or more',
            repr(area),
            'Evaluation needs it: give it the area of its mask or box',
        )
    for key in ('iscrowd', 'ignore'):
        if (flag := annotation.get(key)) is not None and not (isinstance(flag, int | float) and flag in (0, 1)):
            file.fail(f'{name} to have {key} 0 or 1', repr(flag), 'Correct or remove it')
    points = annotation.get('keypoints')
    if points is not None and (not isinstance(points, list) or len(points) % 3 or not all(map(_is_number, points))):
        file.fail(
            f'{name} to have keypoints of finite numbers x, y, v, x, y, v, …',
            f'{points!r:.80}',
            'Correct or remove them',
        )


def refuse_reference(file: JsonFile, ann_id: int, key: str, number: Any) -> None:
    """Refuses an annotation whose ``image_id`` or ``category_id`` leads nowhere."""
    kind = key.removesuffix('_id')
    file.fail(
        f'annotation {ann_id} to have the {key} of an entry of {_LISTS[key]!r}',
        repr(number),
        f'Add the {kind}, or remove the annotation',
    )


def check_masks(
    file: JsonFile, ids: Sequence[int], segmentations: Sequence[Any], size_hw: tuple[int, int] | None
) -> None:
    """Refuses segmentations that cannot be drawn.

    Args:
        file: The annotation file.
        ids: Of the annotations.
        segmentations: One an annotation.
        size_hw: Height and width of the image that they all are in; None where they are not known.
    """
    fault = first_fault(segmentations, size_hw)
    if fault is not None:
        raise ConversionError(
            f'{file.owner}: annotation {ids[fault[0]]} has a segmentation that cannot be drawn: {fault[1]}. '
            'Correct or remove the segmentation.'
        )


def check_fields(file: JsonFile, name: str, fields: Any) -> None:
    """Refuses what JSON has no word for, in fields that are kept as they are."""
    try:
        dump_json(fields)
    except (ValueError, RecursionError) as error:
        file.fail(f'{name} to hold what JSON can say', error, 'Correct or remove the field')


def is_text(text: str) -> bool:
    """Whether a text can be stored and printed: JSON allows half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_id(value: Any) -> bool:
    return type(value) is int and -_INT64 < value < _INT64


def _is_number(value: Any) -> bool:
    """Whether a JSON number is finite and survives in a float64."""
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) <= 2**53)
