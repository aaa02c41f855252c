"""Image files as they are: found under one folder, recognised by their first bytes, measured, and never re-encoded."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

import cv2
import numpy as np

from deeplake_mmdet.convert.image_header import MAGIC, ends_early, header_size, header_size_of_file, kind_of_image
from deeplake_mmdet.convert.report import CUT_OFF, MISSING, OTHER_SIZE, UNREADABLE
from deeplake_mmdet.convert.report_table import NAMED
from deeplake_mmdet.convert.storage import ImportStoppedError
from deeplake_mmdet.errors import ConversionError, ImageReadError
from deeplake_mmdet.source.link_address import shown
from deeplake_mmdet.source.links import LinkReader

_PLAIN_NAME = re.compile(r'([A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*')  # safe at first sight
SKIP = 'or leave it out (--on-error skip)'

Result = TypeVar('Result')


class ImageFault(ImportStoppedError):
    """One image cannot be stored as annotated; the import can go on when it is put right, or left out.

    Args:
        kind: The oddity that it is, when images with faults are left out.
        message: What is wrong, and what to do.
        location: Of the image.
    """

    def __init__(self, kind: str, message: str, location: str = '') -> None:
        super().__init__(message)
        self.kind = kind
        self.location = location


@dataclass(frozen=True)
class Picture:
    """What was read of one image.

    Attributes:
        data: The encoded bytes; empty where they stay behind a link.
        size_hw: Its height and width in pixels as training will see it; None where nobody looked.
        remarks: The oddities of it.
    """

    data: bytes
    size_hw: tuple[int, int] | None
    remarks: tuple[str, ...] = ()


def check_name(name: str, owner: str) -> None:
    """Refuses a file name that is empty, absolute, or climbs out of the folder that it is relative to.

    Raises:
        ConversionError: ``owner`` says who named it.
    """
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return
    kinds = (PurePosixPath(name), PureWindowsPath(name)) if isinstance(name, str) and '\0' not in name else ()
    if not kinds or not name.strip() or any(p.is_absolute() or p.drive or p.root or '..' in p.parts for p in kinds):
        raise ConversionError(
            f'{owner} expected a file_name relative to the folder of the images, but got {name!r}. '
            f'Nothing outside that folder is read: make the name relative and free of "..".'
        )


def safe_path(root: str | Path, name: str, owner: str) -> Path:
    """The path of a file that an annotation names, which must lie under ``root``.

    Raises:
        ConversionError: As :func:`check_name`, or when a symbolic link below ``root`` leads out of it.
    """
    check_name(name, owner)
    path = os.path.join(root, name)
    inside = _is_inside(os.fspath(root), os.path.dirname(path))
    if not inside or (os.path.islink(path) and not _is_inside(os.fspath(root), path)):
        raise ConversionError(
            f'{owner} expected a file in the folder of the images, but got {name!r}, which a symbolic link leads out '
            f'of it, to {os.path.realpath(path)!r}. Give the folder that the images really are in, or copy them.'
        )
    return Path(path)


@lru_cache(maxsize=4096)  # most files lie in few folders
def _is_inside(root: str, path: str) -> bool:
    root, path = os.path.realpath(root), os.path.realpath(path)
    return os.path.commonpath([root, path]) == root


def image_kind(header: bytes, name: str | Path, owner: str) -> str:
    """The format of an encoded image from its first bytes: 'jpeg', 'png', 'png16', 'webp', 'bmp', …

    Raises:
        ImageFault: When the bytes are no image that OpenCV decodes.
    """
    kind = kind_of_image(header)
    if kind is None:
        raise ImageFault(
            UNREADABLE,
            f'{owner} expected {str(name)!r} to be an image ({", ".join(MAGIC)} or webp), but got a '
            f'file that starts with {header[:8]!r}. Replace it, remove it from the annotations, {SKIP}.',
        )
    return kind


def decoded_size(data: bytes, name: str | Path, owner: str) -> tuple[int, int]:
    """Height and width in pixels as training will see them: decoded by OpenCV, EXIF orientation applied.

    Raises:
        ImageFault: When OpenCV cannot decode the image.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ImageFault(
            UNREADABLE,
            f'{owner} expected {str(name)!r} to be an image, but got bytes that cannot be decoded. '
            f'Replace the file, remove it from the annotations, {SKIP}.',
        )
    return image.shape[0], image.shape[1]


