"""When one rank fails, the others learn why, and end within seconds.

They wait for it in a collective operation: half an hour with gloo, ten minutes with NCCL, and then they know no more
than that nobody came. So a rank that fails leaves its message in the store through which the ranks met, and on each
rank a thread looks there once a second. Nothing else would do: the main thread is deaf while it waits.

Ranks that fail alike, as all do of a wrong config, end by their own errors; those that are caught are counted, so that
the next run in the same processes does not take an old message for its own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from deeplake_mmdet.config.redaction import scrub
from deeplake_mmdet.engine.fresh_store import is_kept_between_lives

_LOOK_S = 1.0  # between two looks
_GRACE_S = 10.0  # for a rank that has heard of a failure to end by an error of its own
_LEAVE_S = 60.0  # for a rank that failed to end, which may wait for what is gone or stuck
_LINGER_S = 5.0  # for the others to hear of a failure of the rank that has the store
_KEY = 'deeplake_mmdet/failure'

_failures = 0  # that this process took part in
_inside: _Watch | None = None


@contextlib.contextmanager
def failures_told() -> Iterator[None]:
    """Within it, the other ranks are told of an error that leaves it, and this rank is ended if another one fails."""
    global _inside
    store = None if _inside is not None else _store()
    if store is None:
        yield
        return
    _inside = watch = _Watch(store)
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:  # an exit on purpose is none
        watch.tell(error)
        raise
    finally:
        watch.left.set()
        _inside = None


def _store() -> Any:
    """The store of the ranks, over a connection that only this module uses; None if there is none."""
    import torch.distributed as dist
    from torch.distributed import distributed_c10d

    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return None
    store = distributed_c10d._get_default_store()
    try:  # one connection does one thing at a time, and the main thread may wait on it
        return store.clone() if hasattr(store, 'clone') else store
    except dist.DistError:  # it is gone, with the rank that had it
        return None


class _Watch:
    """Looks for failures of other ranks.

    Args:
        store: The store of the ranks.

    Attributes:
        left: Set when there is nothing to be ended any more.
    """

    def __init__(self, store: Any) -> None:
        import torch.distributed as dist

        self.left = threading.Event()
        self._store = store
        self._first = ''  # what was said of the first failure
        self._rank = dist.get_rank()
        self._key = f'{_KEY}/{_failures}'
        self._heard = [f'{self._key}/heard by {rank}' for rank in range(dist.get_world_size())]
        threading.Thread(target=self._look, daemon=True).start()

    def tell(self, error: BaseException) -> None:
        """Leave a message, unless another rank did; then say which."""
        global _failures
        _failures += 1
        threading.Thread(target=_end_late, daemon=True).start()
        own = scrub(f'rank {self._rank}: {type(error).__name__}: {error}')
        with contextlib.suppress(Exception):  # the store may be gone, with the rank that has it
            self._first = self._first or self._store.compare_set(self._key, '', own).decode('utf-8', 'replace')
            self._store.set(self._heard[self._rank], '')
            if self._first == own and self._rank == 0 and not is_kept_between_lives():
                self._linger()
        if self._first not in ('', own):
            _say(f'The run failed first on {self._first}')

    def _linger(self) -> None:
        """The store ends with this process: wait until the others have looked."""
        end = time.monotonic() + _LINGER_S
        while not self._store.check(self._heard) and time.monotonic() < end:
            time.sleep(_LOOK_S / 10)

    def _look(self) -> None:
        try:
            while not self._store.check([self._key]):
                if self.left.wait(_LOOK_S):
                    return
            self._first = self._store.get(self._key).decode('utf-8', 'replace')
            if not self.left.is_set():
                self._store.set(self._heard[self._rank], '')
        except Exception:  # the store is gone: what waits for its rank will say so
            return
        if not self.left.wait(_GRACE_S):
            _say(f'Rank {self._rank} ends, because the run failed on {self._first}')
            _end()


def _say(text: str) -> None:
    import logging

    from mmengine.logging import print_log

    print_log(text, logger='current', level=logging.ERROR)


def _end_late() -> None:
    """End this process when it should have ended by itself after its main thread."""
    threading.main_thread().join()
    time.sleep(_LEAVE_S)
    _end()


def _end() -> None:
    """End this process from a thread, and its workers with it, which may be stuck."""
    for child in multiprocessing.active_children():
        child.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
