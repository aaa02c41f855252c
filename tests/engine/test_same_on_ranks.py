"""Any number of processes train on the same global batches, and go on with each other's."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.support.small_training import (
    AUGMENT,
    LOAD,
    batches_of,
    global_batches,
    interrupted,
    lines_of,
    train,
    training,
    write_images,
)
from tests.support.train_on_ranks import torchrun

COUNT, GLOBAL_BATCH = 14, 8  # an epoch is a batch of 8 and one of 6
INTERRUPTED = 3  # in the second of three epochs


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('ranks')


@pytest.fixture(scope='module')
def path(folder):
    return write_images(folder / 'ds', COUNT)


def config_of(path, work_dir, ranks, **changes):
    """A training without dropout, whose random numbers are a rank's own, and on images of one size: others are padded
    to the largest of a rank's batch."""
    pipeline = [*LOAD, dict(type='RandomAffine', scaling_ratio_range=(0.5, 1.5)), *AUGMENT[1:]]
    return training(
        path,
        work_dir,
        train_dataloader__dataset__pipeline=pipeline,
        model__dropout=0.0,
        train_dataloader__batch_size=GLOBAL_BATCH // ranks,
        train_cfg=dict(max_epochs=3, val_interval=2),
        **changes,
    )


@pytest.fixture(scope='module')
def one(folder, path):
    """The log of a single process."""
    torch.set_num_threads(1)
    train(config_of(path, folder / 'one', 1))
    return folder / 'one'


@pytest.fixture(scope='module')
def two(folder, path):
    """Two processes: a whole run, an interrupted one, and the same resumed in another folder."""
    part = folder / 'part'
    resumed = config_of(path, folder / 'two resumed', 2, resume=True, load_from=str(part / f'iter_{INTERRUPTED}.pth'))
    runs = [
        config_of(path, folder / 'two', 2),
        interrupted(config_of(path, part, 2), 'exception', INTERRUPTED),
        resumed,
    ]
    torchrun(2, runs, folder / 'configs of two')
    return folder / 'two'


@pytest.fixture(scope='module')
def four(folder, path, two):
    """Four processes: a whole run, and one that goes on with what two were interrupted in."""
    checkpoint = folder / 'part' / f'iter_{INTERRUPTED}.pth'
    resumed = config_of(path, folder / 'four resumed', 4, resume=True, load_from=str(checkpoint))
    torchrun(4, [config_of(path, folder / 'four', 4), resumed], folder / 'configs of four')
    return folder / 'four'


def losses(work_dir, ranks):
    """The mean of the ranks' losses, which MMDetection's heads divide by the ranks' mean number of samples."""
    logs = [[line['loss'] for line in batches_of(work_dir, rank)] for rank in range(ranks)]
    return [sum(parts) / ranks for parts in zip(*logs, strict=True)]


@pytest.mark.parametrize(('name', 'ranks'), [('two', 2), ('four', 4)])
def test_several_processes_train_as_one_does(one, request, name, ranks):
    work_dir = request.getfixturevalue(name)
    expected = global_batches(one, 1)
    assert list(map(len, expected)) == [8, 6] * 3
    assert len(set(itertools.chain(*expected))) == 3 * COUNT  # other pixels in every epoch
    assert global_batches(work_dir, ranks) == expected
    assert losses(work_dir, ranks) == pytest.approx(losses(one, 1), rel=1e-5)
    validated, alone = ([line for line in lines_of(folder) if 'validated' in line] for folder in (work_dir, one))
    assert [line['validated'] for line in validated] == [line['validated'] for line in alone] == [4, 6]


def test_a_run_goes_on_with_the_losses_that_it_would_have_had(folder, two):
    for rank in range(2):
        whole, resumed = batches_of(two, rank), batches_of(folder / 'two resumed', rank)
        assert batches_of(folder / 'part', rank) == whole[:INTERRUPTED]
        assert resumed == whole[INTERRUPTED:]


@pytest.mark.parametrize('ranks', [1, 4])
def test_a_run_goes_on_with_the_same_samples_on_another_number_of_processes(folder, path, one, four, ranks):
    work_dir = folder / 'four resumed'
    if ranks == 1:
        work_dir = folder / 'one resumed'
        checkpoint = str(folder / 'part' / f'iter_{INTERRUPTED}.pth')
        train(config_of(path, work_dir, 1, resume=True, load_from=checkpoint))
    assert global_batches(work_dir, ranks) == global_batches(one, 1)[INTERRUPTED:]
    assert losses(work_dir, ranks) == pytest.approx(losses(one, 1)[INTERRUPTED:], rel=1e-5)
