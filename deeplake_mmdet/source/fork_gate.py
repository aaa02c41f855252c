"""No fork while a thread is inside Deep Lake: such a fork crashes or freezes the process.

Every read of this package passes the gate. A fork waits until the readers are out and keeps new ones waiting until it
is done. Readers do not exclude each other.

Deep Lake prepares for a fork in a wrapper of ``os.fork`` of its own, and it is this preparation that must find no
thread inside. So the gate has to stand before it, where no hook of ``os.register_at_fork`` reaches: once a dataset is
opened, `guard_forks` wraps Deep Lake's wrapper.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deeplake_mmdet.errors import SourceError

# Reads of remote data end by their own deadlines before this.
_PATIENCE_S = 700

_condition = threading.Condition()
_readers = 0
_forks = 0
_inside = threading.local()
_unguarded: Callable[[], int] | None = None
_caches_on_disk = False


@contextmanager
def reading() -> Iterator[None]:
    """Mark this thread as being inside Deep Lake; wait for forks to end before going in."""
    global _readers
    with _condition:
        depth = getattr(_inside, 'depth', 0)
        _condition.wait_for(lambda: depth or not _forks)
        _readers += 1
        _inside.depth = depth + 1
    try:
        yield
    finally:
        with _condition:
            _readers -= 1
            _inside.depth -= 1
            _condition.notify_all()


def guard_forks() -> None:
    """Let every ``os.fork`` of this process pass the gate; harmless when called again."""
    import deeplake  # noqa: F401  puts its own wrapper in place

    global _unguarded, _caches_on_disk
    with _condition:
        if _unguarded is None:
            _unguarded, os.fork = os.fork, _fork
            _caches_on_disk = bool(os.environ.get('DEEPLAKE_FS_CACHE_PATH'))


def _fork() -> int:
    assert _unguarded is not None
    if _caches_on_disk:
        raise SourceError(
            'DEEPLAKE_FS_CACHE_PATH is set, and forked processes crash in that cache of Deep Lake. Start workers anew '
            "with env_cfg.mp_cfg.mp_start_method='spawn', or unset the variable."
        )
    _close()
    pid = -1
    try:
        pid = _unguarded()
    finally:
        if pid == 0:
            _begin_anew()
        else:
            _reopen()
    return pid


def _close() -> None:
    global _forks
    _condition.acquire()
    _forks += 1
    own = getattr(_inside, 'depth', 0)
    _condition.wait_for(lambda: _readers <= own, timeout=_PATIENCE_S)


def _reopen() -> None:
    global _forks
    _forks -= 1
    _condition.notify_all()
    _condition.release()


def _begin_anew() -> None:
    """In the child, of all threads only the one that forked lives on."""
    global _condition, _readers, _forks
    _condition = threading.Condition()
    _readers = getattr(_inside, 'depth', 0)
    _forks = 0
