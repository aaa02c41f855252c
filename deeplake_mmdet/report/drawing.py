"""Boxes and masks drawn into an image: dashed what is annotated, solid what was detected, the kind as colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def thumbnail(image: np.ndarray | None, size_hw: Sequence[int], marks: Sequence[Mark]) -> bytes:
    """An image with its marks, as JPEG.

    Args:
        image: BGR uint8 (H, W, 3); None for one that cannot be read.
        size_hw: Its height and width.
        marks: What to draw, the most important last.
    """
    height, width = size_hw
    scale = min(LONG_SIDE / max(height, width, 1), _MOST_ENLARGED)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((*size[::-1], 3), 225, np.uint8) if image is None else _resized(image, size)
    for mark in marks:
        if mark.mask is not None:
            _paint(canvas, mark)
    for mark in marks:
        _outline(canvas, mark, scale)
    return cv2.imencode('.jpg', _with_texts(canvas, marks, scale), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _paint(canvas: np.ndarray, mark: Mark) -> None:
    """Tint the pixels of a mask: strongly of a detection, weakly of an object, which is there as well."""
    from pycocotools import mask as coco_mask

    mask = np.asarray(coco_mask.decode(mark.mask))
    inside = cv2.resize(mask, canvas.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    weight = 0.18 if mark.truth else 0.4
    canvas[inside] = (canvas[inside] * (1 - weight) + np.array(_bgr(mark)) * weight).astype(np.uint8)


def _outline(canvas: np.ndarray, mark: Mark, scale: float) -> None:
    thickness = 1 if mark.kind == worst_images.APART or _is_found(mark) else 3
    x1, y1, x2, y2 = _on_canvas(mark, canvas, scale)
    if not mark.truth:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _bgr(mark), thickness)
        return
    for start in range(x1, x2, 2 * _DASH):
        for y in (y1, y2):
            cv2.line(canvas, (start, y), (min(start + _DASH, x2), y), _bgr(mark), thickness)
    for start in range(y1, y2, 2 * _DASH):
        for x in (x1, x2):
            cv2.line(canvas, (x, start), (x, min(start + _DASH, y2)), _bgr(mark), thickness)


def _on_canvas(mark: Mark, canvas: np.ndarray, scale: float) -> tuple[int, int, int, int]:
    """Corners in pixels of the thumbnail, inside of it."""
    height, width = canvas.shape[:2]
    limits = np.array([width, height, width, height]) - 1
    x1, y1, x2, y2 = np.clip(np.round(mark.xyxy * scale), 0, limits).astype(int).tolist()
    return x1, y1, x2, y2


def _is_found(mark: Mark) -> bool:
    """Whether it is an object beside a detection, which says what there is to say."""
    return mark.truth and mark.kind in (worst_images.RIGHT, worst_images.CONFUSED)


def _with_texts(canvas: np.ndarray, marks: Iterable[Mark], scale: float) -> np.ndarray:
    """Texts on their colour, in letters that OpenCV does not have."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(np.ascontiguousarray(canvas[..., ::-1]))
    draw = ImageDraw.Draw(image)
    for mark in marks:
        if _is_found(mark) or mark.kind == worst_images.APART:
            continue
        x1, y1, _, y2 = _on_canvas(mark, canvas, scale)
        width = draw.textlength(mark.text, font=_font())
        left = max(0, min(x1, canvas.shape[1] - width - 4))
        top = y1 - _LETTERS - 4
        if mark.truth or top < 0:  # of a missed object below its box, where a wrong detection leaves it to be read
            top = min(y2, canvas.shape[0] - _LETTERS - 4)
        draw.rectangle((left, top, left + width + 4, top + _LETTERS + 4), fill=COLOURS[mark.kind])
        draw.text((left + 2, top + 1), mark.text, fill='white', font=_font())
    return np.asarray(image)[..., ::-1]


@cache
def _font() -> Any:
    """The font that comes with Matplotlib; it has Latin, Greek, Cyrillic and many signs."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')), _LETTERS)


def _bgr(mark: Mark) -> tuple[int, int, int]:
    colour = COLOURS[mark.kind]
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)
