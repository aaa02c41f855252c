"""An import in a process of its own, which may be told where to die; and all that a dataset holds, for comparison.

Run as ``python -m tests.support.importing OPTIONS``, with a JSON object: ``ann_file``, ``images``, ``dst``, ``options``
of the import, and ``die_at``: before which call into Deep Lake's writing functions the process kills itself, such as
``'merge'`` or ``'append 3'`` for the third one; ``'merge+'`` is right after it. ``pause_s`` makes it slower.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import deeplake
import numpy as np

ROOT = Path(__file__).parents[2]


def start(
    ann_file: Path, images: Path, dst: str, *, die_at: str = '', pause_s: float = 0, **options: Any
) -> subprocess.Popen[str]:
    """A process that imports a COCO file, with a checkpoint every few images."""
    job = {'ann_file': str(ann_file), 'images': str(images), 'dst': dst, 'die_at': die_at, 'pause_s': pause_s}
    command = [sys.executable, '-m', 'tests.support.importing', json.dumps(job | {'options': options})]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def contents(dst: str, creds: dict[str, str] | None = None) -> dict[str, Any]:
    """Rows, bytes, types, metadata, views and commits of a dataset, read with Deep Lake alone.

    A remote one is read by another process: Deep Lake's reads would keep a server in this one from answering.
    """
    if creds and __name__ != '__main__':
        command = [sys.executable, '-m', 'tests.support.importing', 'contents', dst, json.dumps(creds)]
        return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120).stdout)
    dataset = deeplake.open_read_only(dst, creds=creds) if creds else deeplake.open_read_only(dst)
    names = [column.name for column in dataset.schema.columns]
    views = {name: dataset.tags[name].open() for name in dataset.tags.names()}
    return {
        'rows': [{name: _plain(dataset[name], row) for name in names} for row in range(len(dataset))],
        'types': {name: str(dataset.schema[name].dtype) for name in names},
        'column metadata': {name: _metadata(dataset[name]) for name in names},
        'metadata': _metadata(dataset),
        'views': {name: [int(i) for i in view['img_id'][:]] for name, view in views.items()},
        'commits': [version.message for version in dataset.history],
        'branches': sorted(dataset.branches.names()),
    }


def _plain(column: Any, row: int) -> Any:
    value = column.get_bytes(row).hex() if column.name == 'images' else column[row]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _metadata(owner: Any) -> dict[str, Any]:
    return {key: owner.metadata[key] for key in list(owner.metadata.keys())}


def _die_at(moment: str) -> None:
    """Kill this process at a call into Deep Lake; see the module."""
    name, _, number = moment.rstrip('+').partition(' ')
    wanted, seen = int(number or 1), 0

    def profile(frame: Any, event: str, called: Any) -> None:
        nonlocal seen
        if event in ('c_call', 'c_return') and getattr(called, '__name__', '') == name and _writes(called):
            seen += event == 'c_call'
            if seen == wanted and event == ('c_return' if moment.endswith('+') else 'c_call'):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)


def _writes(called: Any) -> bool:
    """Whether a function is one of Deep Lake, or of those that move what it wrote."""
    owners = (getattr(called, '__module__', ''), type(getattr(called, '__self__', None)).__module__)
    return called is os.rename or any('deeplake' in str(owner) for owner in owners)


def main() -> None:
    from deeplake_mmdet.convert import convert_coco, writer

    writer.BATCH_ROWS = 3
    job = json.loads(sys.argv[1])
    print('ready', flush=True)
    if job['die_at']:
        _die_at(job['die_at'])
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        time.sleep(job['pause_s'])

    convert_coco(
        job['ann_file'],
        job['dst'],
        images=job['images'],
        progress=progress,
        **{'checkpoint_s': 0.0, **job['options']},
    )
    sys.setprofile(None)
    print(json.dumps({'first': seen[0], 'last': seen[-1]}), flush=True)


if __name__ == '__main__':
    if sys.argv[1] == 'contents':
        print(json.dumps(contents(sys.argv[2], json.loads(sys.argv[3]))))
    else:
        main()
