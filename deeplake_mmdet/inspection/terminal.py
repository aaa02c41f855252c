"""A picture as coloured text: half a character a pixel, which every terminal with 24-bit colours shows."""

from __future__ import annotations

import shutil

import cv2
import numpy as np

_RESET = '\x1b[0m'


def as_text(picture: np.ndarray, columns: int | None = None) -> str:
    """Lines of ``▀`` whose foreground and background are two rows of pixels.

    Args:
        picture: BGR uint8 (H, W, 3).
        columns: Characters a line; by default what the terminal has, at most 160.
    """
    width = min(columns or min(shutil.get_terminal_size().columns, 160), picture.shape[1])
    height = max(2, round(picture.shape[0] * width / picture.shape[1] / 2) * 2)
    pixels = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]
    lines = [
        ''.join(f'\x1b[38;2;{a};{b};{c}m\x1b[48;2;{d};{e};{f}m▀' for a, b, c, d, e, f in line.tolist())
        for line in np.concatenate([pixels[::2], pixels[1::2]], axis=2)
    ]
    return '\n'.join(line + _RESET for line in lines)
