"""The launch scripts, and every launcher, start processes that train and evaluate together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

import deeplake_mmdet
from tests.engine.test_join import free_port
from tests.support.children import ROOT
from tests.support.small_training import batches_of, global_batches, training, write_images

TOOLS = ROOT / 'tools'
# Starts as many processes as `srun` or `mpirun` is asked for, with what each puts into their environment.
LAUNCHER = """#!/usr/bin/env python3
import os, subprocess, sys
arguments, number, names = sys.argv[1:], 1, {names!r}
while arguments[0].startswith('-'):
    option = arguments.pop(0)
    if option.startswith('--ntasks='):
        number = int(option.partition('=')[2])
    elif option == '-np':
        number = int(arguments.pop(0))
children = []
for rank in range(number):
    values = (str(rank), str(number), str(rank))
    around = {{**os.environ, **dict(zip(names, values)), 'SLURM_NODELIST': 'node1'}}
    children.append(subprocess.Popen(arguments, env=around))
sys.exit(max(child.wait() for child in children))
"""
SLURM = ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')
MPI = ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('launched') / 'ds', 8)


@pytest.fixture
def config(path, tmp_path) -> Path:
    """A training of one epoch of two iterations on two ranks."""
    whole = training(path, tmp_path / 'work', train_cfg__max_epochs=1, log_level='INFO')
    whole.test_dataloader, whole.test_evaluator, whole.test_cfg = whole.val_dataloader, whole.val_evaluator, {}
    whole.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def environment(**changes: object) -> dict[str, str]:
    """That of a shell in which no launcher is."""
    taken = ('SLURM_', 'OMPI_', 'TORCHELASTIC_', 'MASTER_', 'RANK', 'WORLD_SIZE', 'LOCAL_RANK')
    around = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
    around |= {'PYTHON': sys.executable, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return around | {name: str(value) for name, value in changes.items()}


def start(command: list[object], **changes: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(*children: subprocess.Popen[str]) -> str:
    """What programs that end well said."""
    said = [child.communicate(timeout=200)[0] for child in children]
    assert [child.returncode for child in children] == [0] * len(children), '\n'.join(text[-3000:] for text in said)
    return '\n'.join(said)


def check_trained(work_dir: Path) -> None:
    """Two ranks have shared the images of an epoch, and wrote one checkpoint."""
    assert len(batches_of(work_dir, 0)) == len(batches_of(work_dir, 1)) == 2
    seen = [image for batch in global_batches(work_dir, 2) for image, _ in batch]
    assert sorted(seen) == list(range(8))
    assert (work_dir / 'iter_2.pth').is_file()


def launcher(folder: Path, name: str, names: tuple[str, ...]) -> str:
    """A PATH on which a program of a cluster is."""
    (folder / name).write_text(LAUNCHER.format(names=names))
    (folder / 'scontrol').write_text('#!/bin/sh\necho localhost\n')
    for program in (name, 'scontrol'):
        (folder / program).chmod(0o755)
    return f'{folder}{os.pathsep}{os.environ["PATH"]}'


def test_the_scripts_train_and_test_on_two_processes_with_the_scores_of_one(config, tmp_path):
    finished(start([TOOLS / 'dist_train.sh', config, 2]))
    check_trained(tmp_path / 'work')
    checkpoint = tmp_path / 'given.pth'
    saved = torch.load(tmp_path / 'work' / 'iter_2.pth', weights_only=False)
    saved['state_dict']['box.weight'].zero_()  # two iterations teach little: it finds one box that is often right
    saved['state_dict']['box.bias'].copy_(torch.tensor([5 / 40, 3 / 40, 0.2, 0.2]))
    torch.save(saved, checkpoint)
    finished(start([TOOLS / 'dist_test.sh', config, checkpoint, 2, '--work-dir', tmp_path / 'test']))
    cfg = Config.fromfile(config)
    cfg.work_dir = str(tmp_path / 'alone')
    alone = deeplake_mmdet.test_detector(cfg.model, cfg, checkpoint=str(checkpoint))
    [file] = (tmp_path / 'test').glob('*/[0-9]*.json')
    scores = json.loads(file.read_text())
    assert {key: scores[key] for key in alone} == alone
    assert alone['coco/bbox_mAP'] > 0


def test_two_machines_are_started_by_their_number_and_the_address_of_the_first(config, tmp_path):
    around = dict(NNODES=2, MASTER_ADDR='127.0.0.1', PORT=free_port())
    finished(*(start([TOOLS / 'dist_train.sh', config, 1], NODE_RANK=rank, **around) for rank in range(2)))
    check_trained(tmp_path / 'work')


@pytest.mark.slow
def test_two_machines_that_may_be_lost_meet_in_the_same_way(config, tmp_path):
    around = dict(NNODES='1:2', MASTER_ADDR='127.0.0.1', PORT=free_port(), MAX_RESTARTS=1, LOCAL_ADDR='127.0.0.1')
    around['RDZV_CONF'] = 'last_call_timeout=30'
    finished(*(start([TOOLS / 'dist_train.sh', config, 1], NODE_RANK=rank, **around) for rank in range(2)))
    check_trained(tmp_path / 'work')


def test_slurm_starts_a_training(config, tmp_path):
    around = dict(PATH=launcher(tmp_path, 'srun', SLURM), GPUS=2, MASTER_PORT=free_port())
    finished(start([TOOLS / 'slurm_train.sh', 'part', 'name', config, tmp_path / 'work'], **around))
    check_trained(tmp_path / 'work')


def test_mpi_starts_a_training(config, tmp_path):
    around = dict(PATH=launcher(tmp_path, 'mpirun', MPI), MASTER_PORT=free_port())
    command = ['mpirun', '-np', 2, sys.executable, TOOLS / 'train.py', config, '--launcher', 'mpi']
    finished(start([tmp_path / 'mpirun', *command[1:]], **around))
    check_trained(tmp_path / 'work')


def test_torchrun_is_recognised_without_being_named(config, tmp_path):
    run = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', 2]
    finished(start([*run, TOOLS / 'train.py', config]))
    check_trained(tmp_path / 'work')
