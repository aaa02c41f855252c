"""When one rank fails, the others end with its message, and without the help of whatever started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deeplake_mmdet.engine.preemption import EXIT_CODE, Preemption
from tests.support.children import ROOT
from tests.support.small_training import training

BEGIN = """
import datetime, os, sys, time
import torch.distributed as dist
from deeplake_mmdet.engine import told_failures
from deeplake_mmdet.engine.told_failures import failures_told

told_failures._LOOK_S, told_failures._GRACE_S = 0.1, 1.0
dist.init_process_group('gloo')
rank = dist.get_rank()
"""
STAYS = """
try:
    with failures_told():
        if rank == 1:
            raise ValueError('it broke')
        dist.barrier()
except ValueError:
    time.sleep(300)  # it is not gone, so its connections are not cut
"""
GOES = """
told_failures._LOOK_S = 1.0
try:
    with failures_told():
        dist.barrier()
        if rank == 0:
            time.sleep(0.5)  # the other has just looked
            raise ValueError('it broke')
        time.sleep(300)
except ValueError:
    os._exit(1)  # and the store ends with it
"""
ALIKE = """
for attempt in range(2):
    try:
        with failures_told():
            raise KeyError(attempt)
    except KeyError:
        pass
dist.barrier()
with failures_told():
    if rank == 1:
        time.sleep(3)  # longer than rank 0 lives, and the store with it
print('done', flush=True)
os._exit(0)
"""
PREEMPTED = """
with failures_told():
    dist.barrier()
    if rank == 1:
        time.sleep(3)
    import atexit
    atexit.register(os._exit, 75)  # before gloo's threads are taken down
    sys.exit(75)
"""
ALONE = """
with failures_told():
    if rank == 1:
        raise ValueError('it broke')
    dist.barrier()
"""
STUCK = """
import atexit
told_failures._LEAVE_S = 1.0
atexit.register(time.sleep, 300)
with failures_told():
    raise ValueError('it broke')
"""


def start(command: list[str], rank: int, port: int) -> subprocess.Popen[str]:
    around = dict(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    environment = {**os.environ, **around, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def run():
    """Starts two ranks, and ends them when the test does."""
    ranks = []

    def begin(command: list[str]) -> list[subprocess.Popen[str]]:
        with socket.socket() as place:
            place.bind(('127.0.0.1', 0))
            port = place.getsockname()[1]
        ranks.extend(start(command, rank, port) for rank in range(2))
        return ranks

    yield begin
    for rank in ranks:
        rank.kill()
        rank.communicate()


def test_a_rank_that_waits_for_one_that_failed_ends_with_its_message(run):
    waiting, failed = run(['-c', BEGIN + STAYS])
    said, _ = waiting.communicate(timeout=150)
    assert waiting.returncode == 1
    assert 'Rank 0 ends, because the run failed on rank 1: ValueError: it broke' in said
    assert failed.poll() is None


def test_it_does_so_when_the_rank_that_failed_takes_the_store_away(run):
    failed, busy = run(['-c', BEGIN + GOES])
    said, _ = busy.communicate(timeout=150)
    assert busy.returncode == 1
    assert 'Rank 1 ends, because the run failed on rank 0: ValueError: it broke' in said
    assert failed.wait(timeout=100) == 1


def test_a_rank_whose_peer_is_cut_off_says_what_failed_first(run):
    waiting, failed = run(['-c', BEGIN + ALONE])
    said, _ = waiting.communicate(timeout=150)
    assert failed.wait(timeout=100) != 0 and waiting.returncode != 0
    assert 'failed first on rank 1: ValueError: it broke' in said or 'the run failed on rank 1: ValueError' in said


def test_failures_alike_that_are_caught_and_an_early_end_of_a_rank_leave_the_others_alone(run):
    ranks = run(['-c', BEGIN + ALIKE])
    said = [rank.communicate(timeout=150)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    assert all('done' in text and ' ends' not in text for text in said), said


def test_an_exit_on_purpose_is_no_failure(run):
    ranks = run(['-c', BEGIN + PREEMPTED])
    said = [rank.communicate(timeout=150)[0] for rank in ranks]
    assert all('the run failed' not in text for text in said), said
    assert [rank.returncode for rank in ranks] == [EXIT_CODE, EXIT_CODE]


def test_a_rank_that_failed_and_does_not_come_to_its_end_is_ended(run):
    for rank in run(['-c', BEGIN + STUCK]):
        said, _ = rank.communicate(timeout=150)
        assert rank.returncode == 1
        assert 'ValueError: it broke' in said


def test_a_signal_ends_an_evaluation_as_ever():
    before, hook = signal.getsignal(signal.SIGTERM), Preemption()
    hook.before_run(SimpleNamespace(cfg={}))
    assert signal.getsignal(signal.SIGTERM) != before
    hook.before_test(None)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_worker_that_is_killed_is_named_with_its_row_on_all_ranks(run, few_images, tmp_path):
    harm = dict(type='tests.support.failing.FailsAt', how='SIGKILL', img_id=4)
    cfg = training(few_images, tmp_path / 'work', train_dataloader__num_workers=1)
    cfg.train_dataloader.dataset.pipeline = [harm, *cfg.train_dataloader.dataset.pipeline]
    cfg.dump(Path(tmp_path, 'cfg.py'))
    ranks = run(['-m', 'tests.support.train_on_ranks', str(tmp_path / 'cfg.py')])
    said = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert all(rank.returncode not in (0, None) for rank in ranks)
    for text in said:
        assert 'was killed by SIGKILL while it read row 4 (img_id 4) of ' in text


def test_ranks_with_unequally_many_batches_of_validation_do_not_wait_for_each_other(run, few_images, tmp_path):
    cfg = training(few_images, tmp_path / 'work', val_dataloader__sampler__round_up=False, train_cfg__max_epochs=1)
    cfg.dump(Path(tmp_path, 'cfg.py'))
    ranks = run(['-m', 'tests.support.train_on_ranks', str(tmp_path / 'cfg.py')])
    said = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    assert 'validated' in Path(tmp_path, 'work', 'batches0.jsonl').read_text()
