"""Encoded images out of a Deep Lake column, as a file would hold them.

Compressed columns give the stored bytes untouched, so decoding them gives the pixels that the file gives; links give
the bytes that they lead to. Columns of plain pixels are wrapped losslessly on the way out (BMP, or PNG for 16 bits).
What is no image is named, never passed on: damaged storage reads as zeros without an error.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from deeplake_mmdet.config.link_credentials import LinkCredentials
from deeplake_mmdet.errors import DeepLakeMMDetError, ImageReadError
from deeplake_mmdet.source.columns import ImageColumn
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.links import LinkReader

_SIGNATURES = (b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'BM', b'GIF8', b'II*\0', b'MM\0*', b'RIFF', b'P5', b'P6')
# Where a JPEG or PNG image keeps an orientation, and the orientations that turn it by 90 degrees.
_SIZED, _ORIENTED, _ON_ITS_SIDE = (b'\xff\xd8', b'\x89P'), (b'Exif\0\0', b'eXIf'), (5, 6, 7, 8)
# What an undamaged image ends with, some cameras' padding aside.
_ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'IEND\xaeB`\x82', b'GI': b';'}
_ZEROS = bytes(16)
# Bytes of a file that nearly always tell an image's size, and how many files are asked for them in one call.
_HEAD, _HEADS = 2**16, 512


class ImageReader:
    """Reads encoded images of one column.

    Args:
        handle: The dataset.
        column: Its image column.
    """

    def __init__(self, handle: SourceHandle, column: ImageColumn) -> None:
        self.handle = handle
        self.column = column
        self._links: LinkReader | None = None

    @property
    def follows_links(self) -> bool:
        """Whether images are behind links that Deep Lake does not follow by itself."""
        return self.column.is_link and self.handle.revision.format != 3

    def encoded(self, rows: Sequence[int]) -> list[bytes | ImageReadError]:
        """Encoded bytes of several images, in one call of Deep Lake's engine, and one round of links.

        Args:
            rows: Row numbers.

        Returns:
            One item a row: the bytes, or the error that this row's image has.

        Raises:
            SourceError: The storage failed, that of the dataset or that behind the links.
            ConfigError: Nobody gives the credentials that the links need.
        """
        values = self.behind_links(rows) if self.follows_links else self.handle.read(self.column.name, rows)
        return [self.checked(value, row) for value, row in zip(values, rows, strict=True)]

    def sizes(self, rows: Sequence[int]) -> list[tuple[int, int] | None]:
        """Heights and widths, as stored, of images behind links, as far as the beginnings of their files tell them.

        Args:
            rows: Row numbers.

        Returns:
            One item a row; None where the whole image has to be looked at.

        Raises:
            SourceError, ConfigError: As `encoded`.
        """
        if not self.follows_links:
            return [None] * len(rows)
        spans = [rows[start : start + _HEADS] for start in range(0, len(rows), _HEADS)]
        return [_size_in(head) for span in spans for head in self.behind_links(span, _HEAD)]

    def links(self, rows: Sequence[int]) -> list[str]:
        """The links of some rows of a column of links; an empty text where there is none."""
        values = self.handle.read(self.column.name, rows)
        return [bytes(value or b'').decode('utf-8', 'surrogateescape') for value in values]

    def behind_links(self, rows: Sequence[int], stop: int | None = None) -> list[bytes | ImageReadError | None]:
        """What the links of some rows lead to, unchecked.

        Args:
            rows: Row numbers.
            stop: Only the first bytes of each, at most this many.

        Returns:
            One item a row; None where there is no link.

        Raises:
            SourceError, ConfigError: As `encoded`.
        """
        if self._links is None:
            own, uri = self.handle.credentials, self.handle.revision.uri
            self._links = LinkReader(LinkCredentials.resolve(self.column.link_creds, own, uri))
        links = self.links(rows)
        found = iter(self._links.read([link for link in links if link], stop))
        values: list[bytes | ImageReadError | None] = []
        for row, link in zip(rows, links, strict=True):
            value = next(found) if link else None
            if isinstance(value, ImageReadError):
                value = self.error(row, f'is behind a link that cannot be followed: {value}')
            elif isinstance(value, DeepLakeMMDetError):  # not a fault of this row
                failed = (
                    f'{self._named(row)}, is behind a link that cannot be followed now: {value.args[0].rstrip(". ")}'
                )
                raise type(value)(f'{failed}. Check the network, the storage and the credentials.') from None
            values.append(value)
        return values

    def checked(self, value: Any, row: int) -> bytes | ImageReadError:
        """What was read of one image as an image file, or the error that it is none.

        Args:
            value: The bytes, pixels, an error, or None.
            row: Its row, for the message.
        """
        if isinstance(value, ImageReadError):
            return value
        try:
            if self.column.compression is None or isinstance(value, np.ndarray):
                return self.wrap(value, row)
            return self._check(value, row)
        except ImageReadError as error:
            return error

    def error(self, row: int, what: str) -> ImageReadError:
        """The error of one row's image, naming dataset, row and column."""
        return ImageReadError(
            f"{self._named(row)}, {what}. Correct the row, leave it out by a query or view, or set on_error='skip'."
        )

    def _named(self, row: int) -> str:
        return f'{self.handle.revision}: the image in column {self.column.name!r}, row {row}'

    def _check(self, data: bytes | None, row: int) -> bytes:
        if not data:
            raise self.error(row, 'is empty')
        if not data.startswith(_SIGNATURES) and not decodes(data):
            raise self.error(row, f'is of no known image format (it begins with {bytes(data[:8])!r})')
        if data.endswith(_ZEROS) and not data.rstrip(b'\0').endswith(_ENDS.get(data[:2], b'')):
            raise self.error(row, 'ends in zeros: its storage is damaged')
        return data

    def wrap(self, pixels: np.ndarray | None, row: int, extension: str = '.bmp') -> bytes:
        """Plain pixels as an image file, without loss.

        Args:
            pixels: Gray, RGB or RGBA, uint8 or uint16, (H, W) or (H, W, C).
            row: Their row, for messages.
            extension: ``'.bmp'``, which is quick to write and to read, or ``'.png'``, which is small. BMP is not used
                where it could not hold the pixels.

        Raises:
            ImageReadError: There are no pixels, or of a form that no image has.
        """
        if pixels is None or pixels.size == 0 or pixels.ndim not in (2, 3):
            raise self.error(row, 'is empty')
        if pixels.dtype not in (np.uint8, np.uint16):
            raise self.error(row, f'has {pixels.dtype} pixels; uint8 or uint16 are needed')
        if not pixels[-1, -1].any():  # as where a chunk was cut
            self.handle.check_zeros(self.column.name)
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        if channels in (3, 4):
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA)
        elif channels != 1:
            raise self.error(row, f'has {channels} channels; 1, 3 or 4 are needed')
        if pixels.dtype != np.uint8 or channels == 4:
            extension = '.png'
        return cv2.imencode(extension, np.ascontiguousarray(pixels))[1].tobytes()


