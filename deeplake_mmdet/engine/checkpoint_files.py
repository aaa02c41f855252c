"""Checkpoints that are whole: written under another name first, and passed over when they are damaged.

A process that is killed while it writes leaves half a file, and the next start would take it for the latest one.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deeplake_mmdet.errors import ConfigError

_LATEST = 'last_checkpoint'  # the file in which MMEngine notes the name of the newest checkpoint
_NAMES = ('epoch_*.pth', 'iter_*.pth')


def save_whole(save: Callable[[str], Any], out_dir: str, filename: str) -> None:
    """Have a checkpoint appear under its name only when all of it is on the disk.

    Args:
        save: Writes the file of the given name into `out_dir`, on the first rank; or, as strategies that share a model
            out do, a folder into which every rank writes.
        out_dir: A folder; files behind a URL are written at once by their storage.
        filename: The name.
    """
    from mmengine.dist import barrier, is_main_process

    if '://' in str(out_dir):
        save(filename)
        return
    partial, whole = (Path(out_dir, name) for name in (f'{filename}.partial', filename))
    try:
        save(partial.name)
        if partial.is_dir():
            barrier()
        if is_main_process() and partial.exists():
            if whole.is_dir():  # only files and empty folders are replaced in one step
                shutil.rmtree(whole)
            os.replace(partial, whole)
    finally:
        if is_main_process() and partial.is_file():
            partial.unlink()


def note_latest(work_dir: str, path: str) -> None:
    """Name the checkpoint that a resumed run goes on from."""
    Path(work_dir, _LATEST).write_text(path)


def checkpoints_in(work_dir: str) -> dict[str, list[int]]:
    """The checkpoints of a work dir, and MMEngine's note of the newest: name to time of the last change (ns) and size
    (bytes)."""
    found = (file for name in (*_NAMES, _LATEST) for file in Path(work_dir).glob(name))
    return {file.name: [file.stat().st_mtime_ns, file.stat().st_size] for file in found}


def newest_whole(work_dir: str, logger: logging.Logger, but: Mapping[str, list[int]] | None = None) -> str | None:
    """The newest checkpoint of a work dir that is not damaged, on all ranks; None where there is none.

    Args:
        work_dir: The folder.
        logger: Told of damaged ones.
        but: What is passed over unless it changed, as `checkpoints_in` gives it.

    Raises:
        ConfigError: Another rank cannot see the checkpoint.
    """
    from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process

    told: list[str | None] = [None]
    if is_main_process():
        told = [_newest_whole(Path(work_dir), logger, but or {})]
    broadcast_object_list(told)
    found = told[0]
    if found and '://' not in found:
        blind = [name for name in all_gather_object('' if os.path.exists(found) else socket.gethostname()) if name]
        if blind:
            raise ConfigError(
                f'work_dir is {work_dir!r}, whose checkpoint {found!r} cannot be seen on {blind[0]}. Give a folder '
                'that all machines share.'
            )
    return found


def _newest_whole(work_dir: Path, logger: logging.Logger, but: Mapping[str, list[int]]) -> str | None:
    there = {name: facts for name, facts in checkpoints_in(str(work_dir)).items() if but.get(name) != facts}
    named = (work_dir / _LATEST).read_text().strip() if there.pop(_LATEST, None) else ''
    if '://' in named:
        return named
    others = [work_dir / name for name in sorted(there, key=there.__getitem__, reverse=True)]
    first = [Path(named)] if named else []
    for path in [*first, *(file for file in others if file not in first)]:
        fault = _fault(path)
        if fault is None:
            return str(path)
        logger.warning(f'The checkpoint {str(path)!r} is passed over: {fault}. The one before it is looked for.')
    return None


def _fault(path: Path) -> str | None:
    """Why a checkpoint cannot be read; None for a whole one. The sums that torch writes are checked, nothing is run."""
    if path.is_dir():
        parts = [part for part in sorted(path.rglob('*.pt*')) if part.is_file()]
        found = (f'{part.name}: {fault}' for part in parts if (fault := _fault(part)))
        return next(found, None) if parts else 'it is empty'
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except FileNotFoundError:
        return 'it does not exist'
    except (OSError, zipfile.BadZipFile) as error:
        return f'it is cut short or damaged ({error})'
    return None if damaged is None else f'it is damaged in {damaged}'
