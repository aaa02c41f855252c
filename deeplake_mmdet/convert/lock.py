"""One import at a time to one local destination: a lock file that dies with the process which holds it.

The file holds the number of that process, for the message. What counts is the operating system's lock on it, which is
gone as soon as the process is, however it ended: so a file that a killed process left behind stops nobody.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from deeplake_mmdet.errors import ConversionError


class ImportLock:
    """The lock of one destination, taken.

    Args:
        path: Of the lock file; it is removed when the lock is released.
        destination: For the message.
        owner: Who takes it, for the message.
        argument: Its argument that names the destination, for the message.

    Raises:
        ConversionError: Another process, or another thread of this one, holds the lock.
    """

    def __init__(self, path: Path, destination: str, owner: str = 'convert', argument: str = 'dst') -> None:
        self._path = path
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(self._file, 20).decode(errors='replace').strip() or 'unknown'
                os.close(self._file)
                raise ConversionError(
                    f'{owner}({argument}=) expected {destination!r} for itself, but got a destination that the process '
                    f'{holder} is writing to. Wait for it to end, or end it.'
                ) from None
            if self._is_current():
                break
            os.close(self._file)  # its last holder removed it in the meantime
        os.ftruncate(self._file, 0)
        os.write(self._file, f'{os.getpid()}\n'.encode())

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Gives the lock back."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)
