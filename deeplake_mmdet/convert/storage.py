"""Failures of the storage that a dataset is written to: named, told apart from bad data, and survived.

Deep Lake's errors have no common base, some are nothing but a text, and a full disk is not among them. An import that
the storage stopped can go on later, unlike one whose data are wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from deeplake_mmdet.errors import ConversionError, DeepLakeMMDetError

if TYPE_CHECKING:
    from deeplake_mmdet.convert.destination import Destination

SPARE_BYTES = 4 * 2**20  # what a disk must have left for Deep Lake's logs
_MOST_PENDING = 2**30  # more than Deep Lake ever keeps back before it writes
# Between two commits: the least and the most, and the share of all that was written, so that commits stay few.
_LEAST_BYTES, _MOST_BYTES, _SHARE = 256 * 2**20, 2 * 2**30, 1 / 32
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
            f'{destination.owner}(dst=) could not use the storage of {destination.path!r}: {type(error).__name__}: '
            f'{text}. Check the path, the network and the credentials.'
        ) from None


class Room:
    """What may still be written to the disk of a destination, and when a commit is due for the sake of room.

    Deep Lake does not notice a full disk: it cuts off the chunks and empties the logs that it writes then. So there
    must be room for all that it was given since the last commit, of which it may have written nothing yet. Until it
    has, that is in memory; a commit makes it write.

    Args:
        destination: Where to.

    Attributes:
        is_short: Whether a commit is due: the next rows may find no room on the disk beside those that are not
            committed, or these are so many that they could fill the memory.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._pending = self._largest = self._settled = 0
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
        is_full = free is not None and free < needed
        self.is_short = is_full or self._pending >= min(_MOST_BYTES, max(_LEAST_BYTES, _SHARE * self._settled))

    def settle(self) -> None:
        """Says that all is written, since there was a commit."""
        self._settled += self._pending
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
            f'{destination.owner}(dst=) expected room for {(nbytes + SPARE_BYTES) / 2**20:.0f} MB more at '
            f'{destination.path!r}, but got a full disk: {free / 2**20:.0f} MB are free. Make room, or choose another '
            'disk.'
        )
    return free


def nbytes_of(value: Any) -> int:
    """How many bytes the value of one row is, about; nothing for None."""
    if isinstance(value, np.ndarray | np.generic):
        return value.nbytes
    if isinstance(value, list):
        return sum(map(nbytes_of, value))
    return len(value) if isinstance(value, str | bytes) else 0


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
