"""All ranks read the commit that the first one resolved, and fail together where it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from deeplake_mmdet.engine.resolved_once import _pin_as_told
from deeplake_mmdet.errors import ConfigError
from tests.engine.test_join import free_port
from tests.support.children import ROOT
from tests.support.datasets import write_dataset

RANK = """
import json, sys
import deeplake
from mmengine.config import Config
from deeplake_mmdet.engine import resolved_once
from deeplake_mmdet.engine.join import end_rank, join
from deeplake_mmdet.errors import DeepLakeMMDetError
from mmengine.dist import get_rank
from tests.support.datasets import append_rows

path = sys.argv[1]
join(Config(dict(launcher='pytorch')))
pin = resolved_once.pin_datasets
def pin_and_move_on(config, splits):
    pinned = pin(config, splits)
    if get_rank() == 0:
        append_rows(deeplake.open(path), [100, 101])  # the head moves before the other rank has looked
    return pinned
resolved_once.pin_datasets = pin_and_move_on
config = Config(dict(train_dataloader=dict(dataset=dict(type='DeepLakeDataset', deeplake_path=path))))
try:
    [pinned] = resolved_once.pin_together(config, ('train',))
    said = [pinned.revision.commit_id, pinned.revision.rows, config.train_dataloader.dataset.deeplake_commit_id]
except DeepLakeMMDetError as error:
    said = [type(error).__name__, str(error)]
print(json.dumps(said), flush=True)
end_rank()
"""


def both(path: str) -> list[list]:
    """What two ranks say."""
    port = str(free_port())
    ranks = []
    for rank in ('0', '1'):
        around = {'RANK': rank, 'WORLD_SIZE': '2', 'LOCAL_RANK': rank, 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
        around = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **around}
        command = [sys.executable, '-c', RANK, path]
        ranks.append(subprocess.Popen(command, env=around, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    said = [rank.communicate(timeout=100) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


def test_a_head_that_moves_between_the_ranks_is_the_same_commit_for_both(tmp_path):
    dataset = write_dataset(str(tmp_path / 'ds'), 8)
    first, second = both(str(tmp_path / 'ds'))
    assert first == second == [dataset.version, 8, dataset.version]


def test_what_the_first_rank_cannot_open_is_the_error_of_all(tmp_path):
    first, second = both(str(tmp_path / 'nothing'))
    assert first == second
    assert first[0] == 'SourceNotFoundError'
    assert 'train_dataloader.dataset' in first[1]


def test_ranks_with_other_datasets_in_their_config_are_refused():
    config = dict(train_dataloader=dict(dataset=dict(type='DeepLakeDataset', deeplake_path='a')))
    with pytest.raises(
        ConfigError, match=r'expected the datasets of the first rank, \[.val_dataloader.dataset.\], but'
    ):
        _pin_as_told(config, ('train',), {'val_dataloader.dataset': '1'})
