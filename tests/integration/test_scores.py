"""Trainings to a score, from the command line; minutes each. The fast tests train for an iteration or an epoch."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from deeplake_mmdet.convert import make_demo

from .conftest import BCCD

ROOT = Path(__file__).parents[2]
# Threads that wait for each other by spinning are several times slower where other programs compute too.
SHARING = {'OMP_WAIT_POLICY': 'PASSIVE'}


def _run(*arguments: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, '-m', 'deeplake_mmdet', *map(str, arguments)],
        cwd=cwd,
        env={**SHARING, **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def _map_50(output: str, kind: str = 'bbox') -> float:
    """The last ``bbox_mAP_50`` or ``segm_mAP_50`` that a run logged, or that `evaluate` printed."""
    return float(re.findall(rf'coco/{kind}_mAP_50:? +([\d.]+)', output)[-1])


def _paths(path: Path) -> list[str]:
    return [f'{split}_dataloader.dataset.deeplake_path={path}' for split in ('train', 'val', 'test')]


def test_the_demo_of_one_epoch_evaluates_and_draws_a_picture(tmp_path):
    make_demo(tmp_path / 'demo', train=8, val=4)
    output = _run('demo', '--data', tmp_path / 'demo', '--work-dir', tmp_path / 'work', '--epochs', 1, cwd=ROOT)
    assert 'Using the dataset' in output
    picture = re.search(r'beside the ground truth: (\S+)', output).group(1)
    assert min(cv2.imread(picture).shape[:2]) > 500
    checkpoint = re.search(r'Checkpoint: (\S+)', output).group(1)
    assert Path(checkpoint).exists()


@pytest.mark.slow
def test_the_demo_reaches_half_of_map_50_and_draws_a_picture(tmp_path):
    output = _run('demo', '--data', tmp_path / 'demo', '--work-dir', tmp_path / 'work', cwd=ROOT)
    assert _map_50(output) >= 0.50
    picture = re.search(r'beside the ground truth: (\S+)', output).group(1)
    assert min(cv2.imread(picture).shape[:2]) > 500


def _train_and_test(config: Path, dataset: Path, work_dir: Path, kind: str) -> tuple[float, list[str]]:
    """Train, and test the best checkpoint.

    Returns:
        mAP at an IoU of 0.5, and arguments for `evaluate`: the config, the predictions and the options.
    """
    options = ['--cfg-options', *_paths(dataset)]
    begin, used = time.monotonic(), _cpu_seconds()
    _run('train', config, '--work-dir', work_dir, *options, cwd=work_dir.parent)
    minutes, cpu_minutes = (time.monotonic() - begin) / 60, (_cpu_seconds() - used) / 60
    best, out = next(work_dir.glob('best_*.pth')), work_dir / 'predictions.pkl'
    output = _run('test', config, best, '--out', out, '--work-dir', work_dir, *options, cwd=work_dir.parent)
    score = _map_50(output, kind)
    print(f'\n{config.stem}: {kind}_mAP_50 {score} after {minutes:.1f} min, {cpu_minutes:.1f} min of CPU time')
    return score, [str(config), str(out), *options]


def _cpu_seconds() -> float:
    """What all processes used that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_blood_cells_reach_map_50_of_72_percent(tmp_path):
    if not BCCD.is_dir():
        pytest.skip('the BCCD photographs (shared/data/bccd) are not beside the repository')
    _run('convert', 'voc', BCCD, tmp_path / 'bccd', cwd=tmp_path)
    config = ROOT / 'configs' / 'bccd' / 'rtmdet-narrow_bccd.py'
    score, _ = _train_and_test(config, tmp_path / 'bccd', tmp_path / 'work', 'bbox')
    assert score >= 0.72


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mask-rcnn-narrow_demo', 'rtmdet-ins-narrow_demo'])
def test_masks_of_the_demo_reach_map_50_of_40_percent_and_are_evaluated_again_to_it(tmp_path, name):
    make_demo(tmp_path / 'demo')
    config = ROOT / 'configs' / 'demo' / f'{name}.py'
    score, arguments = _train_and_test(config, tmp_path / 'demo', tmp_path / 'work', 'segm')
    assert score >= 0.40
    assert _map_50(_run('evaluate', *arguments, cwd=tmp_path), 'segm') == score
