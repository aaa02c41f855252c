"""A line that says how far a long command is, how fast it goes, and how long it will still take.

On a terminal it is rewritten; elsewhere, as in a log, a new one is written now and then.
"""

from __future__ import annotations

import sys
import time

_TERMINAL_S, _LOG_S = 0.1, 30.0


class ProgressLine:
    """Shows progress on the standard error stream; called with what is done and what there is in all.

    The first call says where the work begins: at more than 0 when an earlier run did a part of it.

    Args:
        what: Is counted, for the line.
    """

    def __init__(self, what: str = 'images') -> None:
        self._what = what
        self._live = sys.stderr.isatty()
        self._begun: tuple[float, int] | None = None  # when the first of this run was done, and the count then
        self._first: int | None = None
        self._shown_at = time.monotonic()
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done
            self._say_first(done, total)
            return
        self._begun = self._begun or (now, done)
        if now - self._shown_at > (_TERMINAL_S if self._live else _LOG_S) or (self._live and done == total):
            self._shown_at = now
            self._show(f'{done}/{total} {self._what}{self._speed(now, done, total)}')

    def _say_first(self, done: int, total: int) -> None:
        if done:
            self._line(f'resuming at {self._what[:-1]} {done + 1} of {total}' if done < total else 'finishing')
        elif self._live:
            self._show(f'{done}/{total} {self._what}')

    def _show(self, text: str) -> None:
        if not self._live:
            self._line(text)
            return
        print('\r' + text.ljust(self._width), end='', file=sys.stderr, flush=True)
        self._width = len(text)

    def _speed(self, now: float, done: int, total: int) -> str:
        begun, first = self._begun or (now, done)
        if done <= first or now <= begun:
            return ''
        rate = (done - first) / (now - begun)
        return f', {rate:.4g}/s, {duration((total - done) / rate)} left' if done < total else f', {rate:.4g}/s'

    def _line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leaves the line, when there is one."""
        if self._width:
            self._width = 0
            print(file=sys.stderr)


def duration(seconds: float) -> str:
    """A time in words: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} min {whole % 60:02d} s'
    return f'{whole // 3600} h {whole % 3600 // 60:02d} min'
