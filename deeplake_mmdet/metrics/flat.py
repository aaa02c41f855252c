"""Arithmetic of flat arrays with offsets."""

from __future__ import annotations

from typing import Any

import numpy as np


class OfImages:
    """What flat arrays of N images have in common.

    Attributes:
        img_ids: Image ids, N integers or texts.
        offsets: First item of each image, int64 (N + 1,).
    """

    img_ids: list[Any]
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.img_ids)

    @property
    def image_of(self) -> np.ndarray:
        """Image of each item, int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def of_image(self, image: int) -> slice:
        """The items of one image."""
        return slice(int(self.offsets[image]), int(self.offsets[image + 1]))


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
