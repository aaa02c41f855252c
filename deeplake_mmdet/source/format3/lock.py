"""The lock by which Deep Lake 3 keeps a dataset to one writer.

The writer renews it every two minutes and it holds for five, so a lock that has run out belongs to nobody. What is
committed never changes, and may be read beside a writer. The head of a branch is what the writer is changing, file by
file, so it is not read.
"""

from __future__ import annotations

import datetime
import struct
import time

from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.source.format3.files import Format3Files, in_folder
from deeplake_mmdet.source.format3.history import History

_FILE = 'dataset_lock.lock'
# Six bytes of the writer's machine, then the time at which the lock runs out, in seconds since 1970.
_EXPIRY = struct.Struct('<6xd')


def check_lock(files: Format3Files, history: History, commit_id: str, *, is_head: bool) -> list[str]:
    """Look whether somebody writes the dataset.

    Args:
        files: The dataset.
        history: Its versions.
        commit_id: The version that is to be read.
        is_head: Whether it is read because it is the head of a branch.

    Returns:
        Remarks for the log.

    Raises:
        SourceError: The head is asked for, and locked.
    """
    # The lock lies beside the version that is being written; that of the first version, in the dataset's own folder.
    places = dict.fromkeys([in_folder(commit_id, _FILE), _FILE])
    remarks = []
    for place, content in zip(places, files.find_all(list(places)), strict=True):
        if content is None:
            continue
        until = _EXPIRY.unpack_from(content)[0] if len(content) >= _EXPIRY.size else None
        if until is not None and until <= time.time():
            remarks.append(f'{files.uri}: ignored {place}, a lock of Deep Lake 3 that ran out at {_shown(until)}.')
        elif is_head:
            raise SourceError(_refused(files, history, commit_id, place, until))
        else:
            remarks.append(f'{files.uri}: is locked by a writer ({place}); the commit that is read cannot change.')
    return remarks


def _refused(files: Format3Files, history: History, commit_id: str, place: str, until: float | None) -> str:
    committed = [version for version in history.ancestors(commit_id) if history.commits[version].time is not None]
    pin = f', or read the last commit with deeplake_commit_id={committed[0]!r}' if committed else ''
    ends = f'The lock runs out at {_shown(until)} unless it is renewed' if until else 'The lock names no end'
    return (
        f'The dataset of Deep Lake format 3 at {files.uri!r} is locked ({place!r}): a program with Deep Lake 3 is '
        f'writing what is not committed yet, so the head cannot be read. {ends}. Close that program{pin}. If no such '
        'program runs, delete the file.'
    )


def _shown(seconds: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(' ', 'seconds')
    except (OverflowError, OSError, ValueError):
        return 'an impossible time'
