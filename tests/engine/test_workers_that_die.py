"""A worker that is killed, crashes, hangs or runs out of memory: the run ends at once and names the row."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from deeplake_mmdet.config.short_form.loader_options import apply_options, let_go_of_workers, read_options
from deeplake_mmdet.datasets import being_read
from deeplake_mmdet.datasets.being_read import NotingWorker, Readings, all_readings
from deeplake_mmdet.engine.dead_workers import rows_named, worker_error
from deeplake_mmdet.engine.watched_loader import TIMEOUT_S, watched, with_timeout
from deeplake_mmdet.errors import ConfigError, OutOfMemoryError, WorkerError
from tests.support.small_training import AUGMENT, LOAD, TEST, train, training

pytestmark = pytest.mark.usefixtures('quick')
WORKER = r'Rank 0: Worker \d of 2 of a dataloader \(process \d+\) '
ROW = r'row 4 \(img_id 4\) of .*ds @ main:\w+, 7 rows'


def failing(path: str, how: str, split: str = 'train') -> dict:
    """A dataset whose fifth image does harm."""
    harm = dict(type='tests.support.failing.FailsAt', how=how, img_id=4)
    pipeline = [*LOAD, harm, *AUGMENT] if split == 'train' else [*TEST[:-1], harm, TEST[-1]]
    return dict(type='DeepLakeDataset', deeplake_path=path, pipeline=pipeline, test_mode=split != 'train')


def run(path, work_dir, how, split='train', **changes):
    """A training with two workers each, of which one reads that image."""
    loaders = {f'{name}_dataloader__num_workers': 2 for name in ('train', 'val')}
    broken = {f'{split}_dataloader__dataset': dict(failing(path, how, split), _delete_=True)}
    return train(training(path, work_dir, **{**loaders, **broken, **changes}))


@pytest.mark.parametrize(
    ('how', 'expected'),
    [
        ('SIGKILL', rf'was killed by SIGKILL while it read {ROW}\. .*memory runs out.*fewer num_workers'),
        ('SIGSEGV', rf'was killed by SIGSEGV while it read {ROW}\. .*deeplake-mmdet show DATASET ROW'),
        ('SIGBUS', rf'was killed by SIGBUS while it read {ROW}\. Shared memory'),
        ('exit', rf'ended with exit code 3 while it read {ROW}\. .*num_workers=0'),
    ],
)
def test_a_worker_that_dies_is_named_with_its_row_and_what_ended_it(few_images, tmp_path, how, expected):
    with pytest.raises(WorkerError, match=WORKER + expected):
        run(few_images, tmp_path, how)


@pytest.mark.parametrize('how', ['hang', 'deaf'])
def test_a_worker_that_is_stuck_is_named_with_its_row_and_ended(few_images, tmp_path, how):
    with pytest.raises(WorkerError, match=rf'within 2 seconds\. Worker .* is stuck while it read {ROW}, for') as raised:
        run(few_images, tmp_path, how, train_dataloader__timeout=2)
    stuck = re.findall(r'process (\d+)', str(raised.value))
    assert len(stuck) == 1
    assert int(stuck[0]) not in [child.pid for child in multiprocessing.active_children()]


def test_it_is_named_in_validation_too_which_has_no_loop_of_ours(few_images, tmp_path):
    with pytest.raises(WorkerError, match=rf'was killed by SIGKILL while it read {ROW}'):
        run(few_images, tmp_path, 'SIGKILL', 'val', val_dataloader__persistent_workers=True)


def test_workers_of_validation_too_pass_over_a_signal_that_a_cluster_sends_to_all(few_images, tmp_path):
    lines = run(few_images, tmp_path, 'SIGTERM', 'val', train_cfg__max_epochs=1)
    assert [line['validated'] for line in lines if 'validated' in line] == [4]


@pytest.mark.parametrize('loop', ['DeepLakeIterTrainLoop', 'tests.support.failing.StockLoop'])
def test_it_is_named_behind_wrappers_and_in_loops_of_mmengine(few_images, tmp_path, loop):
    pair = dict(type='ConcatDataset', datasets=[failing(few_images, 'SIGKILL'), failing(few_images, 'SIGKILL')])
    wrapped = dict(type='RepeatDataset', times=2, dataset=pair, _delete_=True)
    with pytest.raises(WorkerError, match=rf'was killed by SIGKILL while it read {ROW}'):
        run(
            few_images,
            tmp_path,
            'SIGKILL',
            train_dataloader__dataset=wrapped,
            train_dataloader__sampler=dict(type='DeepLakeSampler', shuffle=True),
            train_cfg=dict(type=loop, max_iters=30, val_interval=99, _delete_=True),
            param_scheduler=None,
        )


def test_memory_that_python_cannot_get_is_said_with_the_row(few_images, tmp_path):
    with pytest.raises(OutOfMemoryError, match=r'not enough memory for row 4 of .*ds @ main:\w+, 7 rows: Unable to'):
        run(few_images, tmp_path, 'memory')


class Told(Dataset):
    """Notes what it reads, as `DeepLakeDataset` does, and needs no MMDetection in workers that begin anew."""

    def __len__(self):
        return 4

    def __getitem__(self, place):
        being_read.begin([place], [f'a{place}'], 'the dataset')
        if place == 2:
            signal.raise_signal(signal.SIGKILL)
        being_read.end()
        return place


@pytest.mark.parametrize('method', ['spawn', 'forkserver'])
def test_it_is_named_however_the_workers_are_started(method):
    loader = DataLoader(Told(), num_workers=1, multiprocessing_context=method, persistent_workers=True)
    with (
        pytest.raises(WorkerError, match=r'Worker 0 of 1 .* while it read row 2 \(img_id a2\) of the dataset'),
        rows_named(),
    ):
        list(watched(loader))


def test_what_is_no_worker_of_ours_keeps_the_error_of_pytorch():
    assert worker_error('DataLoader worker (pid 1) is killed by signal: Killed. ') is None
    assert worker_error('CUDA error: out of memory') is None
    with pytest.raises(RuntimeError, match=r'^another$'), rows_named():
        raise RuntimeError('another')


def test_the_wait_has_an_end_unless_the_config_says_otherwise():
    assert with_timeout(dict(num_workers=2))['timeout'] == TIMEOUT_S == 600
    assert with_timeout(dict(num_workers=2, timeout=None))['timeout'] == 600
    assert with_timeout(dict(num_workers=2, timeout=0))['timeout'] == 0
    assert with_timeout(dict(num_workers=2, timeout=7))['timeout'] == 7
    assert with_timeout(dict(num_workers=0, timeout=7))['timeout'] == 0


def test_the_short_form_has_the_time_too():
    loader = dict(num_workers=2)
    apply_options(loader, read_options(dict(timeout=30), 'deeplake_dataloader'), 'val')
    assert loader == dict(num_workers=2, timeout=30)
    alone = loader | dict(num_workers=0)
    let_go_of_workers(alone, {})
    assert alone['timeout'] == 0
    with pytest.raises(ConfigError, match=r'timeout is 30, but there are no worker processes'):
        apply_options(dict(num_workers=0), read_options(dict(timeout=30), 'deeplake_dataloader'), 'val')
    with pytest.raises(ConfigError, match=r'timeout expected a whole number of at least 0, but got -1'):
        read_options(dict(timeout=-1), 'deeplake_dataloader')


def test_what_was_read_last_is_known_and_long_lists_are_cut(monkeypatch):
    readings = Readings(2)
    monkeypatch.setattr(being_read, '_own', None)
    NotingWorker(readings, lambda worker: None)(1)
    assert os.getpid() in [reading.pid for reading in all_readings()]
    assert readings.read()[1].what == ''
    being_read.begin(range(20), range(100, 120), 'x' * 1000)
    [_, reading] = readings.read()
    assert reading.now
    assert reading.what.startswith('rows 0 (img_id 100), 1 (img_id 101), ')
    assert '7 (img_id 107) and 12 more of xxx' in reading.what
    being_read.end()
    assert (readings.read()[1].what, readings.read()[1].now) == (reading.what, False)
    assert readings.read()[0].pid == 0
