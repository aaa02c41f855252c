"""Where a dataset is written: a local folder appears under its name only when it is complete.

A local dataset is written beside its destination under a hidden name and renamed at the end, so that neither an error
nor a killed process leaves something that looks finished, and ``overwrite`` loses the old dataset only to a complete
new one. Remote storage knows no rename: there the dataset is written in place and deleted on failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import deeplake

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.format3.open import is_format3


class Destination:
    """A place for one new dataset.

    Args:
        path: A local folder, or a URL that Deep Lake can write to.
        overwrite: Replace a Deep Lake dataset that is there already (local folders only).
        sources: Local files and folders that are being converted, which the destination must not contain.

    Raises:
        ConversionError: When something is there that may not be replaced.
    """

    def __init__(self, path: str | os.PathLike, *, overwrite: bool = False, sources: Sequence[str | Path] = ()) -> None:
        self.path = os.fspath(path)
        self.is_local = '://' not in self.path
        if '@' in os.path.abspath(self.path):
            self._refuse('no @ in the path', 'Deep Lake takes what follows it for a branch', 'Choose another path')
        if self.is_local:
            self._final = Path(self.path).expanduser().resolve()
            self._refuse_local(overwrite, sources)
        elif deeplake.exists(self.path):
            self._refuse(
                'no dataset to be there', 'there is one', 'Choose another path; only local folders can be overwritten'
            )
        elif is_format3(self.path.rstrip('/'), Credentials()):  # a failure would delete it together with what we wrote
            self._refuse('no dataset to be there', 'there is one of format 3', 'Choose another path')

    def _refuse(self, expected: str, got: str, remedy: str) -> NoReturn:
        raise ConversionError(f'convert(dst=) expected {expected}, but got {self.path!r}: {got}. {remedy}.')

    def _refuse_local(self, overwrite: bool, sources: Sequence[str | Path]) -> None:
        for source in sources:
            if self._final in (Path(source).resolve(), *Path(source).resolve().parents):
                self._refuse('a folder of its own', f'it holds {os.fspath(source)!r}', 'Choose another path')
        if not os.path.lexists(self._final) or self._is_empty_folder():
            return
        if not deeplake.exists(str(self._final)):
            self._refuse('a free path', 'something is there that is no Deep Lake dataset', 'Choose another path')
        if not overwrite:
            self._refuse(
                'a free path',
                'a dataset is there',
                'Choose another path, or pass --overwrite (overwrite=True) to replace it',
            )

    def _is_empty_folder(self) -> bool:
        return self._final.is_dir() and not self._final.is_symlink() and not any(self._final.iterdir())

    def _beside(self, word: str) -> Path:
        return self._final.with_name(f'.{self._final.name}.{word}-{os.getpid()}')

    def begin(self) -> str:
        """The path to write the dataset to now; any failure from here on calls for :meth:`discard`."""
        if not self.is_local:
            return self.path
        try:
            self._final.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._refuse('a path in a folder that can be written', f'{error.strerror}', 'Choose another path')
        shutil.rmtree(self._beside('partial'), ignore_errors=True)
        return str(self._beside('partial'))

    def keep(self) -> None:
        """Puts the finished dataset, whose handle is closed, in its place."""
        if not self.is_local:
            return
        old = self._beside('replaced')
        if os.path.lexists(self._final):
            os.rename(self._final, old)
        os.rename(self._beside('partial'), self._final)
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Removes whatever was written since :meth:`begin`."""
        if self.is_local:
            shutil.rmtree(self._beside('partial'), ignore_errors=True)
        elif deeplake.exists(self.path):
            deeplake.delete(self.path)
