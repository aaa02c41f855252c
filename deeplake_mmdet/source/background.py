"""Blocking work in a thread, in the form of a Deep Lake future, so that one way of waiting serves both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Task:
    """A call in a thread of its own, which does not keep the interpreter from ending.

    Args:
        work: What to call. Its argument says, when called, whether the result is still wanted.
    """

    def __init__(self, work: Callable[[Callable[[], bool]], Any]) -> None:
        self._done, self._given_up = threading.Event(), threading.Event()
        self._result: Any = None
        self._error: Exception | None = None
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[Callable[[], bool]], Any]) -> None:
        try:
            self._result = work(lambda: not self._given_up.is_set())
        except Exception as error:  # raised where the result is asked for
            self._error = error
        self._done.set()

    def is_completed(self) -> bool:
        """Whether there is a result or an error."""
        return self._done.is_set()

    def cancel(self) -> None:
        """Tell the work that nobody waits for it any more; it ends when it looks."""
        self._given_up.set()

    def result(self) -> Any:
        """What the call returned, or raised; to be asked for when it is completed."""
        if self._error is not None:
            raise self._error
        return self._result
