"""Image files as they are: found under one folder, recognised by their first bytes, measured, and never re-encoded."""

from __future__ import annotations

import io
import os
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import cv2
import numpy as np
from PIL import Image

from deeplake_mmdet.convert.report import OTHER_SIZE, ConversionReport
from deeplake_mmdet.errors import ConversionError

HEADER_BYTES = 32
_MAGIC = {
    'jpeg': (b'\xff\xd8\xff',),
    'png': (b'\x89PNG\r\n\x1a\n',),
    'bmp': (b'BM',),
    'tiff': (b'II*\x00', b'MM\x00*'),
    'jpeg2000': (b'\x00\x00\x00\x0cjP  ', b'\xff\x4f\xff\x51'),
}
_ROTATED = (5, 6, 7, 8)  # values of the EXIF tag Orientation that swap height and width
_ORIENTATION = 0x0112


def safe_path(root: str | Path, name: str, owner: str) -> Path:
    """The path of a file that an annotation names, which must lie under ``root``.

    Raises:
        ConversionError: When the name is empty, absolute, or climbs out of ``root``. ``owner`` says who named it.
    """
    kinds = (PurePosixPath(name), PureWindowsPath(name)) if isinstance(name, str) and '\0' not in name else ()
    if not kinds or not name.strip() or any(p.is_absolute() or p.drive or p.root or '..' in p.parts for p in kinds):
        raise ConversionError(
            f'{owner} expected a file_name relative to the folder of the images, but got {name!r}. '
            f'Nothing outside that folder is read: make the name relative and free of "..".'
        )
    return Path(root) / name


def read_image(path: Path, owner: str, size: int = -1) -> bytes:
    """The first ``size`` bytes of a file, or all of them.

    Raises:
        ConversionError: When the file is missing or cannot be read.
    """
    try:
        with open(path, 'rb') as file:
            return file.read(size)
    except OSError as error:
        raise ConversionError(
            f'{owner} expected the image file {str(path)!r}, but got {error.strerror}. '
            f'Put the file there, or correct the folder of the images.'
        ) from error


def image_kind(header: bytes, path: Path, owner: str) -> str:
    """The format of an encoded image from its first bytes: 'jpeg', 'png', 'png16', 'webp', 'bmp', …

    Raises:
        ConversionError: When the bytes are no image that OpenCV decodes.
    """
    if header[:4] == b'RIFF' and header[8:12] == b'WEBP':
        return 'webp'
    for kind, starts in _MAGIC.items():
        if header.startswith(starts):
            return 'png16' if kind == 'png' and header[24:25] == b'\x10' else kind
    raise ConversionError(
        f'{owner} expected {str(path)!r} to be an image ({", ".join(_MAGIC)} or webp), but got a '
        f'file that starts with {header[:8]!r}. Replace it, or remove it from the annotations.'
    )


def scan_images(paths: Iterable[Path], owner: str) -> tuple[str, str]:
    """Looks at the first bytes of every file, before anything is written.

    Returns:
        The pixel dtype ('uint16' when all are 16-bit PNG, else 'uint8') and the column's compression ('jpeg' or 'png',
        what the majority is).

    Raises:
        ConversionError: For the first file that is no image; for all files that are missing, in one message.
    """
    paths = list(paths)
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise ConversionError(
            f'{owner} expected {len(paths)} image files, but got {len(missing)} missing, the first '
            f'{str(missing[0])!r}. Put the files there, or correct the folder of the images.'
        )
    kinds = Counter(image_kind(read_image(path, owner, HEADER_BYTES), path, owner) for path in paths)
    png = kinds['png'] + kinds['png16']
    dtype = 'uint16' if kinds['png16'] and kinds['png16'] == len(paths) else 'uint8'
    return dtype, 'png' if png > kinds['jpeg'] else 'jpeg'


def header_size(data: bytes) -> tuple[int, int] | None:
    """Height and width in pixels from the header alone, as a viewer shows the image; None when it cannot be told."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            rotated = image.getexif().get(_ORIENTATION) in _ROTATED
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return None
    return (width, height) if rotated else (height, width)


def decoded_size(data: bytes, path: Path, owner: str) -> tuple[int, int]:
    """Height and width in pixels as training will see them: decoded by OpenCV, EXIF orientation applied.

    Raises:
        ConversionError: When OpenCV cannot decode the image.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ConversionError(
            f'{owner} expected {str(path)!r} to be an image, but got bytes that cannot be decoded. '
            f'Replace the file, or remove it from the annotations.'
        )
    return image.shape[0], image.shape[1]


def annotated_size(
    image: Mapping[str, Any], data: bytes, path: Path, owner: str, report: ConversionReport
) -> tuple[int, int]:
    """Height and width in pixels as ``image`` says, or as decoded where it does not; notes a size the file denies.

    Raises:
        ConversionError: When the size is not said or the header makes no sense, and OpenCV cannot decode the image.
    """
    height, width = image.get('height'), image.get('width')
    complete = height is not None and width is not None
    measured = (header_size(data) if complete else None) or decoded_size(data, path, owner)
    report.note(OTHER_SIZE, image['file_name'], complete and measured != (height, width))
    return int(height or measured[0]), int(width or measured[1])