def look_at(data: bytes, name: str, owner: str) -> Picture:
    """An image that was read: recognised and measured by its header, and decoded only where that does not tell.

    Raises:
        ImageFault: It is no image, or cannot be decoded.
    """
    image_kind(data, name, owner)
    cut_off = ends_early(data)
    size_hw = None if cut_off else header_size(data)
    return Picture(data, size_hw or decoded_size(data, name, owner), (CUT_OFF,) if cut_off else ())


def look_at_file(path: str, owner: str) -> Picture:
    """The size of a local image that is only linked to; no more of it is read than that takes.

    Raises:
        ImageFault: It is missing, or cannot be read or decoded.
    """
    image_kind(read_file(path, owner, 32), path, owner)
    size_hw = header_size_of_file(path)
    return Picture(b'', size_hw or decoded_size(read_file(path, owner), path, owner))


def or_fault(look: Callable[[], Result]) -> Result | ImageFault:
    """What a function returns, or the fault of the image that it raises."""
    try:
        return look()
    except ImageFault as fault:
        return fault


def is_url(location: str) -> bool:
    """Whether an image lies elsewhere than in the local file system."""
    return '://' in location


def read_file(path: str, owner: str, size: int = -1) -> bytes:
    """The first ``size`` bytes of a file, or all of them.

    Raises:
        ImageFault: When the file is missing or cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FileNotFoundError(errno.ENOENT, 'no regular file')
        with open(path, 'rb') as file:
            return file.read(size)
    except OSError as error:
        raise _unread(path, owner, str(error.strerror), is_missing=isinstance(error, FileNotFoundError)) from None


def fetched(
    reader: LinkReader, locations: Sequence[str], owner: str, size: int | None = None
) -> list[bytes | ImageFault]:
    """The first ``size`` bytes behind URLs, or all of them; what is wrong with the image where there are none.

    Raises:
        ImportStoppedError: A storage or the network failed.
    """
    found: list[bytes | ImageFault] = []
    for location, item in zip(locations, reader.read(locations, size), strict=True):
        if isinstance(item, bytes):
            found.append(item)
        elif isinstance(item, ImageReadError):
            found.append(_unread(location, owner, str(item), is_missing='exist' in str(item)))
        else:
            raise ImportStoppedError(f'{owner}: {item}. Check the network and the credentials.')
    return found


def _unread(location: str, owner: str, reason: str, *, is_missing: bool) -> ImageFault:
    return ImageFault(
        MISSING if is_missing else UNREADABLE,
        f'{owner} expected the image file {shown(location)!r}, but got {reason}. '
        f'Put the file there, correct the folder of the images, {SKIP}.',
        shown(location),
    )


def missing_file(owner: str, faults: Sequence[ImageFault], total: int) -> ImageFault:
    """One error for all files that are missing.

    Args:
        owner: Who names them.
        faults: One a file.
        total: How many files are named.
    """
    first = ', '.join(repr(fault.location) for fault in faults[:NAMED])
    more = f' and {len(faults) - NAMED} more' if len(faults) > NAMED else ''
    return ImageFault(
        MISSING,
        f'{owner} expected {total} image files, but got {len(faults)} missing: {first}{more}. '
        f'Put the files there, correct the folder of the images, or leave them out (--on-error skip).',
    )


def check_size(said_hw: tuple[int | None, int | None], found_hw: tuple[int, int], name: str, owner: str) -> None:
    """Refuses an image that has another size than its annotation says.

    Args:
        said_hw: Height and width as annotated, in pixels; None where it is not said.
        found_hw: As measured.
        name: Of the image.
        owner: Who annotates it.

    Raises:
        ImageFault: They differ.
    """
    if differs(said_hw, found_hw):
        raise ImageFault(
            OTHER_SIZE,
            f'{owner} expected {name!r} to be {said_hw[1]} x {said_hw[0]} pixels as annotated, but got '
            f'{found_hw[1]} x {found_hw[0]}. Correct the annotation, take the size of the image (--sizes measured), '
            f'{SKIP}.',
        )


def differs(said_hw: tuple[int | None, int | None], found_hw: tuple[int, int]) -> bool:
    """Whether an annotated height or width, where there is one, is another than that of the image."""
    return any(said not in (None, found) for said, found in zip(said_hw, found_hw, strict=True))
