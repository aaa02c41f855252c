"""Two machines train together; one is cut off and comes back, and the run goes on by itself."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.test_same_on_ranks import config_of
from tests.support.machines import Machines
from tests.support.small_training import batches_of, train, write_images

COUNT, ITERATIONS = 14, 6
QUICK = 'keep_alive_interval=1,keep_alive_max_attempt=3,last_call_timeout=5'  # torchrun's own: after 15 and 30 s


def agent(machines: Machines, machine: int, config: Path, nodes: str = '2') -> list[str]:
    """The command that starts a machine's share of the run; machine 0 is where they meet."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--nnodes', nodes, '--nproc-per-node', '1']
    command += ['--rdzv-backend', 'c10d', '--rdzv-endpoint', f'{machines.addresses[0]}:29400', '--rdzv-id', 'run']
    command += ['--rdzv-conf', f'is_host={int(machine == 0)},{QUICK}', '--local-addr', machines.addresses[machine]]
    return [*command, '--max-restarts', '3', '-m', 'tests.support.train_on_ranks', str(config)]


def wait_for(work_dir: Path, iterations: int, child: Any, log: Path) -> None:
    """Until rank 0 has logged so many iterations."""
    end, lines = time.monotonic() + 120, work_dir / 'batches0.jsonl'
    while not (lines.exists() and len(lines.read_text().splitlines()) >= iterations):
        assert child.poll() is None and time.monotonic() < end, log.read_text()[-4000:]
        time.sleep(0.05)


def check_like(work_dir: Path, alone: Path, ranks: int = 2) -> None:
    """That every iteration was done, on the samples and with the losses of a single process, however often."""
    expected = batches_of(alone)
    found = [batches_of(work_dir, rank) for rank in range(ranks)]
    for lines in found:
        assert {line['iter'] for line in lines} == set(range(ITERATIONS))
    for first in found[0]:
        [whole] = [line for line in expected if line['iter'] == first['iter']]
        others = [line for line in found[1] if line['iter'] == first['iter']]
        for second in others:
            pixels = [*first['pixels'], *second['pixels']]
            assert sorted(pixels) == sorted(whole['pixels'])
            assert (first['loss'] + second['loss']) / 2 == pytest.approx(whole['loss'], rel=1e-5)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('machines') / 'ds', COUNT)


@pytest.fixture(scope='module')
def alone(path, tmp_path_factory):
    """What a single process does."""
    torch.set_num_threads(1)
    work_dir = tmp_path_factory.mktemp('alone')
    train(config_of(path, work_dir, 1))
    return work_dir


def slow(path: str, folder: Path, seconds: float, **changes: Any) -> Path:
    """The file of a config whose iterations leave the time to pull a cable."""
    hooks = [dict(type='BatchLog'), dict(type='tests.support.lives.Slow', seconds=seconds)]
    config = config_of(path, folder / 'work', 2, custom_hooks=hooks, env_cfg__dist_cfg=dict(timeout=15), **changes)
    config.dump(folder / 'config.py')
    return folder / 'config.py'


def test_a_machine_that_is_cut_off_comes_back_and_the_run_goes_on(path, alone, tmp_path):
    config, work_dir, logs = slow(path, tmp_path, 0.5), tmp_path / 'work', [tmp_path / '0.log', tmp_path / '1.log']
    with Machines() as machines:
        children = [machines.start(number, agent(machines, number, config), logs[number]) for number in range(2)]
        wait_for(work_dir, 2, children[0], logs[0])
        machines.cut_off(1)
        machines.kill_all(1)
        machines.reconnect(1)
        again = machines.start(1, agent(machines, 1, config), logs[1])
        codes = [children[0].wait(150), again.wait(30)]
    assert codes == [0, 0], logs[0].read_text()[-4000:] + logs[1].read_text()[-4000:]
    assert len(json.loads((work_dir / 'elastic_run.json').read_text())['agents']) == 3
    check_like(work_dir, alone)
    assert len(batches_of(work_dir)) <= ITERATIONS + 2  # it went on from a checkpoint, not from the beginning


@pytest.mark.slow
def test_a_run_outlives_a_cable_that_is_pulled_for_longer_than_the_ranks_wait(path, alone, tmp_path):
    config, work_dir, logs = slow(path, tmp_path, 0.5), tmp_path / 'work', [tmp_path / '0.log', tmp_path / '1.log']
    with Machines() as machines:
        children = [machines.start(number, agent(machines, number, config), logs[number]) for number in range(2)]
        wait_for(work_dir, 2, children[0], logs[0])
        machines.cut_off(1)
        time.sleep(25)
        machines.reconnect(1)
        codes = [child.wait(200) for child in children]
    assert codes == [0, 0], logs[0].read_text()[-4000:] + logs[1].read_text()[-4000:]
    check_like(work_dir, alone)


@pytest.mark.slow
def test_a_run_that_may_do_with_one_machine_goes_on_alone_and_takes_the_other_back(path, tmp_path):
    config, work_dir = slow(path, tmp_path, 1.0, train_cfg__max_epochs=30), tmp_path / 'work'
    logs = [tmp_path / '0.log', tmp_path / '1.log']
    with Machines() as machines:
        children = [machines.start(number, agent(machines, number, config, '1:2'), logs[number]) for number in range(2)]
        wait_for(work_dir, 2, children[0], logs[0])
        machines.cut_off(1)
        machines.kill_all(1)
        before = len(batches_of(work_dir))
        wait_for(work_dir, before + 6, children[0], logs[0])  # alone
        machines.reconnect(1)
        both = len(batches_of(work_dir, 1))
        again = machines.start(1, agent(machines, 1, config, '1:2'), logs[1])
        codes = [children[0].wait(250), again.wait(30)]
    assert codes == [0, 0], logs[0].read_text()[-4000:] + logs[1].read_text()[-4000:]
    assert len(batches_of(work_dir, 1)) > both  # machine 1 took part again
    lines = {line['iter']: line for line in batches_of(work_dir)}
    assert sorted(lines) == list(range(max(lines) + 1))
    assert max(line['epoch'] for line in lines.values()) == 29
