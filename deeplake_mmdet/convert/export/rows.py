"""The rows of one split, for every format: annotations from the index, images and further columns a batch at a time.

The annotations of all rows are arrays in memory, as in training (a few hundred megabytes for a million images), and
were checked when they were read; of masks, images and further columns there is a batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.segmentations import segmentations
from deeplake_mmdet.config.tensor_roles import COCO_FRACTIONAL, COCO_SEGMENTATION
from deeplake_mmdet.convert.export.further_columns import FILE_NAME, format_of
from deeplake_mmdet.convert.image_header import kind_of_image
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import AnnotationError

BATCH = 16  # images, of a few megabytes at most usually
_SUFFIXES = {'jpeg': '.jpg', 'png': '.png', 'png16': '.png', 'tiff': '.tif', 'jpeg2000': '.jp2'}


@dataclass(frozen=True)
class ExportRow:
    """One image and what is said of it.

    Attributes:
        image: Its place in the index.
        where: Names its row, for messages.
        file_name: As the dataset has it; made of the split and the number of the row, where it has none.
        data: The encoded image; None where images are not exported.
        objects: Its objects in the index, those of the classes that are exported; int64 (m,).
        places: The same counted from the first object of the image.
        cells: The values of the further columns.
        dataset: What it is a row of.
    """

    image: int
    where: str
    file_name: str
    data: bytes | None
    objects: np.ndarray
    places: np.ndarray
    dataset: AnnotatedDataset = field(repr=False)
    cells: dict[str, Any] = field(default_factory=dict)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.dataset.index.sizes[self.image].tolist()
        return height, width

    @property
    def suffix(self) -> str:
        """The suffix that the name of the image has by rights: that of its format."""
        return _suffix(self.data, self.dataset)

    def masks(self, *, fractions: bool = False) -> list[Any]:
        """The segmentation of each of `objects`, None for none; a list of rings, or an RLE.

        Args:
            fractions: Whether rings that the dataset has as fractions of the image's size stay so.
        """
        column = self.dataset.columns.masks
        if column is None:
            return [None] * len(self.objects)
        kind = COCO_SEGMENTATION if fractions and column.kind == COCO_FRACTIONAL else column.kind
        found = segmentations(self.cells[column.name], kind, self._count, self.size_hw, self.where)
        return [found[place] for place in self.places.tolist()]

    def each(self, column: str) -> list[Any]:
        """One entry of a JSON list for each of `objects`; None for all, where the column was not read.

        Raises:
            AnnotationError: The row holds no such list.
        """
        if column not in self.cells:
            return [None] * len(self.objects)
        found = self._parsed(column)
        if not isinstance(found, list) or len(found) != self._count:
            raise self._malformed(column, f'list of {self._count} entries, one a box,')
        return [found[place] for place in self.places.tolist()]

    def fields(self, column: str) -> dict[str, Any]:
        """What a JSON object of the row says; an empty one, where the column was not read.

        Raises:
            AnnotationError: The row holds none.
        """
        found = self._parsed(column) if column in self.cells else {}
        if not isinstance(found, dict):
            raise self._malformed(column, 'object')
        return found

    @property
    def _count(self) -> int:
        """Number of all objects of the image."""
        return int(np.diff(self.dataset.index.offsets[self.image : self.image + 2])[0])

    def _parsed(self, column: str) -> Any:
        try:
            return json.loads(self.cells[column])
        except (TypeError, ValueError, RecursionError):
            return None

    def _malformed(self, column: str, expected: str) -> AnnotationError:
        return AnnotationError(
            f'{self.where}: expected a JSON {expected} in {column!r}, but got {self.cells[column]!r:.60}. Correct the '
            'row, or leave it out by a query.'
        )


def export_rows(
    dataset: AnnotatedDataset, split: str, *, texts: Mapping[str, str], masks: bool, images: bool
) -> Iterator[ExportRow]:
    """All rows, in their order.

    Args:
        dataset: The selected rows.
        split: What they are called, for the names of images that have none.
        texts: Further columns of JSON to read, where there are such: the ``format`` in their metadata, by name.
        masks: Whether masks are needed.
        images: Whether encoded images are.

    Raises:
        ImageReadError, SourceError: An image or a column cannot be read.
    """
    names = [name for name, form in texts.items() if format_of(dataset, name) == form]
    names += [FILE_NAME] if FILE_NAME in dataset.column_names() else []
    names += [dataset.columns.masks.name] if masks and dataset.columns.masks else []
    # Sizes from headers ignore how an image is turned, and its kind names a file without a name: both need its bytes.
    must_read = images or dataset.images.sizes_from_headers or FILE_NAME not in names
    for start in range(0, len(dataset), BATCH):
        some = range(start, min(start + BATCH, len(dataset)))
        rows = dataset.index.rows[some.start : some.stop].tolist()
        read = {name: dataset.source.read(name, rows) for name in names}
        if must_read:
            dataset.images.read_ahead(rows)
        for place, image in enumerate(some):
            data = dataset.images.get(rows[place]) if must_read else None
            cells = {name: values[place] for name, values in read.items()}
            yield _row(dataset, split, image, data, cells, keep=images)
        dataset.images.forget()


def _row(
    dataset: AnnotatedDataset, split: str, image: int, data: bytes | None, cells: dict[str, Any], *, keep: bool
) -> ExportRow:
    index = dataset.index
    start, stop = index.offsets[image], index.offsets[image + 1]
    places = np.flatnonzero(index.labels[start:stop] >= 0)
    number = int(index.rows[image])
    return ExportRow(
        image=image,
        where=f'split {split!r}, row {number}',
        file_name=_text(cells.get(FILE_NAME)) or f'{split}_{number:06}{_suffix(data, dataset)}',
        data=data if keep else None,
        objects=start + places,
        places=places,
        dataset=dataset,
        cells=cells,
    )


def _text(value: Any) -> str | None:
    """A cell of a column of names; format 3 has each as an array of one."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value if isinstance(value, str) else None


def _suffix(data: bytes | None, dataset: AnnotatedDataset) -> str:
    """The suffix that the name of an encoded image has."""
    kind = kind_of_image(data or b'') or dataset.columns.image.extension
    return _SUFFIXES.get(kind, f'.{kind}')
