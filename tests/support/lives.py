"""A hook that kills chosen ranks of a run, each time in one life only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class Dies(Hook):
    """Kills ranks after chosen iterations, when all other hooks have run.

    Args:
        at: Pairs of a number of iterations and the rank that dies after them.
    """

    priority = 'LOWEST'

    def __init__(self, at: Sequence[tuple[int, int]]) -> None:
        self._at = [tuple(pair) for pair in at]

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        death = (runner.iter + 1, get_rank())
        mark = Path(runner.work_dir, f'died{death}')
        if death in self._at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module(force=True)
class Slow(Hook):
    """Gives tests the time to do something to a run.

    Args:
        seconds: How long an iteration takes longer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        time.sleep(self._seconds)
