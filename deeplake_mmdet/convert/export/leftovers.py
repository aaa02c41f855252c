"""The hidden folders of an export beside its destination, and clearing away those of exports that were killed.

Who writes to such a folder holds the operating system's lock on it, which is gone as soon as the process is, however it
ended. A number of a process would not tell: on a shared disk it may be that of another machine or container.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path


class PartialFolder:
    """A new hidden folder beside a destination, locked until `release`.

    Args:
        final: The destination.

    Attributes:
        path: Of the folder, which whoever made it may rename or remove.
        replaced: Where what is at the destination may be set aside.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, final: Path) -> None:
        self.path = final.with_name(f'.{final.name}.partial-{os.getpid()}')
        self.replaced = _replaced(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        self._lock = _locked(self.path)

    def release(self) -> None:
        """Removes the folder, if it is still there, and gives the lock back."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def clear_leftovers(final: Path) -> None:
    """Removes the partial folders of exports that are dead, and puts back what one of them had only set aside."""
    with suppress(OSError):  # of a folder that may not be read or written, which the export says itself
        for partial in _siblings(final, 'partial'):
            lock = _locked(partial)
            if lock is not None:
                shutil.rmtree(partial, ignore_errors=True)
                os.close(lock)
        for replaced in _siblings(final, 'replaced'):
            if _partial(replaced).exists():
                continue
            if os.path.lexists(final):
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                os.rename(replaced, final)


def _siblings(final: Path, kind: str) -> list[Path]:
    start = f'.{final.name}.{kind}-'
    entries = final.parent.iterdir() if final.parent.is_dir() else ()
    return sorted(entry for entry in entries if entry.name.removeprefix(start).isdigit() and entry.is_dir())


def _replaced(partial: Path) -> Path:
    return partial.with_name('.replaced-'.join(partial.name.rsplit('.partial-', 1)))


def _partial(replaced: Path) -> Path:
    return replaced.with_name('.partial-'.join(replaced.name.rsplit('.replaced-', 1)))


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the lock on a folder; None where another process has it, or there are no locks."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
