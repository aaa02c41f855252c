"""Deep Lake to YOLO: a text file an image, with a line an object, and the data.yaml that Ultralytics trains from.

Numbers are written as Python writes a float64, so that what `convert_yolo` read comes out as it went in. Objects that
no training should see (crowd regions, difficult and ignored ones) have no word in the format, and are left out.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import yaml

from deeplake_mmdet.annotations.bitmaps import unpacked_rings
from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.config.tensor_roles import COCO_FRACTIONAL
from deeplake_mmdet.convert.export.joined_rings import joined
from deeplake_mmdet.convert.export.report import ExportReport
from deeplake_mmdet.convert.export.rows import ExportRow
from deeplake_mmdet.convert.export.run import DETECTION_ROLES, ExportFormat, Source, run_export
from deeplake_mmdet.convert.export.tree import ExportTree
from deeplake_mmdet.convert.yolo_file import SPLITS, SUFFIXES
from deeplake_mmdet.convert.yolo_labels import TOLERANCE
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import ConversionError

IGNORED = 'crowd regions, difficult and ignored objects, left out'
CLIPPED = 'objects that reached out of their image, clipped to it'
OUTSIDE = 'objects outside their image, left out'
NEGATIVE = 'boxes of negative size, left out'
JOINED = 'masks of several rings, joined into one polygon'
RECTANGLE = 'objects without a mask, written as the rectangle of their box'
RENAMED = 'images whose name got a suffix, by which Ultralytics finds them'
_STORED = BoxFormat('CCWH', 'fractional')
_FOLDERS = ('images', 'JPEGImages')  # whose files Ultralytics would look for labels of elsewhere


def export_yolo(dataset: Source, dst: str | os.PathLike, *, polygons: bool = False, **options: Any) -> ExportReport:
    """Writes a dataset as YOLO files: ``data.yaml``, ``images/<split>`` and ``labels/<split>``.

    Args:
        dataset: The path of a dataset, or the ``deeplake_*`` keys of one.
        dst: The folder to make.
        polygons: Whether objects are written as the polygons of their masks; by default as boxes.
        **options: See `deeplake_mmdet.convert.export.run.run_export`.

    Returns:
        What was written, and what YOLO could not say.

    Raises:
        ConversionError: As `run_export`; two images of a split have one name, or splits have other classes; polygons
            are asked for, and there are no masks.
        ConfigError, SourceError, ColumnError, AnnotationError, ImageReadError: The dataset cannot be read.
    """
    return run_export(dataset, dst, functools.partial(YoloFiles, polygons=polygons), **options)


class YoloFiles(ExportFormat):
    """A YOLO tree; see `ExportFormat`.

    Args:
        polygons: As of `export_yolo`.
    """

    def __init__(self, tree: ExportTree, report: ExportReport, *, polygons: bool) -> None:
        super().__init__(tree, report)
        self.masks = polygons
        self.roles = (*DETECTION_ROLES, 'gt_masks') if polygons else DETECTION_ROLES

    def begin(self, split: str, dataset: AnnotatedDataset) -> None:
        super().begin(split, dataset)
        self._split, self._index = split, dataset.index
        masks = dataset.columns.masks
        if self.masks and masks is None:
            raise ConversionError(
                f'export_yolo(polygons=) expected a column of masks in {dataset.source.revision}, but got none. Export '
                'boxes, or name the column with --tensors gt_masks=NAME (deeplake_tensors).'
            )
        if masks and not self.masks:
            self.report.remark('masks are left out: --polygons writes them')
        self._fractional = masks is not None and masks.kind == COCO_FRACTIONAL

    def write(self, row: ExportRow) -> None:
        name = self._name(row)
        stem = name.removesuffix(PurePosixPath(name).suffix)
        self.claim(stem, row)
        labels = ''.join(f'{line}\n' for line in self._lines(row))
        self.tree.write(f'labels/{self._split}', f'{stem}.txt', labels.encode(), row.where)
        if row.data is not None:
            self.tree.write(f'images/{self._split}', name, row.data, row.where)

    def finish(self, datasets: Mapping[str, AnnotatedDataset]) -> None:
        names = {rows.index.classes for rows in datasets.values()}
        if len(names) > 1:
            raise ConversionError(
                f'export_yolo(splits=) expected views of the same classes, but got {sorted(map(list, names))}. Name '
                'the classes that all of them have (--classes), or export them one by one.'
            )
        splits = sorted(datasets, key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))
        classes = dict(enumerate(names.pop()))
        document = {name: f'images/{name}' for name in splits} | {'nc': len(classes), 'names': classes}
        with self.tree.open('data.yaml') as file:
            yaml.safe_dump(document, file, sort_keys=False, allow_unicode=True)
        self.report.hint = f'yolo train data={os.path.join(self.tree.path, "data.yaml")}'
        if not {'train', 'val'} <= set(splits):
            self.report.remark(
                f'Ultralytics trains from a data.yaml with train and val, and this one has {", ".join(splits)}: export '
                'views of these names (--splits train val), or edit it'
            )

    def _name(self, row: ExportRow) -> str:
        """The name of an image below ``images/<split>``, without folders that are called so already."""
        parts = [part for part in PurePosixPath(row.file_name).parts if part not in _FOLDERS]
        name = '/'.join(parts[1:] if len(parts) > 1 and parts[0] == self._split else parts)
        if name.lower().endswith(SUFFIXES):
            return name
        self.report.note(RENAMED, row.file_name)
        return f'{name}{row.suffix}'

    def _lines(self, row: ExportRow) -> list[str]:
        """One line an object."""
        index = self._index
        kept = ~(index.crowd | index.difficult | index.ignored)[row.objects]
        self.report.note(IGNORED, row.file_name, int((~kept).sum()))
        objects = row.objects[kept]
        shapes = self._boxes(row, objects)
        if self.masks:
            masks = [mask for mask, keep in zip(row.masks(fractions=True), kept.tolist(), strict=True) if keep]
            shapes = [self._polygon(row, mask, box) for mask, box in zip(masks, shapes, strict=True)]
        labels = index.labels[objects]
        self.report.count(index.classes, labels[np.array([bool(shape) for shape in shapes], bool)])
        lines = zip(labels.tolist(), shapes, strict=True)
        return [' '.join([str(label), *map(repr, shape)]) for label, shape in lines if shape]

    def _boxes(self, row: ExportRow, objects: np.ndarray) -> list[list[float]]:
        """Centre x, centre y, width and height of each, as fractions; nothing for a box outside the image."""
        height, width = row.size_hw
        if self._index.box_format == _STORED:
            boxes = self._index.boxes[objects].astype(np.float64)
        else:
            left, top, wide, high = self._index.xywh(objects, row.image).T
            centred = np.stack([left + wide / 2, top + high / 2, wide, high], axis=-1)
            boxes = centred / [width, height, width, height]
        return [self._within(row, box) for box in boxes.tolist()]

    def _within(self, row: ExportRow, box: list[float]) -> list[float]:
        """A box in numbers that readers accept."""
        x, y, wide, high = box
        if wide < 0 or high < 0:
            self.report.note(NEGATIVE, row.file_name)
            return []
        if _acceptable(box):
            return box
        left, right = max(x - wide / 2, 0.0), min(x + wide / 2, 1.0)
        top, bottom = max(y - high / 2, 0.0), min(y + high / 2, 1.0)
        inside = left < right and top < bottom
        self.report.note(CLIPPED if inside else OUTSIDE, row.file_name)
        return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top] if inside else []

    def _polygon(self, row: ExportRow, mask: Any, box: list[float]) -> list[float]:
        """The mask of one object as ``[x, y, x, y, …]`` in fractions; of an object without one, its box."""
        rings = [ring for ring in (unpacked_rings(mask) if isinstance(mask, dict) else mask or []) if ring]
        if not rings:
            self.report.note(RECTANGLE, row.file_name, bool(box))
            return _corners(box)
        self.report.note(JOINED, row.file_name, len(rings) > 1)
        polygon = joined(rings) if len(rings) > 1 else rings[0]
        if not (self._fractional and isinstance(mask, list)):
            height, width = row.size_hw
            polygon = (np.reshape(polygon, (-1, 2)) / [width, height]).reshape(-1).tolist()
        if _acceptable(polygon):
            return polygon
        self.report.note(CLIPPED, row.file_name)
        return np.clip(polygon, 0, 1).tolist()


def _acceptable(numbers: Sequence[float]) -> bool:
    """Whether Ultralytics takes these numbers; it would leave out the image otherwise."""
    return min(numbers) >= -TOLERANCE and max(numbers) <= 1 + TOLERANCE


def _corners(box: list[float]) -> list[float]:
    """The rectangle of a box, clockwise from left and top; nothing for none."""
    if not box:
        return []
    x, y, wide, high = box
    left, top, right, bottom = x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
    return [left, top, right, top, right, bottom, left, bottom]
