"""Drawing for the demo: antialiased shapes with shading and shadow on soft backgrounds. BGR, uint8 or float32 0-255."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SHAPES = ('circle', 'square', 'triangle', 'star', 'ring')
_SHIFT = 4  # fractional bits of OpenCV's coordinates
_HOLE = 0.55  # inner radius of a ring over its outer radius


@dataclass(frozen=True)
class Shape:
    """One object, before anything hides it.

    Args:
        kind: One of ``SHAPES``.
        centre: x and y in pixels.
        diameter: In pixels.
        angle: In radians.
        colour: BGR, 0-255.
    """

    kind: str
    centre: tuple[float, float]
    diameter: float
    angle: float
    colour: tuple[float, float, float]


def _corners(shape: Shape) -> np.ndarray:
    """The outline as points in pixels, float64, (N, 2)."""
    count = {'square': 4, 'triangle': 3, 'star': 10}.get(shape.kind, 64)
    radius = np.full(count, shape.diameter / 2)
    if shape.kind == 'star':
        radius[1::2] *= 0.45
    turn = shape.angle + np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(turn), np.sin(turn)], 1) * radius[:, None] + shape.centre


def coverage(shape: Shape, size: int) -> np.ndarray:
    """How much of each pixel the shape covers, float32, 0 to 1, (size, size)."""
    alpha = np.zeros((size, size), np.uint8)
    corners = _corners(shape)
    _fill(alpha, corners, 255)
    if shape.kind == 'ring':
        _fill(alpha, (corners - shape.centre) * _HOLE + shape.centre, 0)
    return alpha.astype(np.float32) / 255


def _fill(image: np.ndarray, corners: np.ndarray, value: int) -> None:
    points = np.round(corners * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(image, [points], value, lineType=cv2.LINE_AA, shift=_SHIFT)


def paint(image: np.ndarray, shape: Shape, alpha: np.ndarray) -> None:
    """Draws a shape and its shadow into a float32 image, (size, size, 3); ``alpha`` is its :func:`coverage`."""
    reach = int(shape.diameter * 0.75) + 8  # half the shape, and its shadow
    x, y = (max(0, int(value) - reach) for value in shape.centre)
    window = np.s_[y : int(shape.centre[1]) + reach, x : int(shape.centre[0]) + reach]
    image, alpha = image[window], alpha[window]
    image *= 1 - 0.45 * (_shadow(alpha, max(1.0, shape.diameter * 0.05)) * (1 - alpha))[..., None]
    ys, xs = np.mgrid[: alpha.shape[0], : alpha.shape[1]].astype(np.float32)
    slope = (shape.centre[0] - x - xs + shape.centre[1] - y - ys) / shape.diameter
    inner = cv2.erode(alpha, np.ones((3, 3), np.uint8), iterations=1 + int(shape.diameter > 48))
    shade = (1 + 0.22 * np.clip(slope, -1, 1)) * (0.55 + 0.45 * inner)  # lit from the upper left, dark at the edge
    fill = np.clip(shade[..., None] * np.array(shape.colour, np.float32), 0, 255)
    image += alpha[..., None] * (fill - image)


def _shadow(alpha: np.ndarray, drop: float) -> np.ndarray:
    """A blurred copy that lies ``drop`` pixels lower and to the right."""
    shift = np.array([[1, 0, drop], [0, 1, drop]], np.float32)
    return cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), drop), shift, alpha.shape[::-1])


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A soft scene: a gradient between two muted colours, a texture, a little noise; float32, (size, size, 3)."""
    first, second = (np.array(muted_colour(rng), np.float32) for _ in range(2))
    angle = rng.uniform(0, 2 * np.pi)
    ys, xs = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    along = np.clip(np.cos(angle) * xs + np.sin(angle) * ys + 0.5, 0, 1)[..., None]
    image = (1 - along) * first + along * second
    texture = (_clouds, _stripes, _tiles, _plain)[rng.integers(4)]
    image *= 1 + texture(rng, size)[..., None]
    noise = rng.normal(0, rng.uniform(1, 5), (size, size, 1)).astype(np.float32)
    return np.clip(image + noise, 0, 255)


def muted_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """A colour of low saturation, BGR."""
    return _bgr(rng.uniform(0, 180), rng.uniform(15, 85), rng.uniform(70, 225))


def vivid_colour(rng: np.random.Generator, beside: np.ndarray) -> tuple[float, float, float]:
    """A saturated colour, BGR, that stands out from ``beside``: the best of a few tries."""
    tries = [_bgr(rng.uniform(0, 180), rng.uniform(130, 255), rng.uniform(110, 255)) for _ in range(4)]
    return max(tries, key=lambda colour: float(np.abs(np.array(colour) - beside).sum()))


def _bgr(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    pixel = np.array([[[hue, saturation, value]]], dtype=np.float64).astype(np.uint8)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red


def _clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    coarse = rng.uniform(-1, 1, (int(rng.integers(4, 14)),) * 2).astype(np.float32)
    return 0.18 * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    angle, period = rng.uniform(0, np.pi), rng.uniform(10, 40)
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    return 0.10 * np.sin((np.cos(angle) * xs + np.sin(angle) * ys) * (2 * np.pi / period))


def _tiles(rng: np.random.Generator, size: int) -> np.ndarray:
    coarse = rng.uniform(-1, 1, (int(rng.integers(5, 11)),) * 2).astype(np.float32)
    return 0.10 * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_NEAREST)


def _plain(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.zeros((size, size), np.float32)
