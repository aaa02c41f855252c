"""A COCO file as a source of rows: the numbers of the JSON file, as they are.

Boxes and areas are float64, as JSON's numbers are; ids are kept; rows follow ``images`` and instances follow
``annotations``. A label is the position of its category in ``categories``, whose ids lie in the column's metadata. What
else a file says is in columns and metadata of its own, see `deeplake_mmdet.convert.schema.coco_columns`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.convert.coco_checks import location_of
from deeplake_mmdet.convert.coco_fields import annotation_fields, dump_json, image_fields
from deeplake_mmdet.convert.coco_reading import read_coco
from deeplake_mmdet.convert.import_source import ImageEntry, ImportSource
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.ring_texts import TOKEN
from deeplake_mmdet.convert.schema import Column, coco_columns, coco_metadata, source_metadata
from deeplake_mmdet.convert.views import check_split_name, split_view
from deeplake_mmdet.errors import ConversionError, ImageReadError
from deeplake_mmdet.source.link_address import LinkAddress, shown


class CocoSource(ImportSource):
    """The images and annotations of a COCO file, which stays open; see `ImportSource`.

    Args:
        ann_file: The JSON file.
        images: The folder or URL of the images.
        split: The split of all of them.

    Raises:
        ConversionError: The file is malformed or missing.
    """

    def __init__(self, ann_file: str | Path, images: str | Path, split: str) -> None:
        self._split, self._root = check_split_name(split), _readable(os.fspath(images))
        self._file = read_coco(ann_file, self._root)
        self._labels = {category['id']: label for label, category in enumerate(self._file.categories)}
        self.owner = self._file.owner
        self.class_names = [category['name'] for category in self._file.categories]
        self.metadata = source_metadata('coco', ann_file) | coco_metadata(split, self._file.others)
        self.message = f'Convert COCO file {Path(ann_file).name}'
        self.views = {split: split_view(split, len(self._file))}
        self.fingerprint = hashlib.sha256(dump_json([self._file.digest, self._root, split]).encode()).hexdigest()

    def __enter__(self) -> CocoSource:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._file)

    def entry(self, position: int) -> ImageEntry:
        image = self._file.image(position)
        location = location_of(image, self._root, self.owner)
        height, width = (None if image.get(side) is None else int(image[side]) for side in ('height', 'width'))
        return ImageEntry(image['file_name'], location, image['id'], height, width, self._split)

    def columns(self, image: Sequence[Column]) -> list[Column]:
        return coco_columns(image, self._file.categories, **vars(self._file.contents))

    def values(self, position: int, size_hw: tuple[int, int], report: ConversionReport) -> dict[str, Any]:
        image, contents = self._file.image(position), self._file.contents
        entries, polygons = self._file.annotations(position, size_hw)
        found = instance_values(entries, self._labels, polygons)
        if contents.keypoints:
            found['keypoints'] = dump_json([entry.get('keypoints') for entry in entries])
        if contents.annotation_fields:
            columns = {'masks': contents.masks, 'keypoints': contents.keypoints}
            found['annotation_fields'] = dump_json([annotation_fields(entry, **columns) for entry in entries])
        return found | ({'image_fields': dump_json(image_fields(image))} if contents.image_fields else {})


def _readable(root: str) -> str:
    """Returns a folder, or a URL of a kind whose files can be read.

    Raises:
        ConversionError: It is a URL of another kind.
    """
    try:
        LinkAddress.parse(f'{root.rstrip("/")}/name')
    except ImageReadError as error:
        reason = str(error).replace('/name', '')
        raise ConversionError(
            f'convert_coco(images=) expected a folder or URL of images, but got {shown(root)!r}: {reason}.'
        ) from None
    return root


def instance_values(
    annotations: Sequence[Mapping[str, Any]], labels: Mapping[int, int], polygons: Sequence[str] = ()
) -> dict[str, Any]:
    """The per-instance values of one row that every COCO dataset may have.

    Args:
        annotations: Of one image, each a dict in the form of the COCO format.
        labels: The label of each category id.
        polygons: The segmentations as JSON texts that `ring_texts.TOKEN` stands for in `annotations`, in their order.

    Returns:
        For each column its value: boxes as left, top, width and height in pixels, float64, (N, 4); the others (N,);
        the masks as a JSON list.
    """

    def each(dtype: str, read: Callable[[Mapping[str, Any]], Any]) -> np.ndarray:
        return np.array([read(annotation) for annotation in annotations], dtype=dtype)

    return {
        'boxes': each('float64', itemgetter('bbox')).reshape(-1, 4),
        'categories': each('uint32', lambda annotation: labels[annotation['category_id']]),
        'areas': each('float64', itemgetter('area')),
        'iscrowd': each('uint8', lambda annotation: bool(annotation.get('iscrowd'))),
        'ignore': each('uint8', lambda annotation: bool(annotation.get('ignore'))),
        'ann_ids': each('int64', itemgetter('id')),
        'masks': f'[{",".join(_mask_texts(annotations, iter(polygons)))}]',
    }


def _mask_texts(annotations: Sequence[Mapping[str, Any]], polygons: Iterator[str]) -> Iterator[str]:
    for annotation in annotations:
        mask = annotation.get('segmentation')
        yield next(polygons) if mask == TOKEN else dump_json(mask)
