"""Which configs are given the sampler and the loop that resume anywhere."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config

from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.engine.resumable_config import let_resume
from tests.engine.test_train_detector import config as short_config
from tests.support.tiny import write_tiny

EPOCHS, ITERATIONS = dict(by_epoch=True, max_epochs=3), dict(type='IterBasedTrainLoop', max_iters=9, val_interval=3)


def config(sampler=None, batch_sampler=None, train_cfg=EPOCHS, dataset=None, **loader) -> Config:
    dataset = dataset or dict(type='RepeatDataset', times=2, dataset=dict(type='DeepLakeDataset', deeplake_path='x'))
    loader |= dict(sampler=sampler or dict(type='DefaultSampler', shuffle=True), dataset=dataset, batch_size=2)
    if batch_sampler:
        loader['batch_sampler'] = batch_sampler
    return Config(copy.deepcopy(dict(train_dataloader=loader, train_cfg=train_cfg)))


@pytest.mark.parametrize(
    ('train_cfg', 'expected'),
    [
        (EPOCHS, dict(type='DeepLakeEpochTrainLoop', max_epochs=3)),
        (dict(type='EpochBasedTrainLoop', max_epochs=3), dict(type='DeepLakeEpochTrainLoop', max_epochs=3)),
        (dict(by_epoch=False, max_iters=9), dict(type='DeepLakeIterTrainLoop', max_iters=9)),
        (ITERATIONS, dict(type='DeepLakeIterTrainLoop', max_iters=9, val_interval=3)),
    ],
)
def test_loops_of_mmengine_are_replaced(train_cfg, expected):
    found = config(train_cfg=train_cfg)
    notes = let_resume(found)
    assert found.train_cfg == expected
    assert notes[-1].startswith('train_cfg.type: ') and notes[-1].endswith(', which resumes at any iteration')


@pytest.mark.parametrize(
    'sampler', [dict(type='DefaultSampler', shuffle=False), dict(type='InfiniteSampler'), dict(_scope_='mmdet', seed=3)]
)
def test_samplers_of_mmengine_are_replaced_with_their_options(sampler):
    found = config(sampler=dict(dict(type='mmengine.DefaultSampler'), **sampler))
    assert let_resume(found)[0].startswith('train_dataloader.sampler.type: ')
    assert found.train_dataloader.sampler == {**sampler, 'type': 'DeepLakeSampler'}


def test_batches_of_one_aspect_become_an_option_of_the_sampler():
    found = config(batch_sampler=dict(type='AspectRatioBatchSampler', drop_last=True))
    let_resume(found)
    assert found.train_dataloader.sampler == dict(type='DeepLakeSampler', shuffle=True, group_by_aspect_ratio=True)
    assert found.train_dataloader.batch_sampler is None
    assert found.train_dataloader.drop_last is True


def test_options_of_our_own_sampler_stay():
    sampler = dict(type='DeepLakeSampler', deterministic_augmentation=True)
    found = config(sampler=sampler)
    assert len(let_resume(found)) == 1
    assert found.train_dataloader.sampler == sampler


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(train_cfg=dict(type='TeacherStudentLoop', max_epochs=1)), 'train_cfg.type TeacherStudentLoop'),
        (dict(sampler=dict(type='ClassAwareSampler')), 'train_dataloader.sampler ClassAwareSampler'),
        (dict(sampler=dict(type='DefaultSampler', round_up=False)), 'train_dataloader.sampler DefaultSampler'),
        (dict(batch_sampler=dict(type='MyBatches')), 'train_dataloader.batch_sampler MyBatches'),
    ],
)
def test_what_a_user_chose_himself_stays_and_the_log_says_what_it_costs(changes, named):
    found = config(**changes)
    before = copy.deepcopy(found.to_dict())
    assert let_resume(found) == [
        f'train_cfg: a run that is interrupted resumes at the beginning of an epoch, because of {named}'
    ]
    assert found.to_dict() == before


@pytest.mark.parametrize(
    'given', [config(dataset=dict(type='CocoDataset', ann_file='a.json')), Config(dict(train_cfg=EPOCHS)), Config()]
)
def test_runs_without_deep_lake_data_stay_as_they_are(given):
    before = copy.deepcopy(given.to_dict())
    assert let_resume(given) == []
    assert given.to_dict() == before


def test_a_second_time_changes_nothing():
    found = config()
    let_resume(found)
    before = copy.deepcopy(found.to_dict())
    assert let_resume(found) == []
    assert found.to_dict() == before


def test_a_stock_config_in_the_short_form_is_prepared_so(tmp_path):
    found = short_config(tmp_path, write_tiny(tmp_path / 'ds'))
    notes = prepare(found)
    assert found.train_cfg.type == 'DeepLakeEpochTrainLoop'
    assert found.train_dataloader.sampler.type == 'DeepLakeSampler'
    assert found.val_dataloader.sampler.type == 'DefaultSampler'
    assert 'train_dataloader.sampler.type: DefaultSampler -> DeepLakeSampler' in notes


def test_a_config_that_is_only_tested_keeps_its_train_loop(tmp_path):
    found = short_config(tmp_path, write_tiny(tmp_path / 'ds'))
    prepare(found, ('test',))
    assert found.train_cfg.get('type') != 'DeepLakeEpochTrainLoop'
