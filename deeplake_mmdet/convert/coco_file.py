"""A COCO annotation file, read whole and checked before anything is written.

What passes here can be stored without loss; what does not is named by its file and its id. The format is the one of
https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from deeplake_mmdet.annotations.coco_masks import first_fault
from deeplake_mmdet.errors import ConversionError

INT64 = 2**63  # -2**63 itself is refused: Deep Lake 4.7 crashes on metadata whose list starts with it


@dataclass(frozen=True)
class CocoFile:
    """A checked annotation file.

    Args:
        path: Of the file.
        images: Its ``images``, in order.
        categories: Its ``categories``, in order.
        annotations: For each image id, its annotations in the order of the file.
    """

    path: Path
    images: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    annotations: dict[int, list[dict[str, Any]]]

    def any_annotation(self, key: str) -> bool:
        """Whether any annotation has a truthy ``key``."""
        return any(annotation.get(key) for group in self.annotations.values() for annotation in group)

    def check_masks(self, image: Mapping[str, Any], size_hw: tuple[int, int] | None) -> None:
        """Refuses segmentations that cannot be drawn into their image.

        Args:
            image: One of `images`.
            size_hw: Its height and width in pixels; None where they are not known.

        Raises:
            ConversionError: It names the annotation.
        """
        annotations = self.annotations[image['id']]
        fault = first_fault([annotation.get('segmentation') for annotation in annotations], size_hw)
        if fault is not None:
            raise ConversionError(
                f'convert_coco(ann_file={str(self.path)!r}): annotation {annotations[fault[0]]["id"]} has a '
                f'segmentation that cannot be drawn: {fault[1]}. Correct or remove the segmentation.'
            )


def annotated_hw(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width that an entry of ``images`` states; None unless it states both."""
    height, width = image.get('height'), image.get('width')
    return None if height is None or width is None else (int(height), int(width))


def fail(path: Path, expected: str, got: Any, remedy: str) -> NoReturn:
    """Raises a ConversionError in the house form that names the annotation file."""
    raise ConversionError(f'convert_coco(ann_file={str(path)!r}) expected {expected}, but got {got}. {remedy}.')


def read_coco(path: str | Path) -> CocoFile:
    """Reads and checks an annotation file.

    Raises:
        ConversionError: When it cannot be read, is no JSON, or is not what the format says.
    """
    path = Path(path)
    document = _load(path)
    for key in ('images', 'annotations', 'categories'):
        entries = document.get(key) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            fail(
                path,
                f'a JSON object with a list of objects {key!r}',
                f'{type(entries).__name__}',
                'Give a COCO instances file; a set without boxes has an empty list of annotations',
            )
    if not document['images']:
        fail(path, 'at least one image', 'an empty list', 'Give a file with images')
    _check_categories(path, document['categories'])
    _check_ids(path, 'image', document['images'])
    _check_ids(path, 'annotation', document['annotations'])
    for image in document['images']:
        _check_size(path, image)
    coco = CocoFile(path, document['images'], document['categories'], _by_image(path, document))
    for image in coco.images:
        coco.check_masks(image, annotated_hw(image))
    return coco


def _load(path: Path) -> Any:
    try:
        with open(path, encoding='utf-8-sig') as file:
            return json.load(file)
    except OSError as error:
        fail(path, 'a readable file', error.strerror, 'Correct the path')
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        fail(path, 'a complete JSON document', error, 'The file is damaged or cut off there: get it again')


def _check_ids(path: Path, what: str, entries: Iterable[Mapping[str, Any]]) -> None:
    seen = set()
    for position, entry in enumerate(entries):
        number = entry.get('id')
        if type(number) is not int or not -INT64 < number < INT64:
            fail(path, f'an integer id for {what} number {position}', repr(number), 'Give each an id of its own')
        if number in seen:
            fail(path, f'{what} ids to be unique', f'{number} twice', 'Give each an id of its own')
        seen.add(number)


def _check_categories(path: Path, categories: list[dict[str, Any]]) -> None:
    _check_ids(path, 'category', categories)
    seen = set()
    for category in categories:
        name = category.get('name')
        if not isinstance(name, str) or not name or name in seen:
            fail(path, f'category {category["id"]} to have a name of its own', repr(name), 'Rename the category')
        if not isinstance(category.get('supercategory', ''), str):
            fail(
                path,
                f'category {category["id"]} to have a text as supercategory',
                repr(category['supercategory']),
                'Correct or remove it',
            )
        seen.add(name)


def _check_size(path: Path, image: Mapping[str, Any]) -> None:
    for key in ('height', 'width'):
        pixels = image.get(key)
        if pixels is not None and (not _is_number(pixels) or pixels != int(pixels) or not 0 < pixels < 2**31):
            fail(
                path,
                f'image {image["id"]} to have a positive integer {key}',
                repr(pixels),
                'Correct it, or remove it to have the image measured',
            )


def _by_image(path: Path, document: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    groups: dict[int, list[dict[str, Any]]] = {image['id']: [] for image in document['images']}
    known = {category['id'] for category in document['categories']}
    for annotation in document['annotations']:
        _check_annotation(path, annotation, groups, known)
        groups[annotation['image_id']].append(annotation)
    return groups


def _check_annotation(path: Path, annotation: Mapping[str, Any], images: Mapping[int, Any], known: set[int]) -> None:
    name = f'annotation {annotation["id"]}'
    for key, ids in (('image_id', images), ('category_id', known)):
        number = annotation.get(key)
        if type(number) is not int or number not in ids:
            kind = key.removesuffix('_id')
            fail(
                path,
                f'{name} to have the {key} of a {kind} in this file',
                repr(number),
                f'Add the {kind}, or remove the annotation',
            )
    bbox, area = annotation.get('bbox'), annotation.get('area')
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        fail(path, f'{name} to have a bbox of 4 finite numbers', repr(bbox), 'Correct or remove the annotation')
    if not _is_number(area):
        fail(path, f'{name} to have a finite area', repr(area), 'Evaluation needs it: add the area of its mask or box')


def _is_number(value: Any) -> bool:
    """Whether a JSON number is finite and survives in a float64."""
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) <= 2**53)
