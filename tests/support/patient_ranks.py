"""Two ranks whose first one evaluates for longer than their process group lets others wait.

``python -m tests.support.patient_ranks RANK FOLDER``
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from deeplake_mmdet import DeepLakeVOCMetric
from tests.support.evaluating_ranks import first_images, predictions

PATIENCE_S = 2
FOLDERS = ('groups', 'folder', 'other folders', 'full folder')


class SlowMetric(DeepLakeVOCMetric):
    """Takes its time."""

    def measure(self, *arguments: Any) -> Any:
        time.sleep(2 * PATIENCE_S)
        return super().measure(*arguments)


def collect_dir(way: str, rank: int, folder: Path) -> str | None:
    """Through which folder detections travel."""
    if way == 'full folder' and rank == 1:
        (folder / 'file').touch()
        return str(folder / 'file' / 'below')
    own = {'groups': None, 'folder': 'collected', 'other folders': f'rank{rank}', 'full folder': 'fine'}[way]
    return None if own is None else str(folder / own)


def evaluate(rank: int, folder: Path, way: str) -> Any:
    """Evaluate with each rank having predicted every other image; the values, or the error as text."""
    dataset = first_images(str(folder / 'ds'), 4)
    metric = SlowMetric(collect_dir=collect_dir(way, rank, folder))
    metric.dataset_meta = dataset.metainfo
    metric.process({}, predictions(dataset)[rank::2])
    try:
        return metric.evaluate(len(dataset))
    except Exception as error:
        return f'{type(error).__name__}: {error}'


def main(rank: int, folder: Path) -> None:
    """Evaluate in every way, each in a process group of its own, and write down what came of it."""
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')
    found = {}
    for way in FOLDERS:
        limit = timedelta(seconds=PATIENCE_S)
        dist.init_process_group('gloo', f'file://{folder / "store"} {way}'.replace(' ', '_'), limit, 2, rank)
        found[way] = evaluate(rank, folder, way)
        dist.barrier()
        dist.destroy_process_group()
    found['left'] = (folder / 'collected').exists()
    (folder / f'rank{rank}.json').write_text(json.dumps(found))
    shutil.rmtree(folder / f'rank{rank}', ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == '__main__':
    main(int(sys.argv[1]), Path(sys.argv[2]))
