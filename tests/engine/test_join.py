"""Processes join whatever started them, and say clearly what keeps them from it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from deeplake_mmdet.engine import join as joining
from deeplake_mmdet.engine.join import join, launcher_around
from deeplake_mmdet.errors import ConfigError
from tests.support.children import ROOT

JOIN = """
import json, sys
from mmengine.config import Config
from deeplake_mmdet.engine.join import end_rank, join
import torch.distributed as dist
join(Config(dict(launcher=sys.argv[1])))
ranks = [None] * dist.get_world_size()
dist.all_gather_object(ranks, dist.get_rank())
sys.stdout.write(json.dumps([dist.get_rank(), dist.get_world_size(), ranks]) + '\\n')  # at once: ranks share a pipe
sys.stdout.flush()
end_rank()
"""
TAKEN = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


@pytest.fixture(autouse=True)
def no_launcher():
    """No launcher is around, and none is left behind: what joins writes into the environment."""
    before = dict(os.environ)
    for name in before:
        if name in TAKEN or name.startswith(('SLURM_', 'OMPI_')):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def free_port() -> int:
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        return place.getsockname()[1]


def start(launcher: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    around = {**os.environ, **environment, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-c', JOIN, launcher]
    return subprocess.Popen(command, env=around, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ('launcher', 'names'),
    [
        ('pytorch', ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')),
        ('slurm', ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')),
        ('mpi', ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')),
    ],
)
def test_two_processes_without_a_gpu_join_whatever_started_them(launcher, names, tmp_path):
    around = {'MASTER_PORT': str(free_port())}
    if launcher == 'slurm':  # a command of that name, as a cluster has it
        (tmp_path / 'scontrol').write_text('#!/bin/sh\n[ "$3" = "node[1-2]" ] && printf "localhost\\nnode2\\n"\n')
        (tmp_path / 'scontrol').chmod(0o755)
        around |= {'SLURM_NODELIST': 'node[1-2]', 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'}
    else:
        around['MASTER_ADDR'] = '127.0.0.1'
    ranks = [start(launcher, around | dict(zip(names, (str(rank), '2', str(rank)), strict=True))) for rank in range(2)]
    said = [rank.communicate(timeout=100) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    assert [json.loads(out.splitlines()[-1]) for out, _ in said] == [[0, 2, [0, 1]], [1, 2, [0, 1]]]


def test_the_environment_of_torchrun_is_recognised_and_one_alone_is_not(monkeypatch):
    assert launcher_around() == 'none'
    for name, value in zip(TAKEN, ('0', '2', '0', 'localhost', '1'), strict=True):
        monkeypatch.setenv(name, value)
    assert launcher_around() == 'pytorch'


@pytest.mark.parametrize(
    ('launcher', 'expected'),
    [
        ('pytorch', r'without RANK and WORLD_SIZE.*tools/dist_train\.sh'),
        ('slurm', r'expected SLURM_PROCID in the environment.*srun'),
        ('mpi', r'expected OMPI_COMM_WORLD_RANK in the environment.*mpirun'),
    ],
)
def test_a_launcher_that_did_not_start_the_process_is_refused(launcher, expected):
    with pytest.raises(ConfigError, match=expected):
        join(dict(launcher=launcher))


def test_slurm_without_its_commands_asks_for_the_address(monkeypatch, tmp_path):
    for name in ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'):
        monkeypatch.setenv(name, '0')
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(ConfigError, match=r'expected scontrol to list the machines.*MASTER_ADDR'):
        join(dict(launcher='slurm'))


def test_a_port_in_use_is_said_with_what_chooses_another():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        around = {'RANK': '0', 'WORLD_SIZE': '2', 'LOCAL_RANK': '0', 'MASTER_ADDR': '127.0.0.1'}
        child = start('pytorch', around | {'MASTER_PORT': str(taken.getsockname()[1])})
        _, said = child.communicate(timeout=100)
    assert child.returncode != 0
    assert 'got a port that is in use. Choose another one: PORT=…' in said


def test_an_unreachable_first_process_is_named():
    message = joining._unmet('The client socket has timed out\nmore')
    assert message.endswith('reach it at this address and port.')
    assert 'The client socket has timed out' in message


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_a_script_without_arguments_says_its_own(script):
    done = subprocess.run([ROOT / 'tools' / script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f'tools/{script} ' in done.stderr


def test_the_slurm_script_asks_for_one_task_a_gpu(tmp_path):
    (tmp_path / 'srun').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    around = {**os.environ, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}', 'GPUS': '4', 'PYTHON': 'py'}
    command = [ROOT / 'tools' / 'slurm_train.sh', 'gpu', 'job', 'a.py', 'work', '--amp']
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=around).stdout.splitlines()
    assert said[:4] == ['--partition=gpu', '--job-name=job', '--gres=gpu:8', '--ntasks=4']
    assert '--ntasks-per-node=4' in said
    assert said[-6:] == ['a.py', '--work-dir', 'work', '--launcher', 'slurm', '--amp']


def test_the_training_script_starts_processes_that_find_each_other(tmp_path):
    tools = tmp_path / 'tools'
    tools.mkdir()
    for name in ('_dist.sh', 'dist_train.sh'):
        (tools / name).symlink_to(ROOT / 'tools' / name)
    (tools / 'train.py').write_text(f'import sys\nprint(sys.argv[1:], flush=True)\nsys.argv[1:] = ["pytorch"]\n{JOIN}')
    around = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [str(tools / 'dist_train.sh'), 'a.py', '2', '--amp']
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=around, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("['a.py', '--launcher', 'pytorch', '--amp']") == 2
    assert sorted(line for line in done.stdout.splitlines() if line.startswith('[0,') or line.startswith('[1,')) == [
        '[0, 2, [0, 1]]',
        '[1, 2, [0, 1]]',
    ]
