"""The row of one image: what its annotations say and what was read of it, checked against each other and counted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.boxes import to_xywh
from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.convert.added_to import blank
from deeplake_mmdet.convert.images import Picture, check_size, differs, is_url
from deeplake_mmdet.convert.import_source import ImageEntry, ImportSource
from deeplake_mmdet.convert.instances import select_instances
from deeplake_mmdet.convert.options import ImportOptions
from deeplake_mmdet.convert.report import DROPPED, MEASURED, ConversionReport
from deeplake_mmdet.convert.schema import Column, image_values
from deeplake_mmdet.source.column_types import declared_format


class ImportRows:
    """Makes the rows of one import.

    Args:
        source: Of the annotations.
        options: Of the import.
        columns: Of the dataset.
        report: Where each row is counted.
        first_id: Of images that have no id of their own.
    """

    def __init__(
        self,
        source: ImportSource,
        options: ImportOptions,
        columns: Sequence[Column],
        report: ConversionReport,
        first_id: int,
    ) -> None:
        self._source, self._options, self._columns, self._report = source, options, columns, report
        self._first_id = first_id if source.numbered else 0
        boxes = next(column for column in columns if column.name == 'boxes')
        self._box_format = declared_format(boxes.type, boxes) or BoxFormat()

    def size(self, entry: ImageEntry, picture: Picture) -> tuple[tuple[int, int], str | None]:
        """Height and width in pixels to be stored, and the oddity of an image whose own size is another one.

        Raises:
            ImageFault: The image has another size than annotated, and options do not say to take it.
        """
        said = (entry.height, entry.width)
        found = picture.size_hw
        if found is None:  # linked to, and annotated with its size
            return (int(entry.height or 0), int(entry.width or 0)), None
        if self._options.sizes == 'annotated':
            check_size(said, found, entry.file_name, self._source.owner)
        return found, MEASURED if differs(said, found) else None

    def row(self, position: int, entry: ImageEntry, size_hw: tuple[int, int], data: bytes) -> dict[str, Any]:
        """One row, which is counted in the report.

        Args:
            position: Of the image.
            entry: Of the image.
            size_hw: Its height and width in pixels.
            data: Its encoded bytes.

        Raises:
            ConversionError: The annotations do not fit the image; or they are odd, and the report is strict.
        """
        image = image_values(data, entry.img_id + self._first_id, size_hw, entry.file_name, entry.split)
        row = image | self._source.values(position, size_hw, self._report)
        if self._options.link:
            row['images'] = entry.location if is_url(entry.location) else os.path.abspath(entry.location)
        for column in self._columns:
            if column.name not in row:
                row[column.name] = blank(column, len(row['boxes']))
        row = {column.name: row[column.name] for column in self._columns}
        return self._counted(row, entry.file_name, size_hw)

    def _counted(self, row: dict[str, Any], name: str, size_hw: tuple[int, int]) -> dict[str, Any]:
        ltwh = row['boxes']
        if self._box_format != BoxFormat():
            ltwh = to_xywh(ltwh, self._box_format, np.tile(size_hw, (len(ltwh), 1)))
        ids = row.get('ann_ids')
        if self._options.zero_area == 'drop':
            empty = (ltwh[:, 2:] == 0).any(1) & (ltwh[:, 2:] >= 0).all(1)
            if empty.any():
                self._report.note_boxes(DROPPED, name, empty, row['categories'], ids)
                row, ltwh = select_instances(row, self._columns, ~empty), ltwh[~empty]
                ids = row.get('ann_ids')
        self._report.count(name, ltwh, row['categories'], size_hw, areas=row.get('areas'), ids=ids)
        return row
