"""A file of arrays: a header in JSON with its own hash, and the arrays behind it, each where a page cache likes it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

_MAGIC, _HASH_BYTES, _ALIGNMENT = b'DLMMIDX1', 16, 64
_PREFIX = len(_MAGIC) + 8 + _HASH_BYTES


class DamagedError(Exception):
    """A file is not as it was written."""


@dataclass(frozen=True)
class Layout:
    """What is to be written, and where.

    Attributes:
        beginning: The first bytes.
        places: The arrays, each with its place in bytes.
        size: Bytes in all.
    """

    beginning: bytes
    places: list[tuple[int, np.ndarray]]
    size: int

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], words: Mapping[str, Any]) -> Layout:
        """Lay out arrays of numbers or bools; one that has two names stands there once.

        Args:
            arrays: By name.
            words: Of the caller; what JSON can say.
        """
        described, places, known, end = {}, [], {}, 0
        for name, array in arrays.items():
            assert not array.dtype.hasobject, name
            if id(array) not in known:
                known[id(array)] = end
                places.append((end, array))
                end = _aligned(end + array.nbytes)
            described[name] = (array.dtype.str, array.shape, known[id(array)])
        text = json.dumps({'words': dict(words), 'arrays': described, 'bytes': end}).encode()
        beginning = _MAGIC + len(text).to_bytes(8, 'little') + _hash(text) + text
        beginning = beginning.ljust(_aligned(len(beginning)), b'\0')
        start = len(beginning)
        return cls(beginning, [(start + place, array) for place, array in places], start + end)

    def write(self, file: IO[bytes]) -> None:
        """Write it all to an empty file, and see it onto the disk.

        Raises:
            OSError: There is no room, for one.
        """
        os.truncate(file.fileno(), self.size)
        file.write(self.beginning)
        for place, array in self.places:
            file.seek(place)
            file.write(np.ascontiguousarray(array).data)
        file.flush()
        os.fsync(file.fileno())


def read_header(data: Any) -> tuple[dict[str, Any], dict[str, tuple[np.dtype, tuple[int, ...], int]]]:
    """The caller's words, and dtype, shape and place in bytes of each array, by name.

    Args:
        data: The whole file, as bytes or as a map.

    Raises:
        DamagedError: It is no such file, or it was cut, or its header was changed.
    """
    length = int.from_bytes(data[len(_MAGIC) : len(_MAGIC) + 8], 'little')
    text = data[_PREFIX : _PREFIX + length]
    if data[: len(_MAGIC)] != _MAGIC or data[_PREFIX - _HASH_BYTES : _PREFIX] != _hash(text):
        raise DamagedError('its header was changed')
    header, start = json.loads(text), _aligned(_PREFIX + length)
    if len(data) != start + header['bytes']:
        raise DamagedError(f'it has {len(data)} bytes instead of {start + header["bytes"]}')
    arrays = {
        name: (np.dtype(dtype), tuple(shape), start + place) for name, (dtype, shape, place) in header['arrays'].items()
    }
    return header['words'], arrays


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).digest()
