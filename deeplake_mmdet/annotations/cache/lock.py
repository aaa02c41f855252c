"""Locks on files: of one process that makes or checks something, and of all that use it.

They are the kernel's own (``flock``), which ends them with their holder, however suddenly that dies. So no lock is ever
left behind, and none has to be broken.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_LONGEST_PAUSE_S = 0.02


class FileLock:
    """A lock that one process has at a time.

    Args:
        path: A file for it, made where it is missing. It stays, and its holder may write to it.

    Attributes:
        path: The same.
        descriptor: Of the file, while it is locked; else None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor: int | None = None

    def acquire(self, patience_s: float) -> bool:
        """Lock it; gives whether that worked within so many seconds.

        Raises:
            OSError: The file cannot be made, or its file system has no locks.
        """
        end, pause = time.monotonic() + patience_s, 0.001
        while not self._try():
            if time.monotonic() > end:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        return True

    def _try(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if try_lock(descriptor) and is_same_file(descriptor, self.path):
                self.descriptor = descriptor
        finally:
            if self.descriptor is None:
                os.close(descriptor)
        return self.descriptor is not None

    def release(self) -> None:
        """Unlock it, also where a process was forked meanwhile; does nothing where it is not locked."""
        if self.descriptor is not None:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            os.close(self.descriptor)
            self.descriptor = None


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; gives whether nobody's lock is in the way.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_same_file(descriptor: int, path: Path) -> bool:
    """Whether a path still leads to an open file: another process may have removed it before it was locked."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))
