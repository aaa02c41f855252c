"""Several rings as one polygon, for formats in which an object has only one.

Each further ring is tied to what is there already by a bridge of no width, there and back again between the two points
that are nearest to each other. The polygon encloses what the rings enclose, where these do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BLOCK = 64  # points at a time, which bounds the table of distances


def joined(rings: Sequence[Sequence[float]]) -> list[float]:
    """One polygon ``[x, y, x, y, …]`` that goes through all points of some rings of the same form.

    Args:
        rings: One or more, of one or more points each.
    """
    whole: np.ndarray = np.array(rings[0], np.float64).reshape(-1, 2)
    for ring in rings[1:]:
        points = np.array(ring, np.float64).reshape(-1, 2)
        here, there = _nearest(whole, points)
        whole = np.concatenate([whole[: here + 1], points[there:], points[: there + 1], whole[here:]])
    return whole.reshape(-1).tolist()


def _nearest(some: np.ndarray, others: np.ndarray) -> tuple[int, int]:
    """Which of some points and which of others, (N, 2) and (M, 2), are nearest to each other."""
    best, found = np.inf, (0, 0)
    for start in range(0, len(others), _BLOCK):
        block = others[start : start + _BLOCK]
        squares = (some[:, None, 0] - block[None, :, 0]) ** 2 + (some[:, None, 1] - block[None, :, 1]) ** 2
        here, there = np.unravel_index(int(squares.argmin()), squares.shape)
        if squares[here, there] < best:
            best, found = squares[here, there], (int(here), start + int(there))
    return found
