"""Polygons as texts: cut out of a JSON text before it is decoded, checked and stored without becoming numbers.

Nine tenths of a COCO file are the coordinates of polygons, and Python makes an object of each. Here they stay text:
`shorten` checks them as arrays of characters, for the first look at a file, and `cut_out` hands them over for storing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller

import numpy as np

TOKEN = secrets.token_hex(8)  # stands in for a polygon that was cut out; no file can hold it by intent
_WORD = f'"{TOKEN}"'
_SPACE = r'[ \t\n\r]*'
# A polygon ends where the annotation does or its next key begins; inside, no more than the characters are looked at.
_POLYGON = r'"segmentation"{0}:{0}(\[{0}\[{0}[-0-9][-0-9.{1},\[\] \t\n\r]*\])(?={0}(?:\}}|,{0}"))'
_PLAIN, _ANY = (re.compile(_POLYGON.format(_SPACE, more)) for more in ('', 'eE+'))

_WHITE, _DIGITS, _NUMBER = b' \t\n\r', b'0123456789', b'0123456789.-'
_CHARS = [bytes([code]) for code in range(256)]
_MINUS, _DOT, _DIGIT = 1, 2, 3  # the characters of numbers; all others are 0
_KINDS = bytes({b'-': _MINUS, b'.': _DOT}.get(char, _DIGIT * char.isdigit()) for char in _CHARS)
_START, _END = methodcaller('start', 1), methodcaller('end', 1)
_INTEGER_DIGITS = 6  # so that no coordinate is farther off than `coco_masks` allows


@dataclass(frozen=True)
class Shortened:
    """A text without its polygons.

    Attributes:
        text: The text with `TOKEN` in place of each.
        places: Where in it they are, int64 (n,).
        removed: Characters removed before the first, the second, … and in all, int64 (n + 1,).
    """

    text: str
    places: np.ndarray
    removed: np.ndarray

    def origin(self, positions: np.ndarray | int) -> np.ndarray:
        """Positions in the original text of positions in the short one."""
        return positions + self.removed[np.searchsorted(self.places, positions, side='left')]


def shorten(text: str) -> Shortened:
    """Cuts all polygons out of a text if none of them has a fault, else none."""
    found = list(_PLAIN.finditer(text))
    if not all_plain([match[1] for match in found]):
        found = []
    starts, ends = (np.array([*map(side, found)], np.int64) for side in (_START, _END))
    removed = np.concatenate([[0], np.cumsum(ends - starts - len(_WORD))]).astype(np.int64)
    return Shortened(_without(text, found), starts - removed[:-1], removed)


def cut_out(text: str) -> tuple[str, list[str]]:
    """Cuts all polygons out of a text of which `shorten`, or a decoder, found that it is without fault.

    Returns:
        The text with `TOKEN` in place of each, and the polygons without white space.
    """
    found = list(_ANY.finditer(text))
    return _without(text, found), [''.join(match[1].split()) for match in found]


def _without(text: str, found: Sequence[re.Match[str]]) -> str:
    begins, ends = [0, *map(_END, found)], [*map(_START, found), len(text)]
    return _WORD.join([text[begin:end] for begin, end in zip(begins, ends, strict=True)])


def all_plain(texts: Sequence[str]) -> bool:
    """Whether each text is a JSON list of rings of three points or more, all numbers short and without exponent.

    Args:
        texts: Of digits, brackets, commas, dots, minus signs and white space.
    """
    written = ''.join(texts).encode('ascii')
    text = written.translate(None, _WHITE)
    if not (text.startswith(b'[[') and text.endswith(b']]')):
        return not texts
    chars, kinds, edges = _numbers(text)
    apart = len(text) == len(written) or len(edges) == len(_numbers(written)[2])
    starts, ends = edges[::2], edges[1::2]
    return apart and _all_numbers(text, chars, kinds, starts, ends) and _all_rings(text, chars, starts, ends)


def _numbers(text: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The characters of a text, uint8; their kinds; and where numbers begin and end, alternately, int64."""
    kinds = np.frombuffer(text.translate(_KINDS), np.uint8)
    inside = kinds != 0
    return np.frombuffer(text, np.uint8), kinds, np.flatnonzero(inside[1:] != inside[:-1]) + 1


def _all_numbers(text: bytes, chars: np.ndarray, kinds: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> bool:
    """Whether the characters between `starts` and `ends` are numbers as JSON writes them."""
    first = starts + (kinds[starts] == _MINUS)
    if not ((kinds[first] == _DIGIT) & (kinds[ends - 1] == _DIGIT)).all():
        return False
    signs = np.count_nonzero(first > starts) == text.count(b'-')
    dots = b'..' not in text.translate(None, _DIGITS)
    zeros = not ((chars[first] == ord('0')) & (kinds[first + 1] == _DIGIT)).any()
    long = first[ends - first > _INTEGER_DIGITS]
    short = (kinds[long[:, None] + np.arange(1, _INTEGER_DIGITS + 1)] == _DOT).any(axis=1).all()
    return bool(signs and dots and zeros and short)


def _all_rings(text: bytes, chars: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> bool:
    """Whether brackets and commas are those of lists of lists of three pairs or more, with a number in each place."""
    rings = text.translate(None, _NUMBER)[2:-2].replace(b']][[', b'],[').split(b'],[')
    even = all(len(ring) >= 5 and len(ring) % 2 and not ring.strip(b',') for ring in {*rings})
    if not even or sum(map(len, rings)) + len(rings) != len(starts):
        return False
    before, behind = chars[starts - 1], chars[ends]
    in_place = ((before == ord('[')) | (before == ord(','))) & ((behind == ord(']')) | (behind == ord(',')))
    return bool(in_place.all())
