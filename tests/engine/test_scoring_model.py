"""A detector is scored with all weights of its checkpoint, and of the right classes, or not at all."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine.scoring_model import load_detector
from deeplake_mmdet.errors import CheckpointError, ConfigError
from tests.support.small_training import TinyDetector
from tests.support.tiny import write_tiny

CONFIG = Config(dict(model=dict(type='TinyDetector')))


@pytest.fixture(scope='module')
def datasets(tmp_path_factory):
    return {'train_dataloader.dataset': DeepLakeDataset(deeplake_path=write_tiny(tmp_path_factory.mktemp('a') / 'ds'))}


def save(path, *, classes=('cat', 'dog'), prefix='', **changes):
    weights = {f'{prefix}{name}': value for name, value in {**TinyDetector().state_dict(), **changes}.items()}
    meta = {'dataset_meta': {'classes': classes}, 'epoch': 3}
    torch.save({'state_dict': {name: v for name, v in weights.items() if v is not None}, 'meta': meta}, path)
    return str(path)


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_the_detector_has_the_weights_of_the_checkpoint_and_evaluates(tmp_path, datasets, prefix):
    box = torch.full((4,), 7.0)
    model, meta = load_detector(CONFIG, save(tmp_path / 'a.pth', prefix=prefix, **{'box.bias': box}), datasets)
    assert torch.equal(model.box.bias.cpu(), box)
    assert not any(module.training for module in model.modules())
    assert meta['epoch'] == 3


def test_heads_are_told_how_far_the_training_is_of_a_file_without_that_to_its_end(tmp_path, datasets):
    MessageHub.get_current_instance().update_info('epoch', 99)
    load_detector(CONFIG, save(tmp_path / 'a.pth'), datasets)
    assert [MessageHub.get_current_instance().get_info(name) for name in ('epoch', 'iter')] == [3, math.inf]


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'box.bias': None}, '1 are missing and 0 have another shape: box.bias'),
        ({'conv.bias': torch.zeros(3)}, '0 are missing and 1 have another shape: conv.bias'),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path, datasets, changes, said):
    with pytest.raises(CheckpointError, match=said):
        load_detector(CONFIG, save(tmp_path / 'a.pth', **changes), datasets)


def test_a_checkpoint_of_other_classes_is_refused(tmp_path, datasets):
    with pytest.raises(ConfigError, match=r"'dog', 'cat'.*but train_dataloader.dataset has \('cat', 'dog'\)"):
        load_detector(CONFIG, save(tmp_path / 'a.pth', classes=('dog', 'cat')), datasets)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path, datasets):
    with pytest.raises(ConfigError, match=r"The checkpoint '.*none.pth' does not exist"):
        load_detector(CONFIG, str(tmp_path / 'none.pth'), datasets)
