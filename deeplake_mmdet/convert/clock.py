"""When the next checkpoint of an import is due."""

from __future__ import annotations

import time


class Clock:
    """Says when the next checkpoint is due: after so many seconds, and later after a tenth of the time so far.

    So there are some hundred commits at most, however long an import takes.

    Args:
        seconds: The least between two checkpoints.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is; if so, the time until the next one begins."""
        now = time.monotonic()
        due = now - self._last >= max(self._seconds, 0.1 * (now - self._begun))
        self._last = now if due else self._last
        return due
