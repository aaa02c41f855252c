"""Arrays in a file that processes map: they share its pages, and pass one another the place instead of the numbers."""

from __future__ import annotations

import mmap
import os
import stat
import weakref
from multiprocessing.context import get_spawning_popen
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.cache.layout import DamagedError, read_header
from deeplake_mmdet.annotations.cache.lock import try_lock
from deeplake_mmdet.errors import SourceError

# What tells one state of a file from every other one: its inode, its size in bytes, and its times of change.
Identity = tuple[int, int, int, int]


class MappedFile:
    """A file of arrays, mapped and not to be written to. As long as one of its arrays lives, nobody removes it.

    Args:
        path: Where it is.

    Raises:
        DamagedError: See `read_header`; what the arrays hold is not looked at.
        PermissionError: Other users of this machine could have written it.
        OSError: It cannot be read, or is being removed.

    Attributes:
        path: Where it is.
        identity: Of its present state.
        words: What was written into its header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self.identity = _identity(descriptor, path)
            if not try_lock(descriptor, shared=True) or not os.fstat(descriptor).st_nlink:
                raise FileNotFoundError(f'{path} is being removed')
            if not self.identity[1]:
                raise DamagedError('it is empty')
            # The map has a copy of the descriptor, and so the lock.
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self.words, self._arrays = read_header(self._map)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> MappedArray:
        """One of the arrays."""
        dtype, shape, place = self._arrays[name]
        array = MappedArray(shape, dtype, self._map, place)
        array.origin = (self, name)
        return array


class MappedArray(np.ndarray):
    """An array of a `MappedFile`. A child process that is being started gets its place; all else gets its numbers.

    Attributes:
        origin: The file, and the array's name in it; None of what was computed from such an array.
    """

    origin: tuple[MappedFile, str] | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.origin is None or get_spawning_popen() is None:
            return np.asarray(self).__reduce_ex__(protocol)
        file, name = self.origin
        return _attach, (str(file.path), file.identity, name)

    def __deepcopy__(self, memo: Any) -> Any:
        if self.origin is None:
            return np.asarray(self).__deepcopy__(memo)
        return self  # nobody can write to it


_attached: weakref.WeakValueDictionary[tuple[str, Identity], MappedFile] = weakref.WeakValueDictionary()


def _attach(path: str, identity: Identity, name: str) -> np.ndarray:
    """An array that the process which started this one has mapped."""
    file = _attached.get((path, identity))
    if file is None:
        try:
            file = MappedFile(Path(path))
            if file.identity != identity:
                raise DamagedError('it was changed')
        except (OSError, DamagedError) as error:
            raise SourceError(
                f'The cached annotations {path}, which this process was to share with the one that started it, cannot '
                f'be used: {error}. Start again; or do without, by DEEPLAKE_MMDET_CACHE=off.'
            ) from None
        _attached[path, identity] = file
    return file[name]


def _identity(descriptor: int, path: Path) -> Identity:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f'{path} could have been written by another user')
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
