"""Images that cannot be read: telling them from faults of a transform, and skipping them where that is wanted."""

from __future__ import annotations

import logging

import numpy as np
from mmengine.logging import print_log

from deeplake_mmdet.datasets.image_store import ImageStore
from deeplake_mmdet.errors import ImageReadError, SourceError
from deeplake_mmdet.source.images import decodes, size_of


class ImageFaults:
    """The policy of one dataset towards unreadable images.

    Args:
        images: The images.
        skip: Whether unreadable images are skipped and logged; else they raise.

    Attributes:
        skipped: Rows skipped so far in this process.
    """

    def __init__(self, images: ImageStore, *, skip: bool) -> None:
        self.skip = skip
        self.skipped: set[int] = set()
        self._images = images

    def note(self, row: int, error: ImageReadError) -> None:
        """Log a skipped row, once, and count it."""
        if row not in self.skipped:
            self.skipped.add(row)
            text = f'Skipped ({len(self.skipped)} so far in this process): {error}'
            print_log(text, logger='current', level=logging.WARNING)

    def decodes(self, row: int) -> bool:
        """Whether an image can be read and decoded; one that cannot is noted."""
        error = self.of(row)
        if error is not None:
            self.note(row, error)
        return error is None

    def of(self, row: int, error: Exception | None = None) -> ImageReadError | None:
        """The error of a row's image, or None if there is nothing wrong with it.

        Args:
            row: Row number.
            error: What a pipeline raised for this row, if it did.
        """
        if isinstance(error, ImageReadError):
            return error
        try:
            return None if decodes(self._images.get(row)) else self._images.reader.error(row, 'cannot be decoded')
        except ImageReadError as unreadable:
            return unreadable

    def complete_sizes(self, sizes: np.ndarray, rows: np.ndarray) -> None:
        """Fill in sizes that the column's headers do not know, from the headers of the images themselves.

        Args:
            sizes: Height and width, zeros where unknown, (N, 2); changed in place.
            rows: Their row numbers, (N,).

        Raises:
            ImageReadError: An image is unreadable and not to be skipped.
            SourceError: The storage failed.
        """
        unknown = np.flatnonzero((sizes <= 0).any(axis=1))
        found = self._images.reader.sizes(rows[unknown].tolist())
        for image, size in zip(unknown, found, strict=True):
            row = int(rows[image])
            try:
                sizes[image] = size or size_of(self._images.get(row))
            except SourceError:  # some of them are OSErrors too, and none is a fault of this image
                raise
            except OSError as error:
                if not self.skip:
                    raise self.of(row, error) or self._images.reader.error(row, 'has no size') from error
