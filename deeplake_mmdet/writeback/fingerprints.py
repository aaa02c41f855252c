"""A short text of bytes for the values of a row, equal where the values are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

SIZE = 16


def fingerprint(values: Iterable[Any]) -> bytes:
    """Of values as Deep Lake gives or takes them: arrays, numbers, texts, bytes, dicts, None, and lists of them.

    Returns:
        `SIZE` bytes.
    """
    state = hashlib.blake2b(digest_size=SIZE)
    for value in values:
        _update(state, value)
    return state.digest()


def _update(state: Any, value: Any) -> None:
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        array = np.asarray(value)
        shape = array.shape if array.size else (0,)  # of nothing, Deep Lake keeps no shape
        state.update(f'a{array.dtype.str}{shape}'.encode())
        state.update(np.ascontiguousarray(array).tobytes())
    elif isinstance(value, list | np.ndarray):
        state.update(f'l{len(value)}:'.encode())
        for item in value:
            _update(state, item)
    else:
        content = value.to_dict() if hasattr(value, 'to_dict') else value
        data = content if isinstance(content, bytes) else repr(content).encode()
        state.update(f'{type(value).__name__}{len(data)}:'.encode())
        state.update(data)
