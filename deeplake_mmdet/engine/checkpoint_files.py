"""Checkpoint files that are whole: written under another name first, and passed over when they are damaged.

A process that is killed while it writes leaves half a file, and the next start would take it for the latest one.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LATEST = 'last_checkpoint'  # the file in which MMEngine notes the name of the newest checkpoint
_NAMES = ('epoch_*.pth', 'iter_*.pth')


def save_whole(save: Callable[[str], Any], out_dir: str, filename: str) -> None:
    """Have a checkpoint appear under its name only when all of it is on the disk.

    Args:
        save: Writes the file of the given name into `out_dir`; where it writes none, as on other ranks than the first,
            nothing happens.
        out_dir: A folder; files behind a URL are written at once by their storage.
        filename: The name.
    """
    if '://' in str(out_dir):
        save(filename)
        return
    partial = os.path.join(out_dir, f'{filename}.partial')
    try:
        save(f'{filename}.partial')
        if os.path.isfile(partial):
            os.replace(partial, os.path.join(out_dir, filename))
    finally:
        if os.path.isfile(partial):
            os.remove(partial)


def note_latest(work_dir: str, path: str) -> None:
    """Name the checkpoint that a resumed run goes on from."""
    Path(work_dir, _LATEST).write_text(path)


def newest_whole(work_dir: str, logger: logging.Logger) -> str | None:
    """The newest checkpoint of a work dir that is not damaged, on all ranks; None where there is none.

    Args:
        work_dir: The folder.
        logger: Told of damaged ones.
    """
    from mmengine.dist import broadcast_object_list, is_main_process

    found: list[str | None] = [None]
    if is_main_process():
        found = [_newest_whole(Path(work_dir), logger)]
    broadcast_object_list(found)
    return found[0]


def _newest_whole(work_dir: Path, logger: logging.Logger) -> str | None:
    noted = work_dir / _LATEST
    named = noted.read_text().strip() if noted.is_file() else ''
    if '://' in named:
        return named
    others = sorted((file for name in _NAMES for file in work_dir.glob(name)), key=os.path.getmtime, reverse=True)
    first = [Path(named)] if named else []
    for path in [*first, *(file for file in others if file not in first)]:
        fault = _fault(path)
        if fault is None:
            return str(path)
        logger.warning(f'The checkpoint {str(path)!r} is passed over: {fault}. The one before it is looked for.')
    return None


def _fault(path: Path) -> str | None:
    """Why a checkpoint cannot be read; None for a whole one. The sums that torch writes are checked, nothing is run."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except FileNotFoundError:
        return 'it does not exist'
    except (OSError, zipfile.BadZipFile) as error:
        return f'it is cut short or damaged ({error})'
    return None if damaged is None else f'it is damaged in {damaged}'
