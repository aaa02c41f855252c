"""Several processes: they share the images, read the same rows, and say clearly what keeps them from it."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import deeplake
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

import deeplake_mmdet
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine import agreement
from deeplake_mmdet.engine.cpu_parallel import wrapper_without_gpu
from deeplake_mmdet.engine.launch import run_on_ranks
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.adopted import adopt, release
from tests.engine.test_train_detector import config, learnable
from tests.support.children import ROOT
from tests.support.rank_log import img_ids_of_ranks
from tests.support.tiny import write_tiny


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    torch.set_num_threads(1)


def torchrun(*arguments: str, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    """Run a script in two processes."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--standalone', *arguments]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)


def dump(cfg: Config, file: Path) -> None:
    """Write a config in the long form: in one file, the short form beside what it replaces would contradict it."""
    resolved = copy.deepcopy(cfg)
    prepare(resolved)
    resolved.dump(file)


def test_ranks_of_the_training_tool_share_the_images_and_validate_as_one_process_does(tmp_path):
    cfg = learnable(tmp_path)
    cfg.data.train.deeplake_dataloader.batch_size = 1
    cfg.data.val.deeplake_dataloader.batch_size = 1
    cfg.custom_hooks = [dict(type='tests.support.rank_log.RankLog')]
    dump(cfg, tmp_path / 'cfg.py')
    done = torchrun(str(ROOT / 'tools' / 'train.py'), str(tmp_path / 'cfg.py'), '--launcher', 'pytorch')
    assert done.returncode == 0, done.stderr[-3000:]
    epochs = [[ids[i : i + 3] for i in range(0, 24, 3)] for ids in img_ids_of_ranks(cfg.work_dir)]
    assert len(epochs) == 2
    for first, second in zip(*epochs, strict=True):
        assert sorted(first + second) == list(range(6))
    [file] = Path(cfg.work_dir).glob('*/vis_data/scalars.json')
    validation = [json.loads(line) for line in file.read_text().splitlines() if 'bbox_mAP"' in line][-1]
    alone = deeplake_mmdet.test_detector(cfg.model, cfg, checkpoint=str(Path(cfg.work_dir, 'epoch_8.pth')))
    assert alone['coco/bbox_mAP'] > 0
    assert {key: validation[key] for key in alone} == alone
    assert Config.fromfile(Path(cfg.work_dir, 'cfg.py')).get('model_wrapper_cfg') is None


SCRIPT = """
import sys
import deeplake, torch
from mmengine.config import Config
import deeplake_mmdet
from deeplake_mmdet.errors import ConfigError

torch.set_num_threads(1)
cfg = Config.fromfile(sys.argv[1])
view = deeplake.open_read_only(sys.argv[2]).query('select * order by random()')
for distributed in (False, True):
    try:
        deeplake_mmdet.train_detector(cfg.model, cfg, ds_train=view, validate=False, distributed=distributed)
    except ConfigError as error:
        print(f'REFUSED {error}', flush=True)
"""


def test_under_torchrun_no_process_trains_alone_or_on_an_object_that_only_it_has(tmp_path):
    path = write_tiny(tmp_path / 'ds')
    dump(config(tmp_path, path), tmp_path / 'cfg.py')
    (tmp_path / 'script.py').write_text(SCRIPT)
    done = torchrun(str(tmp_path / 'script.py'), str(tmp_path / 'cfg.py'), path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('REFUSED This process is one of 2 that torchrun, or its like, started') == 2
    assert done.stdout.count('REFUSED train_dataloader.dataset is an opened dataset that other processes') == 2


def test_an_error_of_a_started_process_is_raised_as_itself(tmp_path):
    boxes = [np.array([[1, 1, 5, 5]], np.float32)] * 40  # of which two draws are never alike
    cfg = config(tmp_path, write_tiny(tmp_path / 'ds', boxes=boxes))
    cfg.data.train.deeplake_query = 'select * order by random()'
    with pytest.raises(ConfigError, match=r'train_dataloader.dataset expected the same rows in all 2 processes'):
        deeplake_mmdet.train_detector(cfg.model, cfg, validate=False, distributed=2)


def test_another_error_of_a_started_process_stays_a_failed_child(monkeypatch):
    failure = SimpleNamespace(error_file_data={'message': {'message': 'ValueError: 7 is odd'}})

    def fail(*_):
        error = ChildFailedError.__new__(ChildFailedError)
        error.get_first_failure = lambda: (0, failure)
        raise error

    monkeypatch.setattr('torch.distributed.launcher.api.elastic_launch', lambda *_: fail)
    with pytest.raises(ChildFailedError):
        run_on_ranks(2, fail, ({},))
    failure.error_file_data = {'message': '<no reply>'}
    with pytest.raises(ChildFailedError):
        run_on_ranks(2, fail, ({},))
    failure.error_file_data = {'message': {'message': 'ConfigError: a: b'}}
    with pytest.raises(ConfigError, match=r'^a: b$'):
        run_on_ranks(2, fail, ({},))


def test_a_script_without_a_main_guard_is_told_so(monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), '_inheriting', True, raising=False)
    with pytest.raises(ConfigError, match=r"under if __name__ == '__main__':"):
        run_on_ranks(2, print, ({},))


