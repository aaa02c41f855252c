"""Ranks that were started with other configs are stopped before they train, and the key is named."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.engine.config_agreement import check_same_config
from deeplake_mmdet.errors import ConfigError
from tests.engine.test_join import free_port
from tests.support.children import ROOT
from tests.support.small_training import LOAD, training, write_images


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('agreement') / 'ds', 8)


def compare(monkeypatch: pytest.MonkeyPatch, *configs: Any) -> None:
    """Compare configs as the ranks of a run do: each in a thread of its own."""
    ranks = threading.local()
    meeting, sent = threading.Barrier(len(configs), timeout=20), [None] * len(configs)

    def all_gather(mine: Any) -> list[Any]:
        sent[ranks.number] = mine
        meeting.wait()
        found = list(sent)
        meeting.wait()
        return found

    def check(number: int) -> str:
        ranks.number = number
        try:
            check_same_config(configs[number])
        except ConfigError as error:
            return str(error)
        return ''

    monkeypatch.setattr('mmengine.dist.get_world_size', lambda: len(configs))
    monkeypatch.setattr('mmengine.dist.all_gather_object', all_gather)
    with ThreadPoolExecutor(len(configs)) as pool:
        said = set(pool.map(check, range(len(configs))))
    assert len(said) == 1  # all raise alike, or none
    if said != {''}:
        raise ConfigError(said.pop())


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (
            {'optim_wrapper__optimizer__lr': 0.02},
            r'optim_wrapper\.optimizer\.lr expected .* 0\.01 on rank 0 and 0\.02 on',
        ),
        (
            {'randomness__seed': 6},
            r'randomness\.seed expected the same value on all 3 ranks, but got 5 on rank 0 and 6 on',
        ),
        (
            {'train_dataloader__batch_size': 3},
            r'train_dataloader\.batch_size expected .* got 2 on rank 0 and 3 on rank 2',
        ),
        (
            {'train_dataloader__dataset__pipeline': LOAD},
            r'train_dataloader\.dataset\.pipeline\.2\.keep_ratio expected .* True on rank 0 and nothing .* \d+ more',
        ),
        (
            {'train_dataloader__dataset__deeplake_query': 'select *'},
            r'deeplake_query expected .* nothing on rank 0 and',
        ),
        ({'resume': True}, r'resume expected .* got None on rank 0 and True on rank 2'),
        ({'model__data_preprocessor__mean': [1.0] * 60}, r'preprocessor\.mean .*and \[1\.0, .*… on rank 2'),
    ],
)
def test_what_decides_the_result_has_to_be_the_same_on_all_ranks(path, tmp_path, monkeypatch, change, named):
    same, other = training(path, tmp_path), training(path, tmp_path, **change)
    for config in (same, other):
        config.experiment_name = 'run'
    with pytest.raises(ConfigError, match=named):
        compare(monkeypatch, same, copy.deepcopy(same), other)


def test_addresses_secrets_workers_and_variables_may_be_those_of_the_machine(path, tmp_path, monkeypatch):
    first = training(path, tmp_path / 'a', data_folder='/data/a', load_from='/data/a.pth')
    second = training(path, tmp_path / 'b', data_folder='/mnt/b', load_from='/mnt/a.pth')
    dataset = dict(deeplake_path='/mnt/b', deeplake_credentials=dict(token='secret'))
    loader = dict(num_workers=2, persistent_workers=True, dataset=dataset)
    second.merge_from_dict(dict(train_dataloader=loader, env_cfg=dict(dist_cfg=dict(timeout=9)), log_level='INFO'))
    compare(monkeypatch, first, second)


def test_objects_are_compared_by_their_kind_and_functions_by_their_name(monkeypatch):
    compare(monkeypatch, *({'model': dict(type=Path, check=len, made=object())} for _ in range(2)))
    with pytest.raises(
        ConfigError, match=r'model\.check expected .* builtins\.len on rank 0 and builtins\.max on rank 1'
    ):
        compare(monkeypatch, {'model': dict(check=len)}, {'model': dict(check=max)})


def start(config: Path, rank: int, port: int, *arguments: str) -> subprocess.Popen[str]:
    """One rank of two, started by hand."""
    around = {'RANK': str(rank), 'WORLD_SIZE': '2', 'LOCAL_RANK': str(rank), 'MASTER_ADDR': '127.0.0.1'}
    around = {**os.environ, **around, 'MASTER_PORT': str(port), 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(config), '--launcher', 'pytorch', *arguments]
    return subprocess.Popen(command, env=around, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_ranks_that_were_started_with_other_arguments_end_at_once_and_say_why(path, tmp_path):
    training(path, tmp_path / 'work').dump(tmp_path / 'config.py')
    port = free_port()
    first = start(tmp_path / 'config.py', 0, port)
    second = start(tmp_path / 'config.py', 1, port, '--resume')
    said = [rank.communicate(timeout=100)[0] for rank in (first, second)]
    assert [first.returncode, second.returncode] == [1, 1]
    for text in said:
        assert 'ConfigError: resume expected the same value on all 2 ranks, but got None on rank 0 and True on' in text
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_work_dir_that_one_rank_cannot_write_ends_all_ranks_with_the_reason(path, tmp_path):
    training(path, tmp_path / 'work').dump(tmp_path / 'config.py')
    (tmp_path / 'file').touch()
    port, blocked = free_port(), str(tmp_path / 'file' / 'work')
    ranks = [start(tmp_path / 'config.py', 0, port), start(tmp_path / 'config.py', 1, port, '--work-dir', blocked)]
    said = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert all(rank.returncode for rank in ranks)
    for text in said:
        assert f'work_dir is {blocked!r}, where nothing can be written: Not a directory' in text, said
