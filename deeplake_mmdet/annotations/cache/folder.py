"""Where cached files lie: a folder of the user's own on a disk of this machine, bounded in size."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deeplake_mmdet.annotations.cache.lock import is_same_file, try_lock
from deeplake_mmdet.errors import ConfigError

FOLDER_VARIABLE, SIZE_VARIABLE, OFF = 'DEEPLAKE_MMDET_CACHE', 'DEEPLAKE_MMDET_CACHE_SIZE', 'off'
INDEX, LOCK, _PARTIAL = '.index', '.lock', '.partial'

_DEFAULT_SIZE = 10 * 10**9
_SIZE = re.compile(r'(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?', re.IGNORECASE)
# There, another machine may remove a file under the feet of a process that maps it, which kills the process.
_MOUNTS, _NETWORK = '/proc/self/mounts', re.compile(r'nfs|cifs|smb|9p$|afs$|fuse\.')


def cache_folder() -> Path | None:
    """The folder of the cached indexes, which need not exist; None where ``DEEPLAKE_MMDET_CACHE`` is ``off``.

    That variable names the folder of all that this package caches. By default it is ``deeplake_mmdet`` in the user's
    cache folder (``XDG_CACHE_HOME``, else ``~/.cache``); or, where that is on a network's file system, a folder among
    the temporary files of this machine.
    """
    given = os.environ.get(FOLDER_VARIABLE, '').strip()
    if given.lower() == OFF:
        return None
    if given:
        return Path(os.path.abspath(os.path.expanduser(given))) / 'index'
    caches = os.environ.get('XDG_CACHE_HOME', '')
    if not os.path.isabs(caches):  # to be ignored, says the specification
        caches = os.path.expanduser('~/.cache')
    if os.path.isabs(caches) and not _is_on_network(caches):
        return Path(caches) / 'deeplake_mmdet' / 'index'
    return Path(tempfile.gettempdir()) / f'deeplake_mmdet-index-{os.getuid()}'


def size_limit() -> int:
    """Bytes that the folder may hold: ``DEEPLAKE_MMDET_CACHE_SIZE``, such as ``50GB``.

    Raises:
        ConfigError: It is no size.
    """
    given = os.environ.get(SIZE_VARIABLE, '').strip()
    if not given:
        return _DEFAULT_SIZE
    match = _SIZE.fullmatch(given)
    if match is None:
        raise ConfigError(
            f'The environment variable {SIZE_VARIABLE} expected a size such as 50GB, but got {given!r}. Correct it, or '
            f'do without a cache: {FOLDER_VARIABLE}={OFF}.'
        )
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** ' kmgt'.index(unit.lower() or ' '))


def prepare(folder: Path) -> None:
    """Make the folder, and see that nobody else can put files into it.

    Raises:
        OSError: It cannot be made, or is another user's, or others may write to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f'other users may write to {folder}')


@contextlib.contextmanager
def new_file(folder: Path, size: int) -> Iterator[IO[bytes]]:
    """An empty file for `size` bytes, with room made for it; unless it is renamed, it is removed at the end.

    Raises:
        OSError: It does not fit into the limit, or too little of the disk would be left.
    """
    limit = size_limit()
    with tempfile.NamedTemporaryFile(dir=folder, prefix='', suffix=_PARTIAL, delete=False) as file:
        try:
            try_lock(file.fileno())  # as long as it is locked, this file is no leftover
            if size > limit or _make_room(folder, limit - size) > 0:
                raise OSError(
                    f'{_shown(size)} do not fit into {folder}, which {SIZE_VARIABLE} limits to {_shown(limit)}'
                )
            free = shutil.disk_usage(folder).free
            if free < 2 * size:
                raise OSError(f'{_shown(size)} are too much for the {_shown(free)} that are free in {folder}')
            yield file
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)


def _make_room(folder: Path, limit: int) -> int:
    """Remove what was used longest ago, and what dead processes left; gives how many bytes are too many after that."""
    files = {}
    for path in folder.iterdir():
        if path.suffix in (INDEX, LOCK, _PARTIAL):
            with contextlib.suppress(FileNotFoundError):
                files[path] = path.stat()
    total = sum(found.st_size for found in files.values())
    # A lock file is touched whenever its index is used.
    for path in sorted(files, key=lambda path: files.get(path.with_suffix(LOCK), files[path]).st_mtime_ns):
        is_leftover = path.suffix == _PARTIAL or (path.suffix == LOCK and path.with_suffix(INDEX) not in files)
        if (is_leftover or (path.suffix == INDEX and total > limit)) and _remove(path):
            total -= files[path].st_size
    return total - limit


def _remove(path: Path) -> bool:
    """Remove a file that nobody uses; gives whether it did."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not try_lock(descriptor) or not is_same_file(descriptor, path):
            return False
        os.unlink(path)
    finally:
        os.close(descriptor)
    return True


def _is_on_network(path: str) -> bool:
    """Whether a path, which need not exist, is on a network's file system; of Linux only."""
    try:
        with open(_MOUNTS, encoding='utf-8', errors='surrogateescape') as file:
            mounts = [line.split(' ')[1:3] for line in file]
    except OSError:
        return False
    real, best = os.path.realpath(path), ('', '')
    for folder, kind in mounts:
        folder = folder.replace('\\040', ' ').rstrip('/')
        if (real == folder or real.startswith(f'{folder}/')) and len(folder) >= len(best[0]):
            best = (folder, kind)
    return bool(_NETWORK.match(best[1]))


def _shown(size: int) -> str:
    return f'{size / 1e9:.3g} GB' if size >= 1e8 else f'{size / 1e6:.3g} MB'
