"""Run lengths of COCO: decoded and summed up, because pycocotools does neither before it draws them.

Run lengths that do not fill their mask leave pixels to chance, or write beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

_FIRST, _DIGITS = ord('0'), 64  # the characters that stand for six bits each
_MOST = 12  # characters of a number; seven hold 32 bits


def rle_fault(rle: dict[str, Any], size_hw: tuple[int, int] | None) -> str | None:
    """What is wrong with one RLE, as ``expected …, but got …``; None if nothing is.

    Args:
        rle: ``{'size': [height, width], 'counts': …}``; counts are a compressed text or a list of run lengths.
        size_hw: Height and width of the image; None where they are not known.
    """
    size, counts = rle.get('size'), rle.get('counts')
    if not isinstance(size, list) or [type(side) for side in size] != [int, int] or min(size) < 0:
        return f'expected an RLE of counts and size=[height, width], but got size={size!r:.60}'
    if size_hw is not None and tuple(size) != size_hw:
        return f'expected an RLE of the size of its image, {size_hw} (height, width), but got {tuple(size)}'
    try:
        filled = sum(_plain(counts)) if isinstance(counts, list) else int(run_lengths([counts])[0].sum())
    except (TypeError, ValueError) as error:
        return f'expected run lengths as counts, but got {counts!r:.60}: {error}'
    if filled != size[0] * size[1]:
        return f'expected run lengths that fill {size[0]} x {size[1]} = {size[0] * size[1]} pixels, but got {filled}'
    return None


def _plain(counts: list[Any]) -> list[int]:
    if not {*map(type, counts)} <= {int} or min(counts, default=0) < 0:
        raise ValueError('they are whole numbers, none of them negative')
    return counts


def all_fill(rles: Sequence[dict[str, Any]], size_hw: tuple[int, int] | None) -> bool:
    """Whether all of these are compressed and without fault, found out at once; False tells nothing of a single one."""
    try:
        sizes = [(*rle['size'],) for rle in rles]
        runs, starts = run_lengths([rle['counts'] for rle in rles])
        filled = np.add.reduceat(runs, starts).tolist() == [height * width for height, width in sizes]
    except (KeyError, TypeError, ValueError):
        return False
    sides = [*chain(*sizes)]
    return filled and {*map(type, sides)} == {int} and min(sides) >= 0 and (size_hw is None or {*sizes} == {size_hw})


def run_lengths(texts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The run lengths of some compressed texts, each alternately of pixels outside and inside.

    A number is written in characters of five bits and one that says whether more follow, the lowest bits first, and
    from the fourth number of a text on as the difference to the last but one.

    Returns:
        The run lengths, int64 (n,), and where those of each text begin.

    Raises:
        TypeError: There is something else than texts.
        ValueError: A text is none of run lengths.
    """
    if not all(isinstance(text, str) for text in texts):
        raise TypeError('they are a text or a list')
    digits = np.frombuffer(''.join(texts).encode('ascii'), np.uint8).astype(np.int64) - _FIRST
    if not all(texts) or digits.min() < 0 or digits.max() >= _DIGITS:
        raise ValueError('it holds characters of no run length, or none at all')
    ends = np.flatnonzero(digits & 32 == 0) + 1
    lengths = np.diff(ends, prepend=0)
    text_ends = np.cumsum([len(text) for text in texts])
    last = np.searchsorted(ends, text_ends)  # the number that each text ends with
    if not len(ends) or last[-1] == len(ends) or (ends[last] != text_ends).any() or lengths.max() > _MOST:
        raise ValueError('a number in it does not end')
    places = np.arange(len(digits)) - np.repeat(ends - lengths, lengths)
    runs = np.add.reduceat((digits & 31) << 5 * places, ends - lengths)
    runs -= np.where(digits[ends - 1] & 16, 1 << 5 * lengths, 0)
    starts = np.concatenate([[0], last[:-1] + 1])
    _add_up(runs, np.diff(last + 1, prepend=0), starts)
    if runs.min() < 0:
        raise ValueError('a run in it is negative')
    return runs, starts


def _add_up(runs: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> None:
    """Turn differences into run lengths, in place: every other number of a text, from its second and its third on."""
    places = np.arange(len(runs)) - np.repeat(starts, counts)
    for first in (1, 2):
        chosen = (places >= first) & (places % 2 == first % 2)
        sums, sizes = np.cumsum(runs[chosen]), (counts - first + 1) // 2
        before = np.concatenate([[0], sums])[np.cumsum(sizes) - sizes]
        runs[chosen] = sums - np.repeat(before, sizes)
