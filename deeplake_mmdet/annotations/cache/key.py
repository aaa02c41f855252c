"""The name under which an index is kept: a hash of everything that decides what is in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet import __version__
from deeplake_mmdet.source.columns import ColumnMap
from deeplake_mmdet.source.fingerprint import fingerprint
from deeplake_mmdet.source.handle import SourceHandle

# The packages that read and compute annotations: another text of them may give another index.
_PACKAGES = ('annotations', 'config', 'source')


def key_of(source: SourceHandle, columns: ColumnMap, reading: Sequence[Any]) -> str | None:
    """The key of an index; None where no words say what is in it.

    Sizes of images behind links come from files that may change while the revision does not, so these are not kept.

    Args:
        source: The dataset; its revision and its rows count.
        columns: Its column map.
        reading: What else the index is made from; its ``repr`` has to tell it apart.
    """
    found = fingerprint(source)
    if found is None or (columns.image.is_link and not (columns.get('height') and columns.get('width'))):
        return None
    revision = {**source.revision.to_strings(), 'digest': ''}
    rows = hashlib.blake2b(np.ascontiguousarray(source.rows).data, digest_size=16).hexdigest()
    column_map = {**asdict(columns), 'names': sorted(columns.names.items())}
    parts = [_PROGRAM, version('deeplake'), revision, found, rows, column_map, list(reading)]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _hash_of_program() -> str:
    package, state = Path(__file__).parents[2], hashlib.blake2b(__version__.encode(), digest_size=16)
    for part in _PACKAGES:
        for folder, _, names in sorted(os.walk(package / part)):
            for name in sorted(name for name in names if name.endswith('.py')):
                state.update(name.encode() + Path(folder, name).read_bytes())
    return state.hexdigest()


# As it was imported: somebody may edit the program while it runs.
_PROGRAM = _hash_of_program()
