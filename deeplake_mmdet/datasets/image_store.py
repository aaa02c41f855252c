"""The images of one dataset, by row: read one by one, or a batch ahead in one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deeplake_mmdet.datasets import image_uri
from deeplake_mmdet.errors import ImageReadError
from deeplake_mmdet.source.images import ImageReader, swaps_axes


class ImageStore:
    """Encoded images of a dataset.

    Args:
        reader: Reads the image column.
        sizes_from_headers: Whether heights and widths came from chunk headers, which ignore EXIF orientations, while
            decoders obey them.

    Attributes:
        key: The `<source>` part of its images' paths.
        reads: Number of images read so far in this process.
    """

    def __init__(self, reader: ImageReader, *, sizes_from_headers: bool) -> None:
        self.reader = reader
        self.sizes_from_headers = sizes_from_headers
        self.key = image_uri.source_key(reader.handle.revision, reader.column.name)
        self.reads = 0
        self._ahead: dict[int, bytes | ImageReadError] = {}
        image_uri.register(self.key, self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_ahead': {}, 'reads': 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        image_uri.register(self.key, self)

    def uri(self, row: int) -> str:
        """Path of one image, for ``data_info['img_path']``."""
        column = self.reader.column
        return image_uri.make_uri(self.key, column.name, row, column.extension)

    def read_ahead(self, rows: Iterable[int]) -> None:
        """Read a batch in one call; the following `get` of these rows take their bytes from it."""
        wanted = [int(row) for row in rows]
        self.reads += len(wanted)
        self._ahead = dict(zip(wanted, self.reader.encoded(wanted), strict=True))

    def forget(self) -> None:
        """Drop what was read ahead."""
        self._ahead = {}

    def holds(self, row: int) -> bool:
        """Whether a row was read ahead."""
        return row in self._ahead

    def get(self, row: int) -> bytes:
        """Encoded bytes of one image.

        Raises:
            ImageReadError: The image is missing or damaged.
            SourceError: The storage failed.
        """
        found = self._ahead.get(row)
        if found is None:
            self.reads += 1
            found = self.reader.encoded([row])[0]
        if isinstance(found, ImageReadError):
            raise found
        if self.sizes_from_headers and swaps_axes(found):
            raise self.reader.error(
                row,
                'is turned on its side by its EXIF orientation, so height, width and boxes are ambiguous (columns '
                "'height' and 'width' would settle it)",
            )
        return found
