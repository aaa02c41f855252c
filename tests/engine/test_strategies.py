"""MMEngine's `FlexibleRunner` and its strategies train, save and resume as its `Runner` does."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

import deeplake_mmdet
from deeplake_mmdet.engine.checkpoint_files import newest_whole, save_whole
from deeplake_mmdet.engine.preemption import EXIT_CODE
from deeplake_mmdet.errors import ConfigError
from tests.support.interruptions import train_and_die
from tests.support.small_training import batches_of, interrupted, train, training, write_images
from tests.support.train_on_ranks import torchrun

pytestmark = pytest.mark.usefixtures('quick')
INTERRUPTED = 3
FSDP = dict(type='FSDPStrategy', state_dict_cfg='full')


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('strategies') / 'ds', 16)


def flexible(path: str, work_dir: Path, strategy: dict[str, Any] | None = None, **changes: Any) -> Config:
    """The config of a training by a strategy; without dropout, so that ranks can be compared with one process."""
    changes = {'env_cfg__dist_cfg__timeout': 100, 'model__dropout': 0.0, **changes}
    return training(path, work_dir, runner_type='FlexibleRunner', strategy=strategy, **changes)


def losses(work_dir: Path, rank: int = 0) -> list[float]:
    return [line['loss'] for line in batches_of(work_dir, rank)]


def test_a_single_device_strategy_has_the_losses_of_the_runner_and_resumes_at_any_iteration(path, tmp_path):
    whole = train(training(path, tmp_path / 'runner', model__dropout=0.0))
    assert train(flexible(path, tmp_path / 'whole')) == whole
    before = train(interrupted(flexible(path, tmp_path / 'part'), 'exception', INTERRUPTED))
    assert before == whole[:INTERRUPTED]
    assert train(flexible(path, tmp_path / 'part', resume=True)) == whole


@pytest.mark.parametrize('validating', [False, True])
def test_a_flexible_runner_that_is_asked_to_stop_resumes_where_it_was(path, tmp_path, validating):
    whole = train(flexible(path, tmp_path / 'whole'))
    config = flexible(path, tmp_path / 'part', default_hooks__checkpoint__interval=100)
    assert train_and_die(interrupted(config, 'SIGTERM', 8, validating=validating)) == EXIT_CODE
    before = batches_of(tmp_path / 'part')
    assert len(before) in (8, 9)  # an epoch; heard after an iteration
    train(flexible(path, tmp_path / 'part', resume=True))
    assert batches_of(tmp_path / 'part') == [line for line in whole if 'iter' in line]


@pytest.fixture(scope='module')
def on_ranks(path, tmp_path_factory):
    """The folder of trainings on two ranks: by the runner, and by both strategies, whole and interrupted."""
    folder = tmp_path_factory.mktemp('ranks')
    runs = [training(path, folder / 'runner', model__dropout=0.0)]
    for name, strategy in (('ddp', None), ('fsdp', FSDP)):
        runs += [
            flexible(path, folder / name, strategy),
            interrupted(flexible(path, folder / f'{name} part', strategy), 'exception', INTERRUPTED),
            flexible(path, folder / f'{name} part', strategy, resume=True),
        ]
    torchrun(2, runs, folder / 'configs')
    return folder


@pytest.mark.parametrize('name', ['ddp', 'fsdp'])
def test_strategies_on_ranks_without_gpus_have_the_losses_of_the_runner_and_resume_at_any_iteration(on_ranks, name):
    for rank in range(2):
        assert losses(on_ranks / name, rank) == pytest.approx(losses(on_ranks / 'runner', rank), rel=1e-5)
        assert batches_of(on_ranks / f'{name} part', rank) == batches_of(on_ranks / name, rank)
    saved, expected = (torch.load(on_ranks / run / 'iter_4.pth', weights_only=False) for run in (name, 'runner'))
    assert {key.removeprefix('module.') for key in saved['state_dict']} == set(expected['state_dict'])
    assert saved['meta']['dataset_meta']['deeplake']['rows'] == '16'


def test_checkpoints_of_parts_of_tensors_are_refused_before_they_are_written(path, tmp_path, monkeypatch):
    config = flexible(path, tmp_path, dict(type='FSDPStrategy'))
    monkeypatch.setattr('mmengine._strategy.distributed.DDPStrategy._setup_distributed', lambda *_, **__: None)
    with pytest.raises(ConfigError, match=r"state_dict_cfg expected 'full', but got LOCAL_STATE_DICT"):
        train(config)


def test_a_module_that_was_built_before_keeps_its_weights(path, tmp_path):
    config = flexible(path, tmp_path, train_cfg__max_epochs=1, optim_wrapper__optimizer__lr=0.0)
    model = MODELS.build(config.model)
    torch.nn.init.constant_(model.conv.weight, 0.25)
    deeplake_mmdet.train_detector(model, config, validate=False)
    saved = torch.load(tmp_path / 'iter_4.pth', weights_only=False)['state_dict']
    assert saved['conv.weight'].unique().tolist() == [0.25]


def test_a_checkpoint_that_is_a_folder_appears_when_it_is_whole_and_is_passed_over_when_a_part_is_damaged(tmp_path):
    def save(name: str) -> None:
        (tmp_path / name).mkdir()
        for rank in range(2):
            torch.save({'a': torch.zeros(1000)}, tmp_path / name / f'rank{rank}.pth')

    save_whole(save, str(tmp_path), 'iter_1.pth')
    assert sorted(file.name for file in (tmp_path / 'iter_1.pth').iterdir()) == ['rank0.pth', 'rank1.pth']
    save_whole(save, str(tmp_path), 'iter_2.pth')
    save_whole(save, str(tmp_path), 'iter_2.pth')  # over one that is there
    os.utime(tmp_path / 'iter_1.pth', (1, 1))
    logger = logging.getLogger('test')
    assert newest_whole(str(tmp_path), logger) == str(tmp_path / 'iter_2.pth')
    (tmp_path / 'iter_2.pth' / 'rank1.pth').write_bytes(b'half')
    assert newest_whole(str(tmp_path), logger) == str(tmp_path / 'iter_1.pth')
    for file in (tmp_path / 'iter_1.pth').iterdir():
        file.unlink()
    assert newest_whole(str(tmp_path), logger) is None
