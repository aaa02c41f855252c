"""What PyTorch says of a worker that died or is stuck, said with the row that it was reading.

PyTorch's own errors know no more than a process number, and on Linux they are raised wherever the main process happens
to be, not only where it waits for a batch. So they are looked at where a run ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dist import get_rank

from deeplake_mmdet.datasets.being_read import Reading, all_readings
from deeplake_mmdet.errors import DeepLakeMMDetError, WorkerError

_DIED = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*)', re.DOTALL)
_STUCK = re.compile(r'DataLoader timed out after ([\d.]+) seconds')
_SIGNALS = {signal.strsignal(number): number for number in signal.valid_signals()}
_MEMORY = (
    'Mostly it is the kernel that does so, when memory runs out (its log, dmesg, tells): set fewer num_workers, a '
    'smaller batch_size or prefetch_factor.'
)
_CRASH = (
    'A damaged image, a transform, or a file of the dataset that is gone can crash a process: draw the row with '
    'deeplake-mmdet show DATASET ROW --out row.png, and train with num_workers=0 to see where it crashes. A query can '
    'leave the row out.'
)
_ADVICE = {
    'SIGKILL': _MEMORY,
    'SIGBUS': 'Shared memory (/dev/shm) is probably full: enlarge it (docker run --shm-size), or set fewer '
    'num_workers, a smaller batch_size or prefetch_factor.',
    'SIGTERM': 'Somebody ended it.',
}


@contextlib.contextmanager
def rows_named() -> Iterator[None]:
    """Within it, errors of PyTorch about workers are raised with what these workers were reading.

    Raises:
        WorkerError: A worker died, or gave no batch in time.
    """
    try:
        yield
    except RuntimeError as error:
        # Of two errors, one raised from the other, the first one says how the worker ended.
        named = worker_error(f'{error.__cause__ or ""}') or worker_error(str(error))
        if named is None and str(error).startswith('Pin memory thread'):
            named = _just_died()
        if named is None:
            raise
        raise named from error
    except (EOFError, ConnectionError, FileNotFoundError) as error:
        # A batch's memory is handed over by the worker that made it; this one was dead already.
        named = None if isinstance(error, DeepLakeMMDetError) else _just_died()
        if named is None:
            raise
        raise named from error


def worker_error(message: str) -> WorkerError | None:
    """What PyTorch says of a worker, with the rows; None if it says something else, or of a worker that notes none."""
    stuck, died = _STUCK.search(message), _DIED.search(message)
    readings = all_readings()
    if stuck is not None:
        return _stuck(float(stuck[1]), readings)
    if died is None:
        return None
    pids = {int(pid) for pid in died[1].split(',')}
    dead = [reading for reading in readings if reading.pid in pids]
    return _died(died[2], dead) if dead else None


def _died(how: str, dead: Sequence[Reading]) -> WorkerError:
    found = re.match(r'is killed by signal: (.*?)\. ', how)
    number = _SIGNALS.get(found[1]) if found else None
    name = signal.Signals(number).name if number else ''
    code = re.match(r'exited unexpectedly with exit code (\d+)', how)
    ended = f'was killed by {name}' if name else f'ended with exit code {code[1]}' if code else 'was killed or crashed'
    advice = _ADVICE.get(name, _CRASH) if name or code else f'{_MEMORY} {_CRASH}'
    said = ' '.join(f'{_named(reading)} {ended} {_at(reading)}.' for reading in dead)
    return WorkerError(f'Rank {get_rank()}: {said} {advice}')


def _just_died() -> WorkerError | None:
    """The error of a worker that died while it was reading."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            time.sleep(0.02)
            alive = _children()
        except RuntimeError as error:  # what PyTorch raises wherever the main process is
            return worker_error(str(error))
        dead = [reading for reading in all_readings() if reading.now and reading.pid not in alive]
        if dead:
            return _died('', dead)
    return None


def _stuck(seconds: float, readings: Sequence[Reading]) -> WorkerError | None:
    """The workers that are at something are the stuck ones; the others have given what they were asked for."""
    children = _children()
    alive = [reading for reading in readings if reading.pid in children]
    busy = [reading for reading in alive if reading.now] or alive
    if not busy:
        return None
    busy.sort(key=lambda reading: -reading.seconds)
    said = ' '.join(
        f'{_named(reading)} is stuck {_at(reading)}, for {reading.seconds:.0f} seconds.' for reading in busy
    )
    _end([children[reading.pid] for reading in busy])
    return WorkerError(
        f'Rank {get_rank()}: no batch came within {seconds:g} seconds. {said} Check the network and the storage, and '
        'draw the row with deeplake-mmdet show DATASET ROW --out row.png. If batches may take longer, write so: '
        'train_dataloader.timeout, val_dataloader.timeout or test_dataloader.timeout, in seconds; 0 waits for ever.'
    )


def _named(reading: Reading) -> str:
    return f'Worker {reading.worker} of {reading.workers} of a dataloader (process {reading.pid})'


def _at(reading: Reading) -> str:
    if not reading.what:
        return 'before it read anything'
    return f'{"while it read" if reading.now else "after it had read"} {reading.what}'


def _children() -> dict[int, Any]:
    """The child processes that have not ended, by number."""
    return {int(child.pid or 0): child for child in multiprocessing.active_children()}


def _end(stuck: Sequence[Any]) -> None:
    """End processes that may be deaf to anything else: waited for at the end of this one, they would keep it."""
    end = time.monotonic() + 1
    while time.monotonic() < end and any(child.is_alive() for child in stuck):
        # PyTorch's handler of the signal that a child has died raises once more, wherever this process is.
        with contextlib.suppress(RuntimeError):
            for child in stuck:
                child.kill()
            time.sleep(0.02)
