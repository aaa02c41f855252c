"""The first look at a COCO annotation file: every entry is checked, and its id and place are kept."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.convert import coco_checks as checks
from deeplake_mmdet.convert.coco_fields import annotation_fields, image_fields
from deeplake_mmdet.convert.coco_file import CocoFile, Contents, Places
from deeplake_mmdet.convert.json_file import JsonFile
from deeplake_mmdet.convert.json_stream import Document, Elements, read_document, refuse_list
from deeplake_mmdet.convert.ring_texts import TOKEN

_LISTS = ('images', 'annotations', 'categories')
_PLAIN = {'id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation'}  # of annotations without fields
_LARGEST = 2**62  # of what is kept of the size of an RLE, which may be any number


def read_coco(path: str | Path, root: str) -> CocoFile:
    """Reads and checks an annotation file.

    Args:
        path: Of the file.
        root: The folder or URL of its images, of which no name may lead out.

    Raises:
        ConversionError: When it cannot be read, is no JSON, or is not what the format says.
    """
    file = JsonFile(path, f'convert_coco(ann_file={str(path)!r})')
    try:
        reading = _Reading(file, root)
        document = read_document(file, {name: getattr(reading, f'add_{name}') for name in _LISTS})
        return reading.finish(document)
    except BaseException:
        file.close()
        raise


class _Table:
    """Numbers of the entries of a list, which come batch by batch."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._batches: list[np.ndarray] = [np.zeros((len(names), 0), np.int64)]
        self.length = 0

    def add(self, *columns: Any) -> None:
        """Adds some entries: for each name their numbers."""
        self._batches.append(np.array(columns, np.int64))
        self.length += self._batches[-1].shape[1]

    def columns(self) -> dict[str, np.ndarray]:
        """All numbers by name, int64 (n,)."""
        whole = np.concatenate(self._batches, axis=1)
        return dict(zip(self._names, whole, strict=True))


