"""What this process has open, found by a key that travels as plain text (in an image path, in a dataset's metainfo).

Objects are held weakly: they live as long as somebody uses them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar('T')


class OpenObjects(Generic[T]):
    """A weak multi-map: several equal objects may be open at once, and any of them will do."""

    def __init__(self) -> None:
        self._sets: dict[str, weakref.WeakSet[T]] = {}

    def add(self, key: str, item: T) -> None:
        self._sets.setdefault(key, weakref.WeakSet()).add(item)

    def find(self, key: str, prefer: Callable[[T], bool] = lambda item: False) -> T | None:
        """One of the objects under a key, if possible one that is preferred; or None."""
        items = list(self._sets.get(key, ()))
        return next(filter(prefer, items), items[0] if items else None)

    def all(self) -> list[T]:
        """Every object that is open, in no order."""
        return [item for items in self._sets.values() for item in items]
