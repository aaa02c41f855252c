"""Reading the file that W&B writes a run into before it uploads it; newer versions of W&B bring no reader.

It is a log as of LevelDB (blocks of 32 KiB; each fragment has a checksum, a length and a type) behind seven bytes of
header, and every entry is a protobuf message.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _HEADER, _FRAGMENT = 32768, 7, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def entries(file: Path) -> Iterator[bytes]:
    """The entries of the log."""
    data, place, parts = file.read_bytes(), _HEADER, b''
    assert data[:4] == b':W&B'
    while place + _FRAGMENT <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _FRAGMENT:
            place += left
            continue
        _, length, kind = struct.unpack('<IHB', data[place : place + _FRAGMENT])
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST):
            break
        parts += data[place + _FRAGMENT : place + _FRAGMENT + length]
        place += _FRAGMENT + length
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b''


class Stored:
    """What W&B keeps of a run.

    Args:
        file: Its ``run-….wandb``.
    """

    def __init__(self, file: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record

        self.records = [Record.FromString(entry) for entry in entries(file)]

    def config(self) -> dict[str, Any]:
        """The run's config."""
        found: dict[str, Any] = {}
        for record in self.records:
            for update in (*record.run.config.update, *record.config.update):
                found[update.key or '/'.join(update.nested_key)] = json.loads(update.value_json)
        return found

    def artifacts(self) -> list[Any]:
        """The artifacts, in their order."""
        return [record.artifact for record in self.records if record.HasField('artifact')]

    def history(self) -> dict[str, Any]:
        """The last value of everything that was logged."""
        return _values(item for record in self.records for item in record.history.item)

    def summary(self) -> dict[str, Any]:
        """The run's summary."""
        return _values(item for record in self.records for item in record.summary.update)


def _values(items: Any) -> dict[str, Any]:
    return {item.key or '/'.join(item.nested_key): json.loads(item.value_json) for item in items}


def runs_below(folder: Path) -> list[Stored]:
    """The runs whose files are below a folder, in the order of their end; W&B's service is ended, so they are whole."""
    import wandb

    wandb.teardown()
    return [Stored(file) for file in sorted(folder.rglob('run-*.wandb'), key=lambda file: file.stat().st_mtime)]
