"""Synchronised batch norm, which torch has for GPUs only: ranks on CPUs do without it and say so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from deeplake_mmdet.engine.adapted_runner import adapted
from deeplake_mmdet.engine.join import is_cpu_rank
from tests.support.normed import NormedDetector
from tests.support.small_training import batches_of, lines_of, train, training, write_images
from tests.support.train_on_ranks import torchrun

RUNS = {'synchronised': ('SyncBN', None), 'converted': ('BN', 'torch'), 'plain': ('BN', None)}
SAID = '1 layers of synchronised batch norm normalise by the batch of their own rank'


def normed(path: str, work_dir: Path, norm: str, sync_bn: str | None = None) -> Config:
    model = dict(type='NormedDetector', norm=norm, dropout=0.0)
    changes = dict(sync_bn=sync_bn, log_level='INFO', train_cfg__max_epochs=1)
    config = training(path, work_dir, model=model, **changes)
    config.custom_imports.imports.append('tests.support.normed')
    return config


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('normed') / 'ds', 8)


@pytest.fixture(scope='module')
def on_ranks(path, tmp_path_factory):
    """The folder of trainings on two ranks."""
    folder = tmp_path_factory.mktemp('ranks')
    torchrun(2, [normed(path, folder / name, *norm) for name, norm in RUNS.items()], folder / 'configs')
    return folder


def log_of(work_dir: Path) -> str:
    return ''.join(file.read_text() for file in work_dir.glob('*/*.log'))


@pytest.mark.parametrize('name', ['synchronised', 'converted'])
def test_ranks_without_gpus_normalise_each_by_its_own_batch_and_say_so(on_ranks, name):
    for rank in range(2):
        losses, expected = ([line['loss'] for line in batches_of(on_ranks / run, rank)] for run in (name, 'plain'))
        assert losses == expected != []
    assert SAID in log_of(on_ranks / name)
    assert SAID not in log_of(on_ranks / 'plain')
    assert lines_of(on_ranks / name)[-1] == lines_of(on_ranks / 'plain')[-1]  # the scores of the validation


def test_a_single_process_does_without_it_too(path, tmp_path):
    torch.set_num_threads(1)
    losses = [[line.get('loss') for line in train(normed(path, tmp_path / norm, norm))] for norm in ('SyncBN', 'BN')]
    assert losses[0] == losses[1]


def test_with_gpus_it_stays_synchronised(monkeypatch):
    """No GPU is needed to see that the model goes to MMEngine's own wrapper with its layers as they are."""
    wrapped = []

    class Runner:
        cfg: dict = {}

        def wrap_model(self, config, model):
            wrapped.append((config, model))
            return model

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    assert not is_cpu_rank()
    runner = adapted(Runner, None, None, is_cpu_rank())()
    model = NormedDetector('SyncBN')
    assert runner.wrap_model(None, model) is model
    assert wrapped == [(None, model)]
    assert any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in model.modules())
