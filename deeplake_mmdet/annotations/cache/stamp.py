"""Which files of the cache were checked to the last byte since the machine was started, and not changed since.

Checking reads gigabytes, so one process of a node does it, and says so where the others look: in the lock file of the
index. That file's time is when the index was last used.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from deeplake_mmdet.annotations.cache.mapped import Identity


def is_checked(lock: Path, identity: Identity) -> bool:
    """Whether a file in this state was checked."""
    boot = _boot()
    return bool(boot) and _read(lock).get(boot) == list(identity)


def note_checked(descriptor: int, lock: Path, identity: Identity) -> None:
    """Say that a file in this state was checked; other machines may use the same folder, each with its own entry.

    Args:
        descriptor: Of the lock file, locked.
        lock: The lock file.
        identity: Of the state.
    """
    known = {boot: state for boot, state in _read(lock).items() if state == list(identity)}
    content = json.dumps({**known, _boot(): identity}).encode()
    with contextlib.suppress(OSError):  # a full disk: the next process checks again
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)


def touch(lock: Path) -> None:
    """Say that the index is being used."""
    with contextlib.suppress(OSError):  # a read-only folder
        os.utime(lock)


def _read(lock: Path) -> dict[str, Any]:
    try:
        content = json.loads(lock.read_bytes())
    except (OSError, ValueError):  # empty yet, or just being written
        return {}
    return content if isinstance(content, dict) else {}


def _boot() -> str:
    """What Linux calls this run of this machine; empty where that is not known, so that every process checks."""
    try:
        return Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    except OSError:
        return ''
