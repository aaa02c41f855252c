"""What each worker of a dataloader is reading, told so that it is still known when the worker is dead.

A process that the kernel kills says nothing more. So a worker writes the row that it begins to read into memory that it
shares with the main process, which looks there when PyTorch reports that a worker died or gave no batch in time.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any
from weakref import WeakSet

_SHOWN = 8  # rows of a batch
_HEAD = struct.Struct('=qd?H')  # process, time of the note, whether it is being read, bytes of the text
_TEXT = 500
_all: WeakSet[Readings] = WeakSet()
_own: Any = None  # the slot of this process, where it is a worker


@dataclass(frozen=True)
class Reading:
    """What one worker reads.

    Attributes:
        worker: Its number in its dataloader, and `workers` the number of them.
        pid: Its process; 0 if it has not begun.
        what: Rows and dataset, for people; empty before the first one.
        now: Whether it was still at it when it last wrote.
        seconds: Time since then.
    """

    worker: int
    workers: int
    pid: int
    what: str
    now: bool
    seconds: float


class Readings:
    """A slot of shared memory for each worker of a dataloader, which its ``worker_init_fn`` carries to them.

    Args:
        workers: Number of workers.
    """

    def __init__(self, workers: int) -> None:
        self._slots = [RawArray('B', _HEAD.size + _TEXT) for _ in range(workers)]
        _all.add(self)

    def open(self, worker: int) -> None:
        """Let this process, a worker, write into its slot."""
        global _own
        _own = self._slots[worker]
        _write('', now=False)

    def read(self) -> list[Reading]:
        """What each worker reads."""
        return [self._of(worker) for worker in range(len(self._slots))]

    def _of(self, worker: int) -> Reading:
        slot = bytes(self._slots[worker])
        pid, since, now, length = _HEAD.unpack_from(slot)
        what = slot[_HEAD.size : _HEAD.size + length].decode('utf-8', 'ignore')
        return Reading(worker, len(self._slots), pid, what, now, time.monotonic() - since)


class NotingWorker:
    """A ``worker_init_fn`` after which a worker notes what it reads.

    Args:
        readings: Where.
        before: The loader's own ``worker_init_fn``, or None.
    """

    def __init__(self, readings: Readings, before: Callable[[int], Any] | None) -> None:
        self._readings = readings
        self._before = before

    def __call__(self, worker: int) -> None:
        self._readings.open(worker)
        if self._before is not None:
            self._before(worker)


def all_readings() -> list[Reading]:
    """Of the workers of all dataloaders of this process that still exist, those that have begun."""
    return [reading for readings in _all for reading in readings.read() if reading.pid]


def is_noted() -> bool:
    """Whether this process is a worker that notes what it reads."""
    return _own is not None


def begin(rows: Sequence[int], img_ids: Sequence[Any], source: Any) -> None:
    """Note that some rows are being read now; only where `is_noted`.

    Args:
        rows: Row numbers.
        img_ids: Ids of their images.
        source: What has the rows, in words.
    """
    named = [f'{row} (img_id {img_id})' for row, img_id in zip(rows[:_SHOWN], img_ids[:_SHOWN], strict=True)]
    more = f' and {len(rows) - _SHOWN} more' if len(rows) > _SHOWN else ''
    _write(f'row{"s" if len(rows) > 1 else ""} {", ".join(named)}{more} of {source}', now=True)


def end() -> None:
    """Note that what was begun is read."""
    if _own is not None:
        pid, _, _, length = _HEAD.unpack_from(_own)
        _HEAD.pack_into(_own, 0, pid, time.monotonic(), False, length)


def _write(what: str, *, now: bool) -> None:
    text = what.encode('utf-8', 'replace')[:_TEXT]
    struct.pack_into(f'{_HEAD.format}{_TEXT}s', _own, 0, os.getpid(), time.monotonic(), now, len(text), text)