class _Reading:
    def __init__(self, file: JsonFile, root: str) -> None:
        self._file, self._root = file, root
        self._images = _Table('ids', 'starts', 'ends', 'heights', 'widths')
        self._annotations = _Table('ids', 'starts', 'ends', 'images', 'categories', 'rle_heights', 'rle_widths')
        self._categories: list[dict[str, Any]] = []
        self._seen: set[str] = set()  # what `Contents` and `_contents` ask for

    def add_images(self, batch: Elements) -> None:
        """Takes some of the ``images``."""
        checks.check_ids(self._file, 'image', batch.values, self._images.length)
        for image in batch.values:
            checks.check_image(self._file, image, self._root)
            if fields := image_fields(image):
                checks.check_fields(self._file, f'image {image["id"]}', fields)
                self._seen.add('image_fields')
        ids = [image['id'] for image in batch.values]
        sizes = ([image.get(side) or 0 for image in batch.values] for side in ('height', 'width'))
        self._images.add(ids, batch.starts, batch.ends, *sizes)

    def add_categories(self, batch: Elements) -> None:
        """Takes some of the ``categories``, from the file itself: they are kept, polygons and all."""
        places = zip(batch.starts.tolist(), batch.ends.tolist(), strict=True)
        self._categories += [json.loads(self._file.read(*place).decode('utf-8')) for place in places]

    def add_annotations(self, batch: Elements) -> None:
        """Takes some of the ``annotations``."""
        values = batch.values
        checks.check_ids(self._file, 'annotation', values, self._annotations.length)
        checks.check_annotations(self._file, values)
        ids = [annotation['id'] for annotation in values]
        masks = [annotation.get('segmentation') for annotation in values]
        checks.check_masks(self._file, ids, [None if mask == TOKEN else mask for mask in masks], None)
        rle_sizes = [_rle_size(mask) for mask in masks]
        images, categories = ([annotation[key] for annotation in values] for key in ('image_id', 'category_id'))
        self._annotations.add(ids, batch.starts, batch.ends, images, categories, *zip(*rle_sizes, strict=True))
        self._note(values, masks)

    def _note(self, annotations: list[dict[str, Any]], masks: list[Any]) -> None:
        keys = {*map(tuple, annotations)}
        flags = {type(annotation.get('iscrowd')) for annotation in annotations}
        plain = _PLAIN.issuperset(chain(*keys)) and flags == {int} and None not in masks
        for annotation in () if plain else annotations:
            if fields := annotation_fields(annotation, masks=True, keypoints=True):
                checks.check_fields(self._file, f'annotation {annotation["id"]}', fields)
                self._seen.add('annotation_fields')
        for key in ('ignore', 'segmentation', 'keypoints'):
            values = [annotation.get(key) for annotation in annotations]
            self._seen.update([key] if any(values) else [])
            self._seen.update([f'no {key}'] if [] in values else [])

    def _contents(self) -> Contents:
        seen = self._seen
        unplaced = any({f'no {key}', key} & seen == {f'no {key}'} for key in ('segmentation', 'keypoints'))
        return Contents(
            ignore='ignore' in seen,
            masks='segmentation' in seen,
            keypoints='keypoints' in seen,
            image_fields='image_fields' in seen,
            annotation_fields='annotation_fields' in seen or unplaced,
        )

    def finish(self, document: Document) -> CocoFile:
        """Checks what takes the whole file."""
        file, images, annotations = self._file, self._images.columns(), self._annotations.columns()
        for key in _LISTS:
            if key not in document.counts:
                refuse_list(file, key, 'none')
        if not document.counts['images']:
            file.fail('at least one image', 'an empty list', 'Give a file with images')
        if not document.counts['categories']:
            file.fail('at least one category', 'an empty list', 'Add the classes: nothing trains on a set without any')
        checks.check_fields(file, 'each top-level key', document.others)
        checks.check_ids(file, 'category', self._categories)
        checks.check_categories(file, self._categories)
        categories = np.array([category['id'] for category in self._categories], np.int64)
        for what, ids in (('category', categories), ('image', images['ids']), ('annotation', annotations['ids'])):
            checks.check_unique(file, what, ids)
        position = _positions(annotations['images'], images['ids'])
        self._check_references(annotations, 'image_id', annotations['images'], position)
        label = _positions(annotations['categories'], categories)
        self._check_references(annotations, 'category_id', annotations['categories'], label)
        self._check_sizes(images, annotations, position)
        order = np.argsort(position, kind='stable')
        return CocoFile(
            file,
            categories=self._categories,
            others=document.others,
            contents=self._contents(),
            digest=document.digest,
            images=Places(images['starts'], images['ends']),
            annotations=Places(annotations['starts'][order], annotations['ends'][order]),
            firsts=np.searchsorted(position[order], np.arange(len(images['ids']) + 1)),
        )

    def _check_references(
        self, annotations: dict[str, np.ndarray], key: str, numbers: np.ndarray, positions: np.ndarray
    ) -> None:
        lost = np.flatnonzero(positions < 0)
        if len(lost):
            ann_id, number = annotations['ids'][lost[0]], numbers[lost[0]]
            checks.refuse_reference(self._file, int(ann_id), key, int(number))

    def _check_sizes(
        self, images: dict[str, np.ndarray], annotations: dict[str, np.ndarray], position: np.ndarray
    ) -> None:
        """Refuses run lengths of another size than their image states."""
        stated = np.stack([images['heights'], images['widths']], axis=1)[position]
        sizes = np.stack([annotations['rle_heights'], annotations['rle_widths']], axis=1)
        wrong = np.flatnonzero((sizes[:, 0] >= 0) & stated.all(axis=1) & (sizes != stated).any(axis=1))
        if len(wrong):
            first = wrong[0]
            place = (int(annotations[key][first]) for key in ('starts', 'ends'))
            mask = json.loads(self._file.read(*place).decode('utf-8'))['segmentation']
            checks.check_masks(self._file, [int(annotations['ids'][first])], [mask], tuple(stated[first].tolist()))


def _rle_size(mask: Any) -> tuple[int, int]:
    """Height and width that run lengths state; -1 for what is none."""
    return (min(mask['size'][0], _LARGEST), min(mask['size'][1], _LARGEST)) if type(mask) is dict else (-1, -1)


def _positions(numbers: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Where in `ids` each number is, int64 (n,); -1 for what is not there."""
    if not len(ids):
        return np.full(len(numbers), -1)
    order = np.argsort(ids)
    found = order[np.minimum(np.searchsorted(ids, numbers, sorter=order), len(ids) - 1)]
    return np.where(ids[found] == numbers, found, -1)
