"""Boxes and masks drawn into an image.

In a report what is annotated is dashed, what was detected solid, and the kind of a mark is its colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deeplake_mmdet.report import worst_images
from deeplake_mmdet.report.figures import picture
from deeplake_mmdet.report.worst_images import Mark

LONG_SIDE = 720  # pixels of a thumbnail
_MOST_ENLARGED = 3.0  # of small images
_DASH, _LETTERS, _QUALITY = 9, 17, 82  # pixels; pixels; of the JPEG
COLOURS = {
    worst_images.RIGHT: picture.RIGHT,
    worst_images.MISSED: picture.MISSED,
    worst_images.FALSE: picture.FALSE,
    worst_images.CONFUSED: picture.CONFUSED,
    worst_images.APART: picture.NEUTRAL,
}


@dataclass(frozen=True, eq=False)
class Shape:
    """One box to draw, with its mask and its text.

    Attributes:
        xyxy: Corners in pixels of the image, float (4,).
        colour: As ``#rrggbb``.
        text: On its corner; '' for none.
        dashed: Whether the box is a dashed line.
        thickness: Of the line, in pixels of the thumbnail.
        below: Whether the text stands below the box.
        mask: COCO run lengths, or None.
        tint: How much of the colour its mask gets, from 0 to 1.
    """

    xyxy: np.ndarray
    colour: str
    text: str = ''
    dashed: bool = False
    thickness: int = 3
    below: bool = False
    mask: dict[str, Any] | None = None
    tint: float = 0.4


def thumbnail(image: np.ndarray | None, size_hw: Sequence[int], marks: Sequence[Mark]) -> bytes:
    """An image with its marks, as JPEG.

    Args:
        image: BGR uint8 (H, W, 3); None for one that cannot be read.
        size_hw: Its height and width.
        marks: What to draw, the most important last.
    """
    drawn = draw(image, size_hw, [_shape(mark) for mark in marks])
    return cv2.imencode('.jpg', drawn, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def draw(
    image: np.ndarray | None, size_hw: Sequence[int], shapes: Sequence[Shape], long_side: int = LONG_SIDE
) -> np.ndarray:
    """An image with shapes on it, BGR uint8, its longer side of about `long_side` pixels.

    Args:
        image: BGR uint8 (H, W, 3); None for one that cannot be read.
        size_hw: Its height and width.
        shapes: What to draw, the most important last.
        long_side: In pixels; small images are enlarged to it, but not beyond three times their size.
    """
    height, width = size_hw
    scale = min(long_side / max(height, width, 1), _MOST_ENLARGED)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((*size[::-1], 3), 225, np.uint8) if image is None else _resized(image, size)
    for shape in shapes:
        if shape.mask is not None:
            _paint(canvas, shape)
    for shape in shapes:
        _outline(canvas, shape, scale)
    return _with_texts(canvas, shapes, scale)


def _shape(mark: Mark) -> Shape:
    """How a mark is drawn: what was annotated dashed, and its mask weakly tinted, for it is there as well."""
    found = mark.truth and mark.kind in (worst_images.RIGHT, worst_images.CONFUSED)  # its detection says it all
    apart = mark.kind == worst_images.APART
    return Shape(
        mark.xyxy,
        COLOURS[mark.kind],
        '' if found or apart else mark.text,
        dashed=mark.truth,
        thickness=1 if found or apart else 3,
        below=mark.truth,  # where a wrong detection on a missed object leaves it to be read
        mask=mark.mask,
        tint=0.18 if mark.truth else 0.4,
    )


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _paint(canvas: np.ndarray, shape: Shape) -> None:
    from pycocotools import mask as coco_mask

    mask = np.asarray(coco_mask.decode(shape.mask))
    inside = cv2.resize(mask, canvas.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    canvas[inside] = (canvas[inside] * (1 - shape.tint) + np.array(_bgr(shape)) * shape.tint).astype(np.uint8)


def _outline(canvas: np.ndarray, shape: Shape, scale: float) -> None:
    x1, y1, x2, y2 = _on_canvas(shape, canvas, scale)
    if not shape.dashed:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _bgr(shape), shape.thickness)
        return
    for start in range(x1, x2, 2 * _DASH):
        for y in (y1, y2):
            cv2.line(canvas, (start, y), (min(start + _DASH, x2), y), _bgr(shape), shape.thickness)
    for start in range(y1, y2, 2 * _DASH):
        for x in (x1, x2):
            cv2.line(canvas, (x, start), (x, min(start + _DASH, y2)), _bgr(shape), shape.thickness)


def _on_canvas(shape: Shape, canvas: np.ndarray, scale: float) -> tuple[int, int, int, int]:
    """Corners in pixels of the thumbnail, inside of it."""
    height, width = canvas.shape[:2]
    limits = np.array([width, height, width, height]) - 1
    x1, y1, x2, y2 = np.clip(np.round(shape.xyxy * scale), 0, limits).astype(int).tolist()
    return x1, y1, x2, y2


def _with_texts(canvas: np.ndarray, shapes: Iterable[Shape], scale: float) -> np.ndarray:
    """Texts on their colour, in letters that OpenCV does not have."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(np.ascontiguousarray(canvas[..., ::-1]))
    pen = ImageDraw.Draw(image)
    for shape in shapes:
        if not shape.text:
            continue
        x1, y1, _, y2 = _on_canvas(shape, canvas, scale)
        text = ' '.join(shape.text.split())  # Pillow measures no text of several lines
        width = pen.textlength(text, font=_font())
        left = max(0, min(x1, canvas.shape[1] - width - 4))
        top = y1 - _LETTERS - 4
        if shape.below or top < 0:
            top = min(y2, canvas.shape[0] - _LETTERS - 4)
        pen.rectangle((left, top, left + width + 4, top + _LETTERS + 4), fill=shape.colour)
        pen.text((left + 2, top + 1), text, fill=_ink_on(shape), font=_font())
    return np.asarray(image)[..., ::-1]


def _ink_on(shape: Shape) -> str:
    """Black or white, whichever can be read on the colour."""
    blue, green, red = _bgr(shape)
    return 'white' if 0.299 * red + 0.587 * green + 0.114 * blue < 170 else 'black'


@cache
def _font() -> Any:
    """The font that comes with Matplotlib; it has Latin, Greek, Cyrillic and many signs."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')), _LETTERS)


def _bgr(shape: Shape) -> tuple[int, int, int]:
    colour = shape.colour
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)
