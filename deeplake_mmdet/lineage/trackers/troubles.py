"""What a tracker failed to record: said once for each reason, counted, and given up when it goes on."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from mmengine.logging import print_log

from deeplake_mmdet.config.redaction import scrub
from deeplake_mmdet.errors import TrackerError

IN_A_ROW = 5  # failures of one kind of call, after which no more is made
STARTS = 3  # failures to begin a run, after which the tracker is given up
START = 'the run'  # the kind of the call that begins it
_LONGEST = 300  # characters of a reason


class Troubles:
    """The failures of one tracker.

    Args:
        tracker: Its name in messages.
        strict: Whether a failure is to be raised instead of logged.
    """

    def __init__(self, tracker: str, strict: bool) -> None:
        self._tracker, self._strict = tracker, strict
        self._lost: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._said: set[str] = set()
        self._given_up: set[str] = set()
        self._to_raise: str | None = None
        self._lock = threading.Lock()

    def given_up(self, kind: str) -> bool:
        """Whether calls of a kind are made no more."""
        return START in self._given_up or kind in self._given_up

    def went_well(self, kind: str) -> None:
        """Note that a call was made."""
        self._in_a_row[kind] = 0

    def failed(self, kind: str, error: BaseException) -> None:
        """Note that a call failed, and say so if it is a new failure."""
        self._in_a_row[kind] += 1
        reason = reason_of(error)
        missing = isinstance(error, ImportError)
        self.say(f'The tracker {self._tracker} could not record {kind}: {reason}. {_meaning(kind)}', f'{kind} {reason}')
        if missing or self._in_a_row[kind] >= (STARTS if kind == START else IN_A_ROW):
            self._give_up(kind)

    def lose(self, kind: str, number: int = 1) -> None:
        """Count calls that were not made, or failed."""
        with self._lock:
            self._lost[kind] += number

    def full(self, kind: str) -> None:
        """Note that a call was left out because too many of its kind wait."""
        self.lose(kind)
        self.say(
            f'The tracker {self._tracker} is slower than the run: {kind} are left out while as many wait as may. The '
            'run goes on at its own pace.',
            f'{kind} full',
        )

    def say(self, message: str, key: str | None = None) -> None:
        """Log a warning, once for each key; in strict mode the first one is raised by `check`."""
        with self._lock:
            if (key or message) in self._said:
                return
            self._said.add(key or message)
            if self._strict and self._to_raise is None:
                self._to_raise = message
                return
        print_log(message, logger='current', level=logging.WARNING)

    def check(self) -> None:
        """Raise the first failure, in strict mode.

        Raises:
            TrackerError: Something could not be recorded.
        """
        message, self._to_raise = self._to_raise, None
        if message:
            raise TrackerError(f'{message} (Trackers are strict in this run.)')

    def summarize(self) -> None:
        """Say how much is missing."""
        with self._lock:
            lost = ', '.join(f'{number} of {kind}' for kind, number in self._lost.most_common() if number)
        if lost:
            self.say(f'The tracker {self._tracker} lacks calls of this run: {lost}. See the warnings above for why.')

    def _give_up(self, kind: str) -> None:
        self._given_up.add(kind)
        what = 'The tracker is given up for this run' if kind == START else f'No further {kind} are sent to it'
        self.say(f'{what}: {self._tracker} failed {self._in_a_row[kind]} times in a row.', f'{kind} given up')


def reason_of(error: BaseException) -> str:
    """An error in one line, without secrets; of what is not installed, the command that installs it."""
    text = ' '.join(scrub(str(error)).split())
    if isinstance(error, ImportError):
        package = (error.name or '').partition('.')[0]
        return f'it is not installed ({text})' + (f'; run: pip install {package}' if package else '')
    return f'{type(error).__name__}: {text[:_LONGEST]}{"…" if len(text) > _LONGEST else ""}'.rstrip('. :')


def _meaning(kind: str) -> str:
    missing = 'it records nothing of this run' if kind == START else f'{kind} will be missing there'
    return f'The run goes on; {missing}. The same failure is not repeated here.'
