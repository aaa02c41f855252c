"""Giving memory back: reading millions of small arrays leaves much that is free, but that the system cannot use."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return freed memory to the system, where the C library can; elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)