def decodes(data: bytes) -> bool:
    """Whether OpenCV, which MMCV decodes with, makes an image of these bytes."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:
        return False


def swaps_axes(data: bytes) -> bool:
    """Whether an EXIF orientation makes decoders exchange height and width of a JPEG or PNG image.

    Deep Lake knows the sizes of these two formats, and ignores the orientation.
    """
    if not data.startswith(_SIZED) or not any(mark in data for mark in _ORIENTED):
        return False
    try:
        return _header(data)[1] in _ON_ITS_SIDE
    except (OSError, SyntaxError, ValueError):  # a malformed EXIF block, which decoders pass over
        return False


def _size_in(head: Any) -> tuple[int, int] | None:
    """Height and width as the first bytes of a JPEG or PNG image say them; None if they do not."""
    if not isinstance(head, bytes) or not head.startswith(_SIZED):
        return None
    from PIL import Image

    try:
        with Image.open(io.BytesIO(head)) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError):
        return None


def size_of(data: bytes) -> tuple[int, int]:
    """Height and width that the decoder gives; decoded only where an orientation may exchange them.

    Raises:
        OSError: The bytes are no image.
    """
    size, orientation = _header(data)
    if orientation not in _ON_ITS_SIDE:
        return size
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise OSError('OpenCV cannot decode it')
    return decoded.shape[:2]


def _header(data: bytes) -> tuple[tuple[int, int], int]:
    """Height and width as stored, and the EXIF orientation."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return (image.height, image.width), image.getexif().get(0x0112, 1)
