"""The ranks of a run read the same rows.

Under torchrun every rank resolves the config by itself. A query that draws rows by lot, a head that moves in between,
or an object that each process has open, gives every rank other rows: samples are then missed or seen twice, and
detections are scored against the wrong images. So the ranks compare what they resolved, before the first iteration.
"""

from __future__ import annotations

import hashlib
from typing import Any

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine.datasets_in_config import refuse_opened
from deeplake_mmdet.engine.run_datasets import run_datasets
from deeplake_mmdet.errors import ConfigError


class RanksAgree(Hook):
    """Compares, between the ranks, every Deep Lake dataset of a run."""

    def before_run(self, runner: Any) -> None:
        """Raise on all ranks alike.

        Raises:
            ConfigError: The ranks read different rows, or an object that one process has open.
        """
        if get_world_size() < 2:
            return
        ranks = all_gather_object({key: _identity(dataset) for key, dataset in run_datasets(runner)})
        keys = sorted({key for rank in ranks for key in rank})
        for key in keys:
            found = [rank.get(key, ('no dataset', '', '')) for rank in ranks]
            for _, view, _ in found:
                refuse_opened(key, view)
            _check_same(key, found)


def _identity(dataset: DeepLakeDataset) -> tuple[str, str, str]:
    """What was resolved, for people; the saved view; and a hash of all that must be equal.

    The dataset's address is left out: machines may have it in different folders.
    """
    source = dataset.source
    facts = {key: value for key, value in source.revision.to_strings().items() if key not in ('uri', 'digest')}
    rows = hashlib.sha256(source.rows.astype('<i8').tobytes()).hexdigest()
    same = repr((sorted(facts.items()), source.mark, rows, dataset.metainfo['classes'], len(dataset)))
    return str(source.revision), facts['view_id'], hashlib.sha256(same.encode()).hexdigest()


def _check_same(key: str, found: list[tuple[str, str, str]]) -> None:
    for rank, (name, _, digest) in enumerate(found):
        if digest != found[0][2]:
            raise ConfigError(
                f'{key} expected the same rows in all {len(found)} processes, but got {found[0][0]} in rank 0, and '
                f'{"other rows of the same" if name == found[0][0] else name} in rank {rank}. Give '
                'deeplake_commit_id, and save a query that draws rows by lot as a view: '
                "ds.query(…).tag('name'), deeplake_view_id='name'."
            )
