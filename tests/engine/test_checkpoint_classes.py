"""A checkpoint is evaluated, or a run resumed, on the classes that it was trained on, in their order."""

from __future__ import annotations

import copy

import pytest
import torch

import deeplake_mmdet
from deeplake_mmdet.errors import ConfigError
from tests.engine.test_train_detector import config
from tests.support.tiny import write_tiny

SWAPPED = r"\('cat', 'dog'\), but \w+_dataloader.dataset has \('dog', 'cat'\).*metainfo=dict\(classes=\(…\)\)"


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config over [cat, dog], and the result of its training."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('trained')
    cfg = config(folder, write_tiny(folder / 'ds'))
    return cfg, deeplake_mmdet.train_detector(cfg.model, cfg, validate=False)


@pytest.fixture
def swapped(trained, tmp_path):
    """The same config over a dataset whose classes are [dog, cat]."""
    cfg = copy.deepcopy(trained[0])
    path = write_tiny(tmp_path / 'swapped', class_names=['dog', 'cat'])
    cfg.data.train.deeplake_path = cfg.data.val.deeplake_path = path
    cfg.work_dir = str(tmp_path / 'work')
    return cfg


def test_a_checkpoint_is_not_evaluated_on_classes_in_another_order(trained, swapped):
    with pytest.raises(ConfigError, match=f'The checkpoint expected .*{SWAPPED}'):
        deeplake_mmdet.test_detector(swapped.model, swapped, checkpoint=trained[1].checkpoint)


def test_a_checkpoint_is_evaluated_where_metainfo_puts_the_classes_in_order(trained, swapped):
    swapped.data.val.metainfo = dict(classes=('cat', 'dog'))
    metrics = deeplake_mmdet.test_detector(swapped.model, swapped, checkpoint=trained[1].checkpoint)
    assert 'coco/bbox_mAP' in metrics


def test_a_checkpoint_is_not_evaluated_on_some_of_its_classes(trained):
    cfg = copy.deepcopy(trained[0])
    cfg.data.val.metainfo = dict(classes=('dog',))
    with pytest.raises(ConfigError, match=r"The checkpoint expected .*\('cat', 'dog'\), but .* has \('dog'\)"):
        deeplake_mmdet.test_detector(cfg.model, cfg, checkpoint=trained[1].checkpoint)


def test_a_module_is_not_evaluated_on_classes_in_another_order(trained, swapped):
    with pytest.raises(ConfigError, match=f'The model expected .*{SWAPPED}'):
        deeplake_mmdet.test_detector(trained[1].runner.model, swapped)


def test_a_training_is_not_resumed_on_classes_in_another_order(trained, swapped):
    swapped.load_from, swapped.resume = trained[1].checkpoint, True
    with pytest.raises(ConfigError, match=f'The checkpoint expected .*{SWAPPED}'):
        deeplake_mmdet.train_detector(swapped.model, swapped, validate=False)


def test_a_training_of_other_classes_may_start_from_a_checkpoint(trained, swapped):
    swapped.load_from = trained[1].checkpoint
    result = deeplake_mmdet.train_detector(swapped.model, swapped, validate=False)
    assert result.runner.model.dataset_meta['classes'] == ('dog', 'cat')


@pytest.mark.parametrize(
    'meta',
    [{'dataset_meta': {'CLASSES': ('dog', 'cat')}}, {'CLASSES': ['dog', 'cat']}],
    ids=['first releases of MMDetection 3', 'MMDetection 2'],
)
def test_the_older_spellings_of_the_classes_are_read(trained, tmp_path, meta):
    checkpoint = torch.load(trained[1].checkpoint, weights_only=False)
    path = str(tmp_path / 'old.pth')
    torch.save({'state_dict': checkpoint['state_dict'], 'meta': meta}, path)
    with pytest.raises(ConfigError, match=r"on, \('dog', 'cat'\), but val|on, \('dog', 'cat'\), but test_dataloader"):
        deeplake_mmdet.test_detector(trained[0].model, trained[0], checkpoint=path)


def test_a_checkpoint_that_does_not_say_its_classes_is_evaluated(trained, tmp_path):
    checkpoint = torch.load(trained[1].checkpoint, weights_only=False)
    path = str(tmp_path / 'bare.pth')
    torch.save(checkpoint['state_dict'], path)
    assert 'coco/bbox_mAP' in deeplake_mmdet.test_detector(trained[0].model, trained[0], checkpoint=path)
