"""Where a dataset is written: a local folder appears under its name only when it is complete.

A new local dataset is written in a hidden folder beside its destination and renamed at the end, so that neither an
error nor a killed process leaves something that looks finished, and ``overwrite`` loses the old dataset only to a
complete new one. Remote storage knows no rename: there the dataset is written in place, and so are rows that are added
to a dataset; what keeps them apart until all are there is a branch, see `deeplake_mmdet.convert.unfinished`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import deeplake

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.convert.dataset_folder import dataset_around, foreign_entry
from deeplake_mmdet.convert.lock import ImportLock
from deeplake_mmdet.convert.remote import RemotePlace
from deeplake_mmdet.convert.storage import storing
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.format3.open import is_format3
from deeplake_mmdet.source.unfinished import UNFINISHED, hidden_folder
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, wait


class Destination:
    """A place for one new dataset, or for new rows of one that is there.

    Args:
        path: A local folder, or a URL that Deep Lake can write to.
        overwrite: Replace a Deep Lake dataset that is there already (local folders only).
        append: Add to the Deep Lake dataset that is there; None where what writes never adds to one.
        sources: Local files and folders that are being converted, which the destination must not contain.
        credentials: What `deeplake_credentials` holds in a config, or None.
        owner: Who writes, for messages.

    Raises:
        ConversionError: When something is there that may not be replaced, or nothing that could be added to.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        overwrite: bool = False,
        append: bool | None = None,
        sources: Sequence[str | Path] = (),
        credentials: Any = None,
        owner: str = 'convert',
    ) -> None:
        self.path, self.owner = os.fspath(path), owner
        self.is_local = self.path.startswith('file://') or '://' not in self.path
        self.overwrite, self.append, self._can_append = overwrite, bool(append), append is not None
        self.credentials = Credentials.from_config(credentials)
        self._lock: ImportLock | None = None
        self._made: list[Path] = []  # folders on the way there, from the last to the first
        if not self.path:
            self.refuse('a local folder or a URL', 'that is none', 'Name the dataset to be made')
        if '@' in os.path.abspath(self.path):
            self.refuse('no @ in the path', 'Deep Lake takes what follows it for a branch', 'Choose another path')
        if self.is_local:
            self._final = Path(self.path.removeprefix('file://')).expanduser().resolve()
            self._check_sources(sources)
            self._put_back()
        else:
            self._remote = RemotePlace(self.path.rstrip('/'), self.credentials)
        self.check_free()

    def refuse(self, expected: str, got: str, remedy: str) -> NoReturn:
        """Raises a ConversionError in the house form that names the destination."""
        raise ConversionError(f'{self.owner}(dst=) expected {expected}, but got {self.path!r}: {got}. {remedy}.')

    def _check_sources(self, sources: Sequence[str | Path]) -> None:
        for source in sources:
            if self._final in (Path(source).resolve(), *Path(source).resolve().parents):
                self.refuse('a folder of its own', f'it holds {os.fspath(source)!r}', 'Choose another path')
        if (around := dataset_around(self._final)) is not None:
            self.refuse('a folder of its own', f'it is in that of the dataset {str(around)!r}', 'Choose another path')

    def check_free(self, *, unfinished: bool = True) -> None:
        """Refuses a place that may not be written to.

        Args:
            unfinished: Whether a finished dataset on which an import still has a branch passes.

        Raises:
            ConversionError: It says what is there, and how it could be replaced or added to.
        """
        head = None if self._is_free() else self.open(self.url)
        if head is None and self.append:
            self.refuse('a dataset to add to', 'there is none', 'Leave out --append (append=True) for the first import')
        elif head is None:
            self._check_no_other_data()
        elif self.append and not len(head):
            self.refuse('a finished dataset to add to', 'it has no rows', 'Finish its first import before')
        elif not (self.append or _is_blank(head) or (unfinished and UNFINISHED in head.branches.names())):
            self._check_replaceable()

    def _is_free(self) -> bool:
        if not self.is_local:
            return False
        empty = self._final.is_dir() and not self._final.is_symlink() and not any(self._final.iterdir())
        return empty or not os.path.lexists(self._final)

    def _check_no_other_data(self) -> None:
        if self.is_local and not self._is_free():
            self.refuse('a free path', 'something is there that is no Deep Lake dataset', 'Choose another path')
        if not self.is_local and is_format3(self._remote.url, self.credentials):
            self.refuse('a free path', 'a dataset of format 3 is there', 'Choose another path')
        if not self.is_local and (other := self._remote.first_key()):
            self.refuse('a free path', f'{other!r} is there, and no Deep Lake dataset', 'Choose another path')

    def _check_replaceable(self) -> None:
        remedy = 'Choose another path'
        if not self.is_local:
            add = ', or pass --append (append=True) to add to it' if self._can_append else ''
            self.refuse(
                'no dataset to be there', 'there is one', f'{remedy}{add}; only local folders can be overwritten'
            )
        if not self.overwrite:
            add = ', or --append (append=True) to add to it' if self._can_append else ''
            remedy = f'{remedy}, or pass --overwrite (overwrite=True) to replace it{add}'
            self.refuse('a free path', 'a dataset is there', remedy)
        if (foreign := foreign_entry(self._final)) is not None:
            got, remedy = f'{foreign!r} is there too, which would be lost', 'Move it away, or choose another path'
            self.refuse('a folder of nothing but the dataset to be replaced', got, remedy)

    @property
    def url(self) -> str:
        """Of the dataset when it is finished."""
        return str(self._final) if self.is_local else self._remote.url

    @property
    def workplace(self) -> str:
        """Where it is written: `url`, or the hidden folder beside it."""
        return str(hidden_folder(self._final)) if self.is_local and not self.append else self.url

    @property
    def is_hidden(self) -> bool:
        """Whether `workplace` is another place than `url`."""
        return self.workplace != self.url

    def open(self, url: str, *, writable: bool = False) -> Any:
        """The Deep Lake dataset at `url` or `workplace`; None when there is none.

        Raises:
            ImportStoppedError: The storage failed.
        """
        arguments = self.credentials.open_arguments()
        if self.is_local and not os.path.isdir(url):
            return None
        with storing(self):
            if not wait(deeplake.exists_async(url, **arguments), f'Looking for {url}', OPEN_DEADLINE_S):
                return None
            opening = deeplake.open_async if writable else deeplake.open_read_only_async
            return wait(opening(url, **arguments), f'Opening {url}', OPEN_DEADLINE_S)

    def create(self) -> Any:
        """A new Deep Lake dataset at `workplace`."""
        return deeplake.create(self.workplace, **self.credentials.open_arguments())

    def begin(self) -> None:
        """Takes the place; any failure from here on calls for `discard` or `release`.

        Raises:
            ConversionError: Another process has it, or the folder cannot be written.
        """
        if self.is_local:
            self._lock = self._take_lock()

    def _take_lock(self) -> ImportLock:
        try:
            self._make_parent()
            return ImportLock(self._final.with_name(f'.{self._final.name}.import-lock'), self.path, self.owner)
        except OSError as error:
            self.refuse('a path in a folder that can be written', f'{error.strerror}', 'Choose another path')

    def _make_parent(self) -> None:
        parents = [self._final.parent, *self._final.parent.parents]
        self._made = [folder for folder in parents if not folder.exists()]
        self._final.parent.mkdir(parents=True, exist_ok=True)

    @property
    def _set_aside(self) -> Path:
        return self._final.with_name(f'.{self._final.name}.replaced')

    def _put_back(self) -> None:
        """Mends what a process left behind that was killed while it replaced the old dataset by the new one."""
        if not os.path.lexists(self._set_aside):
            return
        lock = self._take_lock()
        try:
            if not os.path.lexists(self._final):
                os.rename(self._set_aside, self._final)
            shutil.rmtree(self._set_aside, ignore_errors=True)
        finally:
            lock.release()

    def keep(self) -> None:
        """Puts the finished dataset, whose handles are closed, in its place."""
        if not self.is_hidden:
            return
        if os.path.lexists(self._final):
            os.rename(self._final, self._set_aside)
        os.rename(self.workplace, self._final)
        shutil.rmtree(self._set_aside, ignore_errors=True)

    def free_bytes(self) -> int | None:
        """How much more can be written; None where nobody can tell."""
        if not self.is_local:
            return None
        with suppress(OSError):
            return shutil.disk_usage(self.workplace if os.path.isdir(self.workplace) else self._final.parent).free
        return None

    def discard(self) -> None:
        """Removes a new dataset that was being written, and nothing else."""
        if not self.is_local:
            self._remote.remove_dataset()
        elif self.is_hidden:
            shutil.rmtree(self.workplace, ignore_errors=True)

    def release(self) -> None:
        """Gives the place back to others."""
        if self._lock:
            self._lock.release()
            self._lock = None
        with suppress(OSError):  # the first that holds something, and all above it
            for folder in self._made:
                folder.rmdir()


def _is_blank(head: Any) -> bool:
    """Whether a dataset has neither rows nor columns on its main branch, as before its first import has ended."""
    return not len(head) and not list(head.schema.columns)
