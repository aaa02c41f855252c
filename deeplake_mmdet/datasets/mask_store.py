"""The masks of one dataset, by image: read with their sample, or a batch ahead in one call, never all at the start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.annotations.segmentations import segmentations
from deeplake_mmdet.errors import AnnotationError, ColumnError
from deeplake_mmdet.source.column_types import BITMAPS
from deeplake_mmdet.source.columns import MaskColumn, mask_columns
from deeplake_mmdet.source.handle import SourceHandle

# Rows of one read: a row of bitmaps takes megabytes, one of texts or polygons kilobytes.
_BITMAP_ROWS, _ROWS = 16, 1024


def no_masks(source: SourceHandle) -> ColumnError:
    """The error of a dataset none of whose columns is known to hold its masks."""
    candidates = mask_columns(source.selection())
    asked, named = 'A metric or the pipeline (with_mask=True) asks for masks', 'deeplake_tensors=dict(gt_masks=…)'
    if not candidates:
        return ColumnError(
            f'{asked}, but {source.revision} has no column of masks. Convert the dataset with its segmentations, or '
            f'name the column with {named}.'
        )
    return ColumnError(
        f'{asked}, and {source.revision} has {len(candidates)} that could hold them: '
        f'{", ".join(map(repr, candidates))}. Name one with {named}.'
    )


class MaskStore:
    """Masks of a dataset.

    Args:
        source: The dataset.
        column: Its column of masks.
        index: Its annotations.
    """

    def __init__(self, source: SourceHandle, column: MaskColumn, index: AnnotationIndex) -> None:
        self._source, self._column, self._index = source, column, index
        self._ahead: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_ahead': {}}

    def read_ahead(self, images: Iterable[int]) -> None:
        """Read a batch in one call; the following `of` of these images take their masks from it."""
        wanted = [int(image) for image in images]
        self._ahead = dict(zip(wanted, self._read(wanted), strict=True))

    def forget(self) -> None:
        """Drop what was read ahead."""
        self._ahead = {}

    def of(self, image: int, *, as_rings: bool = False) -> list[Any]:
        """Segmentations of all objects of one image of the index; see `segmentations`.

        Raises:
            AnnotationError: They cannot be drawn, or do not fit the boxes and the image.
            SourceError: The storage failed.
        """
        value = self._ahead[image] if image in self._ahead else self._read([image])[0]
        return self._segmentations(value, image, as_rings)

    def of_images(self, images: Sequence[int]) -> list[list[Any]]:
        """The same of many images, read in bulk; None also for a mask without a point."""
        step = _BITMAP_ROWS if self._column.kind in BITMAPS else _ROWS
        found: list[list[Any]] = []
        for start in range(0, len(images), step):
            some = images[start : start + step]
            masks = (
                self._segmentations(value, image, False) for value, image in zip(self._read(some), some, strict=True)
            )
            found += [[mask if mask and any(mask) else None for mask in row] for row in masks]
        return found

    def missing(self, image: int, objects: Iterable[int]) -> AnnotationError | None:
        """The error of the first of these objects of an image that has no mask; None if all have one."""
        masks = self.of(image)
        number = next((number for number in objects if not masks[number]), None)
        if number is None:
            return None
        return AnnotationError(
            f'{self._place(image)}, object {number}: expected a mask, because LoadAnnotations(with_mask=True) needs '
            'one of every object, but got none. Add it, remove the object, or leave the row out by a query.'
        )

    def _place(self, image: int) -> str:
        return f'Column {self._column.name!r}, row {int(self._index.rows[image])}'

    def _read(self, images: Sequence[int]) -> list[Any]:
        return self._source.read(self._column.name, self._index.rows[images].tolist())

    def _segmentations(self, value: Any, image: int, as_rings: bool) -> list[Any]:
        index = self._index
        objects = int(index.offsets[image + 1] - index.offsets[image])
        height, width = index.sizes[image].tolist()
        return segmentations(value, self._column.kind, objects, (height, width), self._place(image), as_rings=as_rings)
