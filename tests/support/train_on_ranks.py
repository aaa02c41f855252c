"""Trains with one config after another in the processes that torchrun started: ``python -m … CONFIG …``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.children import ROOT


def torchrun(
    processes: int, configs: Sequence[Any], folder: Path, timeout: float = 280, options: Sequence[str] = ()
) -> str:
    """Train with configs on some processes of this machine; what they wrote to stderr.

    Args:
        processes: How many.
        configs: One after another; one that is interrupted by an exception does not keep the next from beginning.
        folder: Where to write them down.
        timeout: Seconds until the test fails.
        options: More options of torchrun.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f'{number}.py' for number in range(len(configs))]
    for config, file in zip(configs, files, strict=True):
        config.dump(file)
    command = [
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--nproc_per_node',
        str(processes),
        '--standalone',
        *options,
    ]
    command += ['-m', 'tests.support.train_on_ranks', *map(str, files)]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stderr


def main(files: Sequence[str]) -> None:
    """Train."""
    from mmengine.config import Config

    from deeplake_mmdet.engine.join import end_rank
    from tests.support.small_training import train

    for file in files:
        train(Config.fromfile(file), distributed=True)
    end_rank()


if __name__ == '__main__':
    main(sys.argv[1:])
