"""Calls that one thread makes, in their order, while whoever asked for them goes on.

A tracker has one courier, because MLflow knows its active run by the thread. What waits is bounded by kind, so that
neither pictures fill the memory, nor thousands of losses displace a record.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LIMITS = {'losses': 1000, 'images': 64}  # calls that may wait
_LIMIT = 200  # of any other kind


@dataclass(eq=False)
class Letter:
    """One call.

    Attributes:
        kind: What it records, such as ``'losses'``; how messages name it, and what limits it.
        call: The call.
        done: Set once it was made.
        result: What it returned.
        error: What it raised.
    """

    kind: str
    call: Callable[[], Any]
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None


class Courier:
    """Has letters delivered by a daemon thread, which begins with the first one.

    Args:
        name: Of the thread.
        deliver: Makes the call of a letter; raises nothing.
    """

    def __init__(self, name: str, deliver: Callable[[Letter], None]) -> None:
        self._name, self._deliver = name, deliver
        self._changed = threading.Condition()
        self._waiting: deque[Letter] = deque()
        self._counts: Counter[str] = Counter()
        self._under_way: Letter | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def send(self, letter: Letter) -> bool:
        """Whether the letter was taken: not where too many of its kind wait, or the courier was stopped."""
        with self._changed:
            if self._stopped or self._counts[letter.kind] >= LIMITS.get(letter.kind, _LIMIT):
                return False
            self._waiting.append(letter)
            self._counts[letter.kind] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return True

    def wait(self, seconds: float) -> bool:
        """Whether all letters were delivered, after so long at most."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._left(), seconds)

    def stop(self) -> Counter[str]:
        """Deliver no further letter and take none; gives what was not delivered, by kind, a call under way included."""
        with self._changed:
            left = Counter(letter.kind for letter in self._left())
            self._waiting.clear()
            self._stopped = True
            self._changed.notify_all()
        return left

    @property
    def stopped(self) -> bool:
        """Whether nobody waits for what is still under way."""
        return self._stopped

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is the thread that delivers."""
        return threading.current_thread() is self._thread

    def _left(self) -> list[Letter]:
        return [*filter(None, [self._under_way]), *self._waiting]

    def _work(self) -> None:
        while (letter := self._next()) is not None:
            self._deliver(letter)
            letter.done.set()

    def _next(self) -> Letter | None:
        with self._changed:
            self._under_way = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._stopped)
            if self._stopped:
                return None
            self._under_way = self._waiting.popleft()
            self._counts[self._under_way.kind] -= 1
            return self._under_way
