"""A colour for each class, the same in every picture of every run."""

from __future__ import annotations

import colorsys
import math

_GOLDEN = (math.sqrt(5) - 1) / 2


def palette(classes: int) -> list[tuple[int, int, int]]:
    """Distinct RGB colours, by steps of the golden angle around the hue circle.

    Args:
        classes: Number of classes.

    Returns:
        One tuple of 0 to 255 a class, as ``metainfo['palette']`` holds them.
    """
    hues = ((0.02 + i * _GOLDEN) % 1 for i in range(classes))
    return [tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.86, 0.78)) for hue in hues]  # type: ignore[misc]
