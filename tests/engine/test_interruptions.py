"""A run that was interrupted goes on as if it had not been: the same samples, the same pixels, the same losses."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import signal
import time

import pytest

from deeplake_mmdet.engine.preemption import EXIT_CODE
from tests.support.interruptions import LAST, train_and_die, variant
from tests.support.small_training import interrupted, iterations, lines_of, train

pytestmark = pytest.mark.usefixtures('quick')
CODES = {'SIGTERM': EXIT_CODE, 'SIGKILL': -signal.SIGKILL}


def interrupt(config, how):
    """Train until it happens; the lines of the log."""
    if how == 'exception':
        return train(config)
    assert train_and_die(config) == CODES[how]
    return lines_of(config.work_dir)


@pytest.mark.parametrize(
    ('name', 'iteration', 'validating'),
    [
        ('plain', 1, False),
        ('plain', LAST, False),
        ('plain', LAST, True),
        ('workers', 6, False),
        ('mosaic', 6, False),
        ('averaged', 3, False),
        ('resized', 4, False),
        ('dropped', 3, False),
        ('iterations', 5, False),
        ('iterations', LAST, True),
        ('iterations, mosaic', LAST, False),
    ],
)
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    uninterrupted, few_images, tmp_path, name, iteration, validating
):
    whole = uninterrupted(name)
    before = train(interrupted(variant(name, few_images, tmp_path), 'exception', iteration, validating=validating))
    assert before == whole[: len(before)]
    assert len(iterations(before)) == iteration
    assert train(variant(name, few_images, tmp_path, resume=True)) == whole


@pytest.mark.parametrize('how', ['SIGTERM', 'SIGKILL'])
def test_it_does_so_after_a_signal(uninterrupted, few_images, tmp_path, how):
    before = interrupt(interrupted(variant('mosaic', few_images, tmp_path), how, 6), how)
    assert before == uninterrupted('mosaic')[: len(before)]
    assert len(iterations(before)) in (6, 7)  # SIGTERM is heard after an iteration
    assert train(variant('mosaic', few_images, tmp_path, resume=True)) == uninterrupted('mosaic')


@pytest.mark.parametrize(('iteration', 'validating', 'stopped_after'), [(2, False, 3), (LAST, True, 6)])
def test_a_run_whose_optimizer_steps_every_third_iteration_is_stopped_after_a_step(
    few_images, tmp_path, iteration, validating, stopped_after
):
    options = dict(optim_wrapper__accumulative_counts=3)
    whole = train(variant('plain', few_images, tmp_path / 'whole', **options))
    config = variant('plain', few_images, tmp_path / 'work', **options)
    assert train_and_die(interrupted(config, 'SIGTERM', iteration, validating=validating)) == EXIT_CODE
    assert len(iterations(lines_of(config.work_dir))) == stopped_after
    assert train(variant('plain', few_images, tmp_path / 'work', resume=True, **options)) == whole


BY_EPOCH = dict(type='CheckpointHook', interval=1, by_epoch=True, _delete_=True)


def test_checkpoints_by_epoch_make_up_for_the_validation(few_images, tmp_path):
    options = dict(default_hooks__checkpoint=BY_EPOCH)
    whole = train(variant('plain', few_images, tmp_path / 'whole', **options))
    config = variant('plain', few_images, tmp_path / 'work', **options)
    before = train(interrupted(config, 'exception', LAST, validating=True))
    assert iterations(before) == before
    assert train(variant('plain', few_images, tmp_path / 'work', resume=True, **options)) == whole


def test_a_validation_that_a_checkpoint_knows_of_is_not_repeated(few_images, tmp_path):
    options = dict(default_hooks__checkpoint=dict(BY_EPOCH, save_best='coco/bbox_mAP'))  # written again with a new best
    whole = train(variant('plain', few_images, tmp_path / 'whole', **options))
    train(interrupted(variant('plain', few_images, tmp_path / 'work', **options), 'exception', LAST + 1))
    resumed = train(variant('plain', few_images, tmp_path / 'work', resume=True, **options))
    validations = [[line for line in lines if 'validated' in line] for lines in (resumed, whole)]
    assert validations[0] == validations[1]


def test_a_run_that_ended_before_its_last_validation_only_validates(uninterrupted, few_images, tmp_path):
    train(interrupted(variant('plain', few_images, tmp_path), 'exception', 3 * LAST, validating=True))
    assert train(variant('plain', few_images, tmp_path, resume=True)) == uninterrupted('plain')


def test_validation_intervals_that_change_do_so_after_resuming_too(few_images, tmp_path):
    options = dict(train_cfg=dict(max_epochs=5, val_interval=3, dynamic_intervals=[(4, 1)]))
    whole = train(variant('plain', few_images, tmp_path / 'whole', **options))
    assert [line['validated'] for line in whole if 'validated' in line] == [3 * LAST, 4 * LAST, 5 * LAST]
    for iteration in (LAST + 1, 4 * LAST):
        work_dir = tmp_path / f'work{iteration}'
        train(interrupted(variant('plain', few_images, work_dir, **options), 'exception', iteration))
        assert train(variant('plain', few_images, work_dir, resume=True, **options)) == whole


STAGES = [(1, False), (6, False), (LAST, False), (LAST, True)]
LOOPS = ['mosaic', 'mosaic, workers', 'iterations, mosaic', 'iterations, mosaic, workers']


@pytest.mark.slow
@pytest.mark.parametrize('how', ['exception', 'SIGTERM', 'SIGKILL'])
@pytest.mark.parametrize(('iteration', 'validating'), STAGES)
@pytest.mark.parametrize('name', LOOPS)
def test_every_kind_of_interruption_at_every_stage(
    uninterrupted, few_images, tmp_path, name, iteration, validating, how
):
    whole = uninterrupted(name)
    before = interrupt(interrupted(variant(name, few_images, tmp_path), how, iteration, validating=validating), how)
    assert before == whole[: len(before)]
    again = interrupted(variant(name, few_images, tmp_path, resume=True), 'SIGKILL', 9)
    interrupt(again, 'SIGKILL')
    lines = train(variant(name, few_images, tmp_path, resume=True))
    assert lines == whole
    assert [line['iter'] for line in iterations(lines)] == list(range(len(iterations(whole))))


@pytest.mark.slow
def test_a_run_may_be_interrupted_after_every_iteration(uninterrupted, few_images, tmp_path):
    name = 'mosaic, workers'
    for iteration in itertools.count(1):
        lines = train(interrupted(variant(name, few_images, tmp_path, resume=iteration > 1), 'exception', iteration))
        if len(iterations(lines)) < iteration:
            break
    assert lines == uninterrupted(name)


def test_no_worker_outlives_its_training(few_images, tmp_path):
    before = set(multiprocessing.active_children())
    train(variant('workers', few_images, tmp_path, train_cfg=dict(max_epochs=1)))
    gc.collect()  # finds the dataloader
    end = time.monotonic() + 30
    while set(multiprocessing.active_children()) - before and time.monotonic() < end:
        time.sleep(0.1)
    assert set(multiprocessing.active_children()) <= before
