"""Many short texts as two arrays, which processes can share; a list of them is copied by each that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Texts:
    """A sequence of N texts.

    Attributes:
        utf8: All of them, one behind the other, uint8.
        ends: Where each one ends in `utf8`, int64 (N,).
    """

    utf8: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Pack texts; also those that are no valid Unicode come back as they were."""
        encoded = [text.encode('utf-8', 'surrogatepass') for text in texts]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        return cls(np.frombuffer(b''.join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, place: int) -> str:
        place = range(len(self))[place]
        start = int(self.ends[place - 1]) if place else 0
        return self._decoded(start, int(self.ends[place]))

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self.ends.tolist():
            yield self._decoded(start, end)
            start = end

    def tolist(self) -> list[str]:
        """All texts, as `numpy.ndarray.tolist` gives numbers."""
        return list(self)

    def _decoded(self, start: int, end: int) -> str:
        return self.utf8[start:end].tobytes().decode('utf-8', 'surrogatepass')
