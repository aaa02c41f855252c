"""Trainings to a score, from the command line; minutes each. The fast tests train for an iteration or an epoch."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from deeplake_mmdet.convert import make_demo

from .conftest import BCCD

ROOT = Path(__file__).parents[2]


def _run(*arguments: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, '-m', 'deeplake_mmdet', *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def _map_50(output: str) -> float:
    """The last ``bbox_mAP_50`` that a run logged."""
    return float(re.findall(r'coco/bbox_mAP_50: ([\d.]+)', output)[-1])


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


@pytest.mark.slow
def test_blood_cells_reach_map_50_of_72_percent(tmp_path):
    if not BCCD.is_dir():
        pytest.skip('the BCCD photographs (shared/data/bccd) are not beside the repository')
    _run('convert', 'voc', BCCD, tmp_path / 'bccd', cwd=tmp_path)
    config = ROOT / 'configs' / 'bccd' / 'rtmdet-narrow_bccd.py'
    options = ['--work-dir', tmp_path / 'work', '--cfg-options', *_paths(tmp_path / 'bccd')]
    begin = time.monotonic()
    _run('train', config, *options, cwd=tmp_path)
    minutes = (time.monotonic() - begin) / 60
    best = next((tmp_path / 'work').glob('best_*.pth'))
    score = _map_50(_run('test', config, best, *options, cwd=tmp_path))
    print(f'bbox_mAP_50 {score} after {minutes:.1f} min')
    assert score >= 0.72
