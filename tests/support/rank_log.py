"""A hook that writes down which images a rank was trained on, by name in a config of any process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class RankLog(Hook):
    """Writes the image ids of every training batch into ``<work_dir>/rank<number>.txt``."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        with open(Path(runner.work_dir, f'rank{get_rank()}.txt'), 'a', encoding='utf-8') as file:
            file.write(''.join(f'{sample.img_id}\n' for sample in data_batch['data_samples']))


def img_ids_of_ranks(work_dir: str) -> list[list[int]]:
    """The image ids that each rank wrote down."""
    return [list(map(int, file.read_text().split())) for file in sorted(Path(work_dir).glob('rank*.txt'))]