def compare(monkeypatch, first, second) -> None:
    """Let two ranks that read two datasets compare them."""
    runners = [
        SimpleNamespace(_train_loop=SimpleNamespace(dataloader=torch.utils.data.DataLoader(dataset)), _val_loop=None)
        for dataset in (first, second)
    ]
    sent = []
    monkeypatch.setattr(agreement, 'get_world_size', lambda: 2)
    for runner in runners:
        runner._test_loop = None
        monkeypatch.setattr(agreement, 'all_gather_object', lambda mine: sent.append(mine) or [mine, mine])
        if runner is runners[1]:
            monkeypatch.setattr(agreement, 'all_gather_object', lambda mine: [*sent, mine])
        agreement.RanksAgree().before_run(runner)


def dataset_of(**keys) -> DeepLakeDataset:
    return DeepLakeDataset(**keys, test_mode=True)


def test_ranks_that_read_the_same_rows_agree_wherever_the_dataset_is(tmp_path, monkeypatch):
    path = write_tiny(tmp_path / 'ds')
    (tmp_path / 'link').symlink_to(path)
    compare(monkeypatch, dataset_of(deeplake_path=path), dataset_of(deeplake_path=str(tmp_path / 'link')))


def test_ranks_that_read_other_rows_of_one_query_are_stopped(tmp_path, monkeypatch):
    path = write_tiny(tmp_path / 'ds')
    first, second = (dataset_of(deeplake_path=path, deeplake_query='select * limit 6') for _ in range(2))
    second.source.rows = second.source.rows[::-1]
    with pytest.raises(ConfigError, match=r'other rows of the same in rank 1. Give deeplake_commit_id, and save'):
        compare(monkeypatch, torch.utils.data.ConcatDataset([first]), torch.utils.data.ConcatDataset([second]))


def test_ranks_that_resolved_other_commits_are_stopped(tmp_path, monkeypatch):
    path = write_tiny(tmp_path / 'ds')
    first = dataset_of(deeplake_path=path)
    writable = deeplake.open(path)
    writable['boxes'][0] = writable['boxes'][1][::-1]
    writable.commit('other boxes')
    with pytest.raises(ConfigError, match=r'train_dataloader.dataset expected the same rows in all 2 processes'):
        compare(monkeypatch, first, dataset_of(deeplake_path=path))


def test_a_rank_without_the_dataset_is_named(tmp_path, monkeypatch):
    first = dataset_of(deeplake_path=write_tiny(tmp_path / 'ds'))
    with pytest.raises(ConfigError, match=r'and no dataset in rank 1'):
        compare(monkeypatch, first, [0])


def test_an_opened_object_is_refused_even_if_all_ranks_have_it(tmp_path, monkeypatch):
    view = deeplake.open_read_only(write_tiny(tmp_path / 'ds')).query('select * order by random()')
    keys = adopt(view)
    try:
        dataset = dataset_of(**keys)
        with pytest.raises(ConfigError, match=r'is an opened dataset that other processes cannot open again'):
            compare(monkeypatch, dataset, dataset)
    finally:
        release(keys['deeplake_path'])


def test_settings_of_the_wrapper_are_kept_on_cpus():
    plain = wrapper_without_gpu({'find_unused_parameters': True})
    assert plain == dict(broadcast_buffers=False, find_unused_parameters=True, type='CPUDistributedDataParallel')
    given = dict(type='MMDistributedDataParallel', detect_anomalous_params=True)
    assert wrapper_without_gpu({'model_wrapper_cfg': given}) == {**given, 'type': 'CPUDistributedDataParallel'}
    other = dict(type='MMSeparateDistributedDataParallel')
    assert wrapper_without_gpu({'model_wrapper_cfg': other}) == other
