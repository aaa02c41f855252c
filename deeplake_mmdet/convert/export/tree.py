"""Where an export goes: a folder that appears under its name only when it is complete, and holds nothing else.

It is written beside its destination under a hidden name and renamed at the end, as new datasets are. The list of its
files stays in it, so that an overwriting export can tell what an earlier one wrote: it replaces a folder of such files
only, and refuses one in which anybody has put something else.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn

from deeplake_mmdet.convert.export.leftovers import PartialFolder, clear_leftovers
from deeplake_mmdet.convert.images import safe_path
from deeplake_mmdet.errors import ConversionError, DeepLakeMMDetError

MANIFEST = '.deeplake-export.json'


class ExportTree:
    """A new folder of files; use it in a ``with`` block that ends with :meth:`finish`.

    Args:
        dst: The folder.
        overwrite: Replace a folder that an earlier export wrote.
        dataset: Where the dataset is that is exported; it must not be touched.

    Raises:
        ConversionError: Something is there that may not be replaced, or ``dst`` is no place for an export.
    """

    def __init__(self, dst: str | os.PathLike, *, overwrite: bool = False, dataset: str = '') -> None:
        self.path = os.fspath(dst)
        if '://' in self.path or not self.path:
            self._refuse('a local folder', 'that is none', 'Export to a folder, and copy it from there')
        self._final = Path(self.path).expanduser().resolve()
        own = Path(dataset).resolve()
        nested = own in (self._final, *self._final.parents) or self._final in own.parents
        if dataset and '://' not in dataset and nested:
            self._refuse('a folder of its own', f'it and the dataset {dataset!r} lie in each other', 'Choose another')
        self._overwrite = overwrite
        clear_leftovers(self._final)
        self._check_free()
        self._folder: PartialFolder
        self._files: list[str] = []
        self._folders: set[Path] = set()

    def _refuse(self, expected: str, got: str, remedy: str) -> NoReturn:
        raise ConversionError(f'export(dst=) expected {expected}, but got {self.path!r}: {got}. {remedy}.')

    def _check_free(self) -> None:
        """Refuse a destination that holds anything but what an earlier export wrote."""
        if not os.path.lexists(self._final):
            return
        if not self._final.is_dir():
            self._refuse('a free path', 'a file is there', 'Choose another path')
        found = _files_in(self._final)
        if not found:
            return
        foreign = sorted(found - self._known())
        if foreign:
            more = f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''
            remedy = 'Choose another path, or move them away'
            self._refuse('a free path', f'it holds {foreign[0]!r}{more}, which no export wrote', remedy)
        if not self._overwrite:
            remedy = 'Choose another path, or pass --overwrite (overwrite=True) to replace it'
            self._refuse('a free path', 'an export is there', remedy)

    def _known(self) -> set[str]:
        """The files that an earlier export lists as its own."""
        try:
            listed = json.loads((self._final / MANIFEST).read_text(encoding='utf-8'))['files']
            return {MANIFEST, *listed}
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def __enter__(self) -> ExportTree:
        try:
            self._folder = PartialFolder(self._final)
        except OSError as error:
            self._refuse('a path in a folder that can be written', f'{error.strerror}', 'Choose another path')
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._folder.release()
        if isinstance(error, OSError) and not isinstance(error, DeepLakeMMDetError):
            self._failed(error)

    def _failed(self, error: OSError) -> NoReturn:
        """A full disk, for one: nothing is left behind."""
        free = shutil.disk_usage(next(folder for folder in self._final.parents if folder.is_dir())).free >> 20
        where = '' if error.filename is None else f' for {os.path.relpath(error.filename, self._folder.path)!r}'
        raise ConversionError(
            f'export(dst={self.path!r}) expected to write all files, but got{where}: {error.strerror or error}. '
            f'Nothing is left there; {free} MiB are free. Make room, or choose another path.'
        ) from error

    def open(self, name: str) -> IO[str]:
        """A new UTF-8 text file of the tree.

        Args:
            name: Relative to the folder, with ``/``; not one of the dataset's.
        """
        return open(self._place(name), 'x', encoding='utf-8', newline='\n')

    def _place(self, name: str) -> Path:
        """Where a file of the tree goes; its folder exists then."""
        path = self._folder.path / name
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        self._files.append(name)
        return path

    def scratch(self) -> IO[str]:
        """A text file without a name, on the same disk, which is gone when it is closed."""
        return tempfile.TemporaryFile('w+', encoding='utf-8', newline='\n', dir=self._folder.path)

    def write(self, folder: str, name: str, data: bytes, where: str) -> None:
        """Writes one file whose name comes from the dataset. A file that is there with the same content is kept.

        Args:
            folder: Of the tree, with ``/``.
            name: Relative to it, as the dataset has it.
            data: What the file holds.
            where: Names the row, for messages.

        Raises:
            ConversionError: The name leads out of the folder, or another row has it, with another content.
        """
        try:
            target = safe_path(self._folder.path / folder, name, where).relative_to(self._folder.path).as_posix()
        except ConversionError:
            raise ConversionError(
                f'export: {where} expected a file name relative to the folder of the images, but got {name!r}. Nothing '
                'outside the destination is written: correct the name, or leave the row out by a query.'
            ) from None
        try:
            with open(self._place(target), 'xb') as file:
                file.write(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            path = self._folder.path / target
            if not path.is_file() or path.read_bytes() != data:
                raise ConversionError(
                    f'export: {where} expected a file name of its own, but got {name!r}, by which another row wrote '
                    f'{target!r} with another content. Rename one of them, or export fewer rows.'
                ) from None

    def finish(self) -> None:
        """Puts the complete tree in its place, with the list of its files."""
        with open(self._folder.path / MANIFEST, 'x', encoding='utf-8') as file:
            json.dump({'written_by': 'deeplake-mmdet export', 'files': sorted({*self._files})}, file, indent=0)
        self._check_free()  # again: an export takes minutes, in which somebody may have put something there
        old = self._folder.replaced
        if os.path.lexists(self._final):
            os.rename(self._final, old)
        try:
            os.rename(self._folder.path, self._final)
        except OSError:
            if os.path.lexists(old):
                os.rename(old, self._final)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _files_in(folder: Path) -> set[str]:
    """All files below a folder, links to folders among them, relative to it."""
    found = set()
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found |= {Path(place, name).relative_to(folder).as_posix() for name in [*files, *links]}
    return found
