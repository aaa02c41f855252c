"""One index in the cache: found, checked, written; whatever goes wrong with that is a remark, not an error."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from deeplake_mmdet.annotations.cache.folder import INDEX, LOCK, new_file, prepare
from deeplake_mmdet.annotations.cache.index_file import check, layout_of
from deeplake_mmdet.annotations.cache.layout import DamagedError
from deeplake_mmdet.annotations.cache.lock import FileLock
from deeplake_mmdet.annotations.cache.mapped import MappedFile
from deeplake_mmdet.annotations.cache.stamp import is_checked, note_checked, touch
from deeplake_mmdet.annotations.index import AnnotationIndex

# The lock of a process that died is free; one that holds it for longer than this is stuck.
_PATIENCE_S = 1800.0


class Entry:
    """The index of one key.

    Args:
        folder: Of the cache.
        key: See `deeplake_mmdet.annotations.cache.key`.

    Attributes:
        remarks: What was wrong, for the log.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.remarks: list[str] = []
        self._folder, self._key = folder, key
        self._path = folder / f'{key}{INDEX}'
        self._lock = FileLock(folder / f'{key}{LOCK}')

    @contextlib.contextmanager
    def locked(self) -> Iterator[str]:
        """Keep other processes from checking and writing it meanwhile; gives why that is not possible, or ''."""
        trouble = ''
        try:
            prepare(self._folder)
            if not self._lock.acquire(_PATIENCE_S):
                trouble = f'another process has been making {self._path} for {_PATIENCE_S:.0f} seconds'
        except OSError as error:
            trouble = str(error)
        try:
            yield trouble
        finally:
            self._lock.release()

    def find(self, *, unchecked: bool = False) -> MappedFile | None:
        """Its file, if there is one and it is whole.

        Args:
            unchecked: Whether a file that nobody checked yet is checked, and removed if it is damaged; otherwise it
                counts as missing. The lock should be held.
        """
        try:
            return self._whole(unchecked)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except DamagedError as error:
            trouble = f'is damaged and made anew: {error}'
            if unchecked:
                with contextlib.suppress(OSError):
                    os.unlink(self._path)
        except OSError as error:
            trouble = f'cannot be used: {error}'
        if unchecked:
            self.remarks.append(f'The file of cached annotations {self._path} {trouble}.')
        return None

    def _whole(self, unchecked: bool) -> MappedFile | None:
        file = MappedFile(self._path)
        if file.words['key'] != self._key:
            raise DamagedError('it was made for another key')
        if is_checked(self._lock.path, file.identity):
            touch(self._lock.path)
            return file
        if not unchecked:
            return None
        check(file)
        self._note_checked(file)
        return file

    def write(self, index: AnnotationIndex, remarks: Sequence[str]) -> MappedFile | None:
        """Write its file; gives None where that fails. The lock must be held.

        Args:
            index: The annotations.
            remarks: What was noticed on reading them.
        """
        layout = layout_of(index, self._key, remarks)
        try:
            with new_file(self._folder, layout.size) as file:
                layout.write(file)
                os.rename(file.name, self._path)
            found = MappedFile(self._path)
        except (OSError, DamagedError) as error:
            self.remarks.append(not_cached(str(error)))
            return None
        self._note_checked(found)
        return found

    def _note_checked(self, file: MappedFile) -> None:
        if self._lock.descriptor is not None:
            note_checked(self._lock.descriptor, self._lock.path, file.identity)


def not_cached(why: str) -> str:
    """For the log."""
    return f'The annotations are not cached, so that every process reads them by itself: {why}.'
