"""A run that is stopped keeps what it has done, and goes on only with whole files and the same data."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch.distributed.launcher.api import LaunchConfig

from deeplake_mmdet.cli import train
from deeplake_mmdet.engine.checkpoint_files import newest_whole, save_whole
from deeplake_mmdet.engine.preemption import EXIT_CODE, Preemption
from deeplake_mmdet.errors import ConfigError
from tests.engine.test_ranks import dump
from tests.engine.test_train_detector import learnable
from tests.support.children import ROOT

LOGGER = logging.getLogger('test')


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def cfg(tmp_path) -> Config:
    cfg = learnable(tmp_path)
    cfg.custom_hooks = [dict(type='tests.support.rank_log.RankLog')]
    return cfg


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts commands of which no process is left when the test ends, not even ranks in sessions of their own."""
    mark = f'STARTED_BY={uuid.uuid4().hex}'

    def begin(*command: Any) -> subprocess.Popen[str]:
        around = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
        around |= dict([mark.split('=')])
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return subprocess.Popen(list(map(str, command)), env=around, text=True, start_new_session=True, **pipes)

    yield begin
    for process in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / 'environ').read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


TRAIN = (sys.executable, ROOT / 'tools' / 'train.py')
TORCHRUN = (sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node')


def wait_for_images(work_dir: str, images: int, child: subprocess.Popen[str]) -> None:
    """Until rank 0 was trained on so many."""
    log, end = Path(work_dir, 'rank0.txt'), time.monotonic() + 120
    while not (log.is_file() and log.read_text().count('\n') >= images):
        assert child.poll() is None, child.stdout.read()[-3000:]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(('number', 'whole_group'), [(signal.SIGTERM, False), (signal.SIGUSR1, True)])
def test_a_training_that_is_asked_to_stop_writes_a_checkpoint_and_exits_with_its_own_code(
    start, tmp_path, cfg, number, whole_group
):
    cfg.train_cfg.max_epochs = 2000
    cfg.data.train.deeplake_dataloader.num_workers = 1
    dump(cfg, tmp_path / 'cfg.py')
    child = start(*TRAIN, tmp_path / 'cfg.py')
    wait_for_images(cfg.work_dir, 20, child)
    if whole_group:  # as clusters do: the loader's workers hear it too
        os.killpg(child.pid, number)
    else:
        child.send_signal(number)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == EXIT_CODE, said[-3000:]
    [name] = [file.name for file in Path(cfg.work_dir).glob('iter_*.pth')]
    assert f'Stopped by {number.name} after iteration' in said
    done = Path(cfg.work_dir, 'rank0.txt').read_text().count('\n')
    checkpoint = torch.load(Path(cfg.work_dir, name), weights_only=False)
    batch = Config.fromfile(tmp_path / 'cfg.py').train_dataloader.batch_size
    assert checkpoint['meta']['iter'] * batch == done
    assert 'optimizer' in checkpoint
    assert newest_whole(cfg.work_dir, LOGGER) == os.path.join(cfg.work_dir, name)


def test_a_signal_to_one_rank_stops_all_after_the_same_iteration(start, tmp_path, cfg):
    cfg.train_cfg.max_epochs = 2000
    cfg.data.train.deeplake_dataloader.batch_size = 1
    dump(cfg, tmp_path / 'cfg.py')
    parent = start(*TORCHRUN, 2, TRAIN[1], tmp_path / 'cfg.py', '--launcher', 'pytorch')
    wait_for_images(cfg.work_dir, 10, parent)
    [rank] = [
        int(pid)
        for pid in subprocess.run(
            ['pgrep', '-P', str(parent.pid)], capture_output=True, text=True, check=True
        ).stdout.split()[1:]
    ]
    os.kill(rank, signal.SIGTERM)
    said, _ = parent.communicate(timeout=100)
    assert parent.returncode != 0
    assert f'exitcode  : {EXIT_CODE} ' in said or f'exitcode: {EXIT_CODE})' in said, said[-3000:]
    done = [file.read_text().count('\n') for file in sorted(Path(cfg.work_dir).glob('rank*.txt'))]
    [name] = [file.stem for file in Path(cfg.work_dir).glob('iter_*.pth')]
    assert done == [int(name.partition('_')[2])] * 2


def test_a_signal_that_comes_while_the_ranks_ask_each_other_is_heard_the_next_time(monkeypatch):
    hook = Preemption()

    def asked(shared, **options):  # the others were not asked to; this one is, meanwhile
        hook._note(signal.SIGTERM, None)

    hook._group = object()
    monkeypatch.setattr('torch.distributed.all_reduce', asked)
    assert not hook._asked()
    assert hook._asked()


@pytest.mark.skipif(
    not hasattr(LaunchConfig, 'signals_to_handle'), reason='this torchrun passes no SIGUSR1 on, whatever it is told'
)
def test_the_launch_script_passes_a_signal_on_to_its_ranks(start, tmp_path, cfg):
    cfg.train_cfg.max_epochs = 2000
    dump(cfg, tmp_path / 'cfg.py')
    parent = start(ROOT / 'tools' / 'dist_train.sh', tmp_path / 'cfg.py', 1)
    wait_for_images(cfg.work_dir, 10, parent)
    parent.send_signal(signal.SIGUSR1)
    said, _ = parent.communicate(timeout=100)
    assert 'Stopped by SIGUSR1 after iteration' in said, said[-3000:]
    assert len(list(Path(cfg.work_dir).glob('iter_*.pth'))) == 1


def test_a_checkpoint_appears_under_its_name_only_when_it_is_whole(tmp_path):
    def interrupted(name: str) -> None:
        (tmp_path / name).write_bytes(b'half')
        raise KeyboardInterrupt

    (tmp_path / 'a.pth').write_bytes(b'before')
    with pytest.raises(KeyboardInterrupt):
        save_whole(interrupted, str(tmp_path), 'a.pth')
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {'a.pth': b'before'}
    save_whole(lambda name: (tmp_path / name).write_bytes(b'after'), str(tmp_path), 'a.pth')
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {'a.pth': b'after'}


@pytest.mark.parametrize('damage', ['cut', 'flipped', 'empty', 'gone'])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, damage, caplog):
    for number in (1, 2, 3):
        file = tmp_path / f'epoch_{number}.pth'
        torch.save({'state_dict': {'weight': torch.arange(5000.0) * number}}, file)
        os.utime(file, (number, number))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    changed = {'cut': content[: len(content) // 2], 'flipped': content, 'empty': b''}
    if damage == 'gone':
        file.unlink()
    else:
        file.write_bytes(changed[damage])
    (tmp_path / 'last_checkpoint').write_text(str(file))
    with caplog.at_level(logging.WARNING, 'test'):
        assert newest_whole(str(tmp_path), LOGGER) == str(tmp_path / 'epoch_2.pth')
    assert 'epoch_3.pth' in caplog.text
    assert 'is passed over' in caplog.text


def test_a_folder_without_checkpoints_has_none_to_resume(tmp_path):
    assert newest_whole(str(tmp_path), LOGGER) is None


@pytest.fixture
def trained(tmp_path, cfg) -> Path:
    """A config whose training of eight epochs was run once."""
    dump(cfg, tmp_path / 'cfg.py')
    assert train.main([str(tmp_path / 'cfg.py'), '--no-validate']) == 0
    return tmp_path / 'cfg.py'


def test_a_run_is_resumed_from_the_newest_whole_checkpoint_and_only_on_its_data(trained, tmp_path, caplog):
    config = Config.fromfile(trained)
    newest, content = Path(config.work_dir, 'epoch_8.pth'), Path(config.work_dir, 'epoch_8.pth').read_bytes()
    options = ['--no-validate', '--resume', '--cfg-options', 'train_cfg.max_epochs=9']
    newest.write_bytes(content[: len(content) // 2])
    before = Path(config.work_dir, 'rank0.txt').read_text().count('\n')
    assert train.main([str(trained), *options]) == 0  # from the beginning: there is no other
    assert Path(config.work_dir, 'rank0.txt').read_text().count('\n') == before + 9 * 6
    import deeplake

    path = config.train_dataloader.dataset.deeplake_path
    dataset = deeplake.open(path)
    dataset.delete(5)
    dataset.commit('one row less')
    moved = ['train_dataloader.dataset.deeplake_commit_id=""', 'train_cfg.max_epochs=10']
    with pytest.raises(ConfigError, match=r'expected the data that it was trained on, .* 6 rows.*but got .* 5 rows'):
        train.main([str(trained), '--no-validate', '--resume', '--cfg-options', *moved])
    assert train.main([str(trained), '--no-validate', '--resume', '--resume-anyway', '--cfg-options', *moved]) == 0
