"""What the first and last bytes of an encoded image say: its format, its size, whether its end is there."""

from __future__ import annotations

import io
import struct

from PIL import Image

HEADER_BYTES = 32
MAGIC = {
    'jpeg': (b'\xff\xd8\xff',),
    'png': (b'\x89PNG\r\n\x1a\n',),
    'bmp': (b'BM',),
    'tiff': (b'II*\x00', b'MM\x00*'),
    'jpeg2000': (b'\x00\x00\x00\x0cjP  ', b'\xff\x4f\xff\x51'),
}
_ROTATED = (5, 6, 7, 8)  # values of the EXIF tag Orientation that swap height and width
_ORIENTATION = 0x0112
_APP1, _NO_FRAME = 0xE1, (0xC4, 0xC8, 0xCC)
_TAIL = 4096  # cameras and editors put a little behind the end


def kind_of_image(header: bytes) -> str | None:
    """The format by the first `HEADER_BYTES`: 'jpeg', 'png', 'png16', 'webp', 'bmp', …; None for none that we know."""
    if header[:4] == b'RIFF' and header[8:12] == b'WEBP':
        return 'webp'
    kind = next((kind for kind, starts in MAGIC.items() if header.startswith(starts)), None)
    return 'png16' if kind == 'png' and header[24:25] == b'\x10' else kind


def header_size(data: bytes) -> tuple[int, int] | None:
    """Height and width in pixels from the header alone, as a viewer shows the image; None when it cannot be told."""
    return _plain_size(data) or _pillow_size(io.BytesIO(data))


def header_size_of_file(path: str) -> tuple[int, int] | None:
    """As `header_size`, of a file of which no more than that is read."""
    return _pillow_size(path)


def ends_early(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: it was cut off, and decodes to grey or to nothing from there on."""
    if data.startswith(MAGIC['jpeg'][0]):
        return data.rfind(b'\xff\xd9', -_TAIL) < 0
    return data.startswith(MAGIC['png'][0]) and data.rfind(b'IEND', -_TAIL) < 0


def _plain_size(data: bytes) -> tuple[int, int] | None:
    """The size of a PNG or JPEG that says nothing of an orientation, in a tenth of the time that Pillow takes."""
    if data.startswith(MAGIC['png'][0]):
        width, height = struct.unpack_from('>II', data, 16) if data[12:16] == b'IHDR' and len(data) > 24 else (0, 0)
        return (height, width) if height and width and b'eXIf' not in data else None
    if not data.startswith(MAGIC['jpeg'][0]):
        return None
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from('>HH', data, place + 5)
            return (height, width) if height and width else None
        if marker == _APP1 or marker < 0xC0 or marker == 0xFF:  # EXIF, or no segment with a length
            return None
        place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
    return None


def _pillow_size(source: str | io.BytesIO) -> tuple[int, int] | None:
    try:
        with Image.open(source) as image:
            width, height = image.size
            is_rotated = _is_rotated(image)
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return None
    return None if is_rotated is None else (width, height) if is_rotated else (height, width)


def _is_rotated(image: Image.Image) -> bool | None:
    """Whether OpenCV swaps height and width; None where only OpenCV knows.

    In a JPEG it goes by EXIF alone, where Pillow also goes by XMP. Of the other formats, each release of OpenCV turns
    other ones, and each release of Pillow has turned other ones already.
    """
    if image.format not in ('JPEG', 'MPO'):
        return None if image.getexif().get(_ORIENTATION, 1) != 1 else False
    exif = Image.Exif()
    exif.load(image.info.get('exif', b''))
    return exif.get(_ORIENTATION) in _ROTATED
