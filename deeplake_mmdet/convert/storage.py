"""Failures of the storage that a dataset is written to: named, told apart from bad data, and survived.

Deep Lake's errors have no common base, some are nothing but a text, and a full disk is not among them. An import that
the storage stopped can go on later, unlike one whose data are wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from deeplake_mmdet.errors import ConversionError, DeepLakeMMDetError

if TYPE_CHECKING:
    from deeplake_mmdet.convert.destination import Destination

SPARE_BYTES = 4 * 2**20  # what a disk must have left for Deep Lake's logs
_MOST_PENDING = 2**30  # more than Deep Lake ever keeps back before it writes
_LOCK_PATIENCE_S = 90.0  # Deep Lake's lock on remote storage outlives a killed process by half a minute

Result = TypeVar('Result')


class ImportStoppedError(ConversionError):
    """An import stopped for a reason outside of the annotations, and can go on."""


@contextmanager
def storing(destination: Destination) -> Iterator[None]:
    """Turns what Deep Lake raises while it reads or writes a dataset into an error that says so.

    Raises:
        ImportStoppedError: The storage failed, or is full.
    """
    try:
        yield
    except DeepLakeMMDetError:
        raise
    except Exception as error:
        check_room(destination)
        text = destination.credentials.scrub(str(error)) or 'no further message'
        raise ImportStoppedError(
            f'convert(dst=) could not use the storage of {destination.path!r}: {type(error).__name__}: {text}. '
            'Check the path, the network and the credentials.'
        ) from None


class Room:
    """What may still be written to the disk of a destination.

    Deep Lake does not notice a full disk: it cuts off the chunks and empties the logs that it writes then. So there
    must be room for all that it was given since the last commit, of which it may have written nothing yet.

    Args:
        destination: Where to.

    Attributes:
        is_short: Whether a commit is due, because the next rows may find no room beside those that are not committed.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._pending = self._largest = 0
        self.is_short = False

    def take(self, nbytes: int) -> None:
        """Makes sure that there is room for more.

        Args:
            nbytes: What is going to be written.

        Raises:
            ImportStoppedError: There is none.
        """
        free = check_room(self._destination, min(self._pending, _MOST_PENDING) + nbytes)
        self._pending += nbytes
        self._largest = max(self._largest, nbytes)
        needed = min(self._pending, _MOST_PENDING) + 2 * self._largest + SPARE_BYTES
        self.is_short = free is not None and free < needed

    def settle(self) -> None:
        """Says that all is written, since there was a commit."""
        self._pending = 0
        self.is_short = False


def check_room(destination: Destination, nbytes: int = 0) -> int | None:
    """Refuses to write on a disk that is about to be full.

    Returns:
        How many bytes are free; None where nobody can tell.

    Raises:
        ImportStoppedError: It has no room for ``nbytes`` more.
    """
    free = destination.free_bytes()
    if free is not None and free < nbytes + SPARE_BYTES:
        raise ImportStoppedError(
            f'convert(dst=) expected room for {(nbytes + SPARE_BYTES) / 2**20:.0f} MB more at {destination.path!r}, '
            f'but got a full disk: {free / 2**20:.0f} MB are free. Make room, or choose another disk.'
        )
    return free


def patiently(change: Callable[[], Result]) -> Result:
    """Makes a change for which Deep Lake takes a lock, which a killed process may still hold for a while."""
    end = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            return change()
        except RuntimeError as error:  # raised after Deep Lake itself waited for five seconds
            if 'lock contended' not in str(error) or time.monotonic() > end:
                raise


def mend_counters(folder: Path) -> None:
    """Makes the counters of commits anew that a full disk emptied: each is one more than the last commit's number.

    Without them a dataset can be read, but never written again.

    Args:
        folder: Of a local dataset to which nobody is writing.
    """
    for counter in folder.glob('_deeplake_log/*/next_base'):
        if not counter.stat().st_size:
            numbers = [int(log.name[:10]) for log in counter.parent.glob('[0-9]*.jsonl*')]
            counter.write_bytes((max(numbers, default=0) + 1).to_bytes(8, 'little'))
