"""Arithmetic of flat arrays with offsets."""

from __future__ import annotations

import numpy as np


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """First item of each part, and the end of the last, int64 (N + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def places_in(offsets: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Places of all items of some parts, part after part, int64.

    Args:
        offsets: First item of each part, (N + 1,).
        parts: Which parts, (n,) integers.
    """
    starts, lengths = offsets[:-1][parts], np.diff(offsets)[parts]
    before = offsets_of(lengths)
    return np.arange(before[-1]) + np.repeat(starts - before[:-1], lengths)
