"""Where a run stands in its data: what checkpoints say of it, and what is made of those that say nothing."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from deeplake_mmdet.engine.place import KEY
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.images import ImageReader
from tests.support.interruptions import COUNT, LAST, variant
from tests.support.small_training import (
    batches_of,
    dataset,
    interrupted,
    iterations,
    train,
    training,
    write_images,
)

pytestmark = pytest.mark.usefixtures('quick')


def seen(lines, *keys):
    return [tuple(line[key] for key in keys) for line in iterations(lines)]


def log_of(work_dir):
    return ''.join(file.read_text() for file in work_dir.glob('*/*.log'))


@pytest.mark.parametrize(('name', 'workers'), [('plain', 0), ('plain', 2), ('iterations', 2)])
def test_nothing_is_read_of_what_is_skipped(few_images, tmp_path, monkeypatch, name, workers):
    options = dict(
        train_dataloader__num_workers=workers,
        train_dataloader__persistent_workers=workers > 0,
        train_cfg={
            'plain': dict(by_epoch=True, max_epochs=1),
            'iterations': dict(type='IterBasedTrainLoop', max_iters=LAST, _delete_=True),
        }[name],
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
    )
    read = tmp_path / 'read'
    encoded = ImageReader.encoded

    def counted(self, rows):
        with open(read, 'a', encoding='utf-8') as file:
            file.write(''.join(f'{row}\n' for row in rows))
        return encoded(self, rows)

    monkeypatch.setattr(ImageReader, 'encoded', counted)
    whole = train(variant(name, few_images, tmp_path / 'whole', **options))
    assert sorted(map(int, read.read_text().split())) == list(range(COUNT))
    train(interrupted(variant(name, few_images, tmp_path / 'work', **options), 'exception', 2))
    read.unlink()
    train(variant(name, few_images, tmp_path / 'work', resume=True, **options))
    left = itertools.chain(*(line['ids'] for line in whole[2:]))
    assert sorted(map(int, read.read_text().split())) == sorted(left)


def test_both_loops_run_through_the_same_batches(uninterrupted):
    by_epochs, by_iterations = (seen(uninterrupted(name), 'epoch', 'ids', 'pixels') for name in ('plain', 'iterations'))
    assert len(by_iterations) == 11
    assert by_iterations == by_epochs[:11]


def test_a_checkpoint_of_one_loop_continues_the_other(few_images, tmp_path):
    whole = train(variant('plain', few_images, tmp_path / 'whole', param_scheduler=None))
    train(interrupted(variant('iterations', few_images, tmp_path / 'work'), 'exception', 6))
    resumed = train(variant('plain', few_images, tmp_path / 'work', resume=True, param_scheduler=None))
    assert seen(resumed, 'ids', 'pixels', 'loss') == seen(whole, 'ids', 'pixels', 'loss')


def test_a_run_goes_on_with_batches_of_another_size(uninterrupted, few_images, tmp_path):
    train(interrupted(variant('plain', few_images, tmp_path), 'exception', 6))
    lines = iterations(train(variant('plain', few_images, tmp_path, resume=True, train_dataloader__batch_size=3)))
    whole = itertools.chain(*(line['ids'] for line in iterations(uninterrupted('plain'))))
    assert list(itertools.chain(*(line['ids'] for line in lines))) == list(whole)
    assert [len(line['ids']) for line in lines] == [2, 2, 2, 1, 2, 2, 3, 3, 3, 1]
    assert [line['batch_idx'] for line in lines[6:]] == [2, 0, 1, 2]


def test_gradients_are_added_up_to_the_end_of_a_run_that_goes_on_with_larger_batches(few_images, tmp_path):
    options = dict(optim_wrapper__accumulative_counts=2, train_dataloader__batch_size=1)
    train(interrupted(variant('plain', few_images, tmp_path, **options), 'exception', 6))
    options['train_dataloader__batch_size'] = 4  # which alone would make six iterations
    lines = train(variant('plain', few_images, tmp_path, resume=True, **options))
    assert len(iterations(lines)) == 6 + 1 + 2 + 2


def test_the_seed_of_the_order_comes_from_the_checkpoint(few_images, tmp_path):
    unseeded = dict(randomness=dict(seed=None))
    train(interrupted(variant('plain', few_images, tmp_path, **unseeded), 'exception', 2))
    lines = train(variant('plain', few_images, tmp_path, resume=True, **unseeded))
    first = [line['ids'] for line in iterations(lines) if line['epoch'] == 0]
    assert sorted(itertools.chain(*first)) == list(range(COUNT))


@pytest.mark.parametrize('name', ['plain', 'iterations'])
def test_a_checkpoint_of_mmengine_resumes_at_the_beginning_of_its_epoch_and_says_so(few_images, tmp_path, name):
    stock = interrupted(variant(name, few_images, tmp_path), 'exception', 6)
    stock.train_dataloader.sampler = dict(type='DefaultSampler', round_up=True)  # an option that ours does not know
    before = iterations(train(stock))
    lines = iterations(train(variant(name, few_images, tmp_path, resume=True, log_level='INFO')))
    after = lines[len(before) :]
    assert (after[0]['epoch'], after[0]['iter']) == (1, 6)
    assert sorted(itertools.chain(*(line['ids'] for line in after[:LAST]))) == list(range(COUNT))
    assert 'because of train_dataloader.sampler DefaultSampler' not in log_of(tmp_path)
    assert 'Resumed at iteration 6, at the beginning of an epoch: the checkpoint does not say which' in log_of(tmp_path)


def test_a_checkpoint_of_another_number_of_samples_resumes_at_the_beginning_of_its_epoch(few_images, tmp_path):
    train(interrupted(variant('plain', few_images, tmp_path), 'exception', 6))
    fewer = dict(dataset(few_images), indices=5, _delete_=True)
    lines = train(training(few_images, tmp_path, resume=True, log_level='INFO', train_dataloader__dataset=fewer))
    assert [line['batch_idx'] for line in iterations(lines)[6:]] == [0, 1, 2, 0, 1, 2]
    assert 'the checkpoint was taken on 7 samples, and there are 5.' in log_of(tmp_path)


def test_a_checkpoint_of_another_kind_of_order_resumes_at_the_beginning_of_its_epoch(few_images, tmp_path):
    train(interrupted(variant('plain', few_images, tmp_path), 'exception', 6))
    unshuffled = dict(log_level='INFO', train_dataloader__sampler__shuffle=False)
    lines = iterations(train(variant('plain', few_images, tmp_path, resume=True, **unshuffled)))
    assert list(itertools.chain(*(line['ids'] for line in lines[6:10]))) == list(range(COUNT))
    assert "was taken in an order with {'shuffle': True" in log_of(tmp_path)


def test_every_dataset_of_several_is_to_be_the_one_that_the_run_began_with(few_images, tmp_path):
    paths = [few_images, *(write_images(tmp_path / name, 3) for name in ('second', 'other'))]

    def config(work_dir, *members, **changes):
        joined = dict(type='ConcatDataset', datasets=[dataset(path) for path in members], _delete_=True)
        return training(few_images, work_dir, train_dataloader__dataset=joined, **changes)

    train(interrupted(config(tmp_path, *paths[:2]), 'exception', 2))
    with pytest.raises(ConfigError, match=r'trained on, .*second @ main:.*, but got .*other @ main:.* differs in dat'):
        train(config(tmp_path, few_images, paths[2], resume=True))
    with pytest.raises(ConfigError, match=r'expected the 2 datasets that it was trained on, but got 3'):
        train(config(tmp_path, *paths, resume=True))
    train(interrupted(config(tmp_path, few_images, paths[2], resume=True, resume_anyway=True), 'exception', 3))
    assert len(batches_of(tmp_path)) == 3


def test_weights_alone_start_a_new_training(few_images, tmp_path):
    train(interrupted(variant('plain', few_images, tmp_path / 'work'), 'exception', 3))
    weights = str(tmp_path / 'work' / 'iter_3.pth')
    lines = iterations(train(variant('plain', few_images, tmp_path / 'new', load_from=weights)))
    assert lines[0]['ids'] == batches_of(tmp_path / 'work')[0]['ids']
    assert len(lines) == 3 * LAST


def test_the_checkpoint_holds_the_place_in_plain_numbers(few_images, tmp_path):
    train(interrupted(variant('plain', few_images, tmp_path), 'exception', 6))
    place = torch.load(tmp_path / 'iter_6.pth', weights_only=False)['meta'][KEY]
    order = dict(shuffle=True, group_by_aspect_ratio=False)
    assert place == dict(epoch=1, consumed=[[2, 2]], validated=False, seed=5, samples=COUNT, order=order, sizes={})
    assert json.loads(json.dumps(place)) == place


@pytest.mark.parametrize(
    ('key', 'value', 'found'),
    [
        ('sampler', dict(type='DefaultSampler', shuffle=True), 'got DefaultSampler'),
        ('batch_sampler', dict(type='TrackAspectRatioBatchSampler'), 'got batch_sampler TrackAspectRatioBatchSampler'),
    ],
)
def test_our_loops_demand_our_sampler(few_images, tmp_path, key, value, found):
    loop = dict(type='DeepLakeEpochTrainLoop', max_epochs=1, _delete_=True)
    config = training(few_images, tmp_path, train_cfg=loop)
    config.train_dataloader[key] = value
    with pytest.raises(ConfigError, match=rf"expected dict\(type='DeepLakeSampler'\) and no batch_sampler.*{found}"):
        train(config)
