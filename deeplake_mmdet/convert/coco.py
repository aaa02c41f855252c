"""COCO to Deep Lake, without loss: the numbers of the JSON file and the bytes of the image files, as they are.

Boxes and areas are float64, as JSON's numbers are; ids are kept; rows follow ``images`` and instances follow
``annotations``. A label is the position of its category in ``categories``, whose ids lie in the column's metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.convert import images as image_files
from deeplake_mmdet.convert.coco_file import CocoFile, annotated_hw, read_coco
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.schema import Column, coco_columns, image_columns, image_values, source_metadata
from deeplake_mmdet.convert.views import check_split_name, split_view
from deeplake_mmdet.convert.writer import DatasetWriter

Progress = Callable[[int, int], None]


def split_of(ann_file: str | Path) -> str:
    """The split that a file's name speaks of: 'train', 'val' or 'test' when it names one of them, else 'all'."""
    words = set(re.findall('train|val|test', Path(ann_file).stem.lower()))
    return words.pop() if len(words) == 1 else 'all'


def convert_coco(
    ann_file: str | Path,
    dst: str | Path,
    *,
    images: str | Path,
    split: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Makes a Deep Lake dataset from a COCO instances file and its images.

    Args:
        ann_file: The JSON file.
        dst: The dataset to make, a local folder or a URL.
        images: The folder that the file names in ``ann_file`` are relative to; nothing outside it is named.
        split: The name of the saved view that selects the rows; by default :func:`split_of` the file.
        overwrite: Replace a local Deep Lake dataset at ``dst``.
        progress: Called with the rows done and the rows in all.

    Returns:
        What was written and what was odd about it.

    Raises:
        ConversionError: When a file is malformed or missing, or ``dst`` may not be written; nothing is left at ``dst``.
    """
    destination = Destination(dst, overwrite=overwrite, sources=(ann_file, images))
    split = check_split_name(split_of(ann_file) if split is None else split)
    coco = read_coco(ann_file)
    owner = f'convert_coco(ann_file={str(ann_file)!r})'
    paths = [image_files.safe_path(images, image.get('file_name', ''), owner) for image in coco.images]
    columns = _columns(coco, image_columns(*image_files.scan_images(paths, owner)))
    report = ConversionReport(str(dst), [category['name'] for category in coco.categories])
    labels = {category['id']: label for label, category in enumerate(coco.categories)}
    with DatasetWriter(destination, columns, source_metadata('coco', ann_file)) as writer:
        for done, (image, path) in enumerate(zip(coco.images, paths, strict=True), start=1):
            data = image_files.read_image(path, owner)
            size_hw = image_files.annotated_size(image, data, path, owner, report)
            if annotated_hw(image) is None:
                coco.check_masks(image, size_hw)
            instances = instance_values(coco.annotations[image['id']], labels)
            report.count(image['file_name'], instances['boxes'], instances['categories'], size_hw)
            row = image_values(data, image['id'], size_hw, image['file_name'], split) | instances
            writer.append({column.name: row[column.name] for column in columns})
            if progress:
                progress(done, len(paths))
        report.views = {split: report.rows}
        writer.finish(f'Convert COCO file {Path(ann_file).name}', {split: split_view(split, report.rows)})
    return report


def _columns(coco: CocoFile, image: list[Column]) -> list[Column]:
    ignore, masks = coco.any_annotation('ignore'), coco.any_annotation('segmentation')
    return coco_columns(image, coco.categories, ignore=ignore, masks=masks)


def instance_values(annotations: Sequence[Mapping[str, Any]], labels: Mapping[int, int]) -> dict[str, Any]:
    """The per-instance values of one row.

    Args:
        annotations: Of one image, each a dict in the form of the COCO format.
        labels: The label of each category id.

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
        'masks': json.dumps([annotation.get('segmentation') for annotation in annotations], separators=(',', ':')),
    }
