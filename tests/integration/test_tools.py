"""A whole run by the command line, and MMDetection's own tools on its config, unmodified."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import mmdet
import pytest
import torch

from deeplake_mmdet.checkpoints.loading import load_from_local

ROOT = Path(__file__).parents[2]
STOCK_TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'
CONFIG = """
_base_ = {base!r}
model = dict(
    backbone=dict(widen_factor=0.125),
    neck=dict(in_channels=[32, 64, 128], out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=32),
    test_cfg=dict(score_thr=0.0, max_per_img=20),
)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(deeplake_path={path!r}))
val_dataloader = dict(batch_size=3, num_workers=0, persistent_workers=False, dataset=dict(deeplake_path={path!r}))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
"""


@dataclass(frozen=True)
class Run:
    """A finished training."""

    config: Path
    work_dir: Path
    output: str

    @property
    def checkpoint(self) -> Path:
        return self.work_dir / 'epoch_1.pth'


def _call(*arguments: object, cwd: Path) -> str:
    """Run Python with some arguments; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def run(pair, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp('run')
    config = folder / 'tiny.py'
    base = str(ROOT / 'configs' / '_base_' / 'rtmdet_narrow.py')
    config.write_text(CONFIG.format(base=base, path=pair.deeplake_path))
    output = _call(ROOT / 'tools' / 'train.py', config, '--work-dir', folder / 'work', cwd=folder)
    return Run(config, folder / 'work', output)


@pytest.fixture(scope='module')
def tested(run) -> tuple[Path, str]:
    """Predictions of the checkpoint, and what testing printed."""
    out = run.work_dir / 'predictions.pkl'
    arguments = ['--work-dir', run.work_dir, '--out', out, '--show-dir', 'drawn']
    return out, _call(ROOT / 'tools' / 'test.py', run.config, run.checkpoint, *arguments, cwd=run.work_dir.parent)


def _scores(output: str) -> list[str]:
    """The lines of pycocotools' table."""
    return [line.strip() for line in output.splitlines() if line.strip().startswith('Average ')]


def test_training_says_what_it_read_and_fits_the_heads(run):
    assert 'model.bbox_head.num_classes: 80 -> 4, the number of classes of the dataset' in run.output
    assert 'train_dataloader.dataset: ' in run.output


def test_the_checkpoint_and_the_dumped_config_name_the_commit(run, pair):
    saved = load_from_local(run.checkpoint)['meta']['dataset_meta']
    assert saved['classes'] == pair.classes
    assert saved['deeplake']['uri'] == pair.deeplake_path
    assert saved['deeplake']['rows'] == '24'
    assert f"deeplake_commit_id='{saved['deeplake']['commit_id']}'" in (run.work_dir / 'tiny.py').read_text()


def test_testing_gives_the_numbers_of_validation_in_training(run, tested):
    assert len(_scores(run.output)) == 12
    assert _scores(tested[1]) == _scores(run.output)


def test_the_visualization_hook_draws_the_images(run, tested):
    pictures = sorted(run.work_dir.glob('*/drawn/*.*'))
    assert len(pictures) == 24
    assert cv2.imread(str(pictures[0])) is not None


def test_a_run_resumes_from_its_latest_checkpoint(run):
    losses = load_from_local(run.checkpoint)['message_hub']['log_scalars']['train/loss'].data[0]
    options = ['--resume', '--cfg-options', 'train_cfg.max_epochs=2']
    output = _call(
        ROOT / 'tools' / 'train.py', run.config, '--work-dir', run.work_dir, *options, cwd=run.work_dir.parent
    )
    assert 'resumed epoch: 1' in output
    saved = load_from_local(run.work_dir / 'epoch_2.pth')
    more = saved['message_hub']['log_scalars']['train/loss'].data[0]
    assert saved['meta']['iter'] == len(more) == 2 * len(losses) > 0
    assert more[: len(losses)].tolist() == losses.tolist()


def test_a_checkpoint_that_would_run_a_command_is_refused_and_does_not_run_it(run, tmp_path):
    class Command:
        def __reduce__(self) -> tuple:
            return os.system, (f'touch {tmp_path / "mark"}',)

    torch.save({'state_dict': {}, 'more': Command()}, tmp_path / 'a.pth')
    arguments = [ROOT / 'tools' / 'test.py', run.config, tmp_path / 'a.pth', '--work-dir', tmp_path / 'work']
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=280)
    assert done.returncode == 1 and 'CheckpointError: The checkpoint' in done.stderr and 'posix.system' in done.stderr
    assert not (tmp_path / 'mark').exists()


def test_print_config_runs_unmodified(run):
    output = _call(STOCK_TOOLS / 'misc' / 'print_config.py', run.config, cwd=run.work_dir.parent)
    assert "type='DeepLakeDataset'" in output


def test_browse_dataset_runs_unmodified(run, tmp_path):
    tool = STOCK_TOOLS / 'analysis_tools' / 'browse_dataset.py'
    _call(tool, run.config, '--output-dir', tmp_path / 'drawn', '--not-show', cwd=run.work_dir.parent)
    drawn = list((tmp_path / 'drawn').iterdir())
    assert len(drawn) > 10  # an image whose crop holds no box is replaced by a random other one
    assert all(cv2.imread(str(picture)) is not None for picture in drawn)


def test_analyze_results_runs_unmodified(run, tested, tmp_path):
    tool = STOCK_TOOLS / 'analysis_tools' / 'analyze_results.py'
    _call(tool, run.config, tested[0], tmp_path / 'drawn', '--topk', '3', cwd=run.work_dir.parent)
    assert len(list((tmp_path / 'drawn' / 'bad').iterdir())) == 3


def test_confusion_matrix_runs_unmodified(run, tested, tmp_path):
    tool = STOCK_TOOLS / 'analysis_tools' / 'confusion_matrix.py'
    _call(tool, run.config, tested[0], tmp_path, cwd=run.work_dir.parent)
    assert cv2.imread(str(tmp_path / 'confusion_matrix.png')) is not None


def test_eval_metric_gives_the_numbers_of_testing(run, tested):
    tool = STOCK_TOOLS / 'analysis_tools' / 'eval_metric.py'
    assert _scores(_call(tool, run.config, tested[0], cwd=run.work_dir.parent)) == _scores(tested[1])


def test_evaluating_written_predictions_gives_the_numbers_of_testing_and_needs_no_model(run, tested):
    arguments = [run.config, tested[0], '--cfg-options', 'model.type=NoSuchDetector']
    output = _call(ROOT / 'tools' / 'evaluate.py', *arguments, cwd=run.work_dir.parent)
    assert _scores(output) == _scores(tested[1])
    assert not (run.work_dir.parent / 'work_dirs').exists()


def test_the_dataloader_benchmark_runs_unmodified(run, tmp_path):
    tool = STOCK_TOOLS / 'analysis_tools' / 'benchmark.py'
    arguments = ['--task', 'dataloader', '--dataset-type', 'train', '--num-warmup', '1', '--max-iter', '4']
    output = _call(tool, run.config, *arguments, '--work-dir', tmp_path, cwd=run.work_dir.parent)
    assert 'batch/s' in output


def test_predictions_are_of_every_image_once(tested):
    predictions = pickle.loads(tested[0].read_bytes())
    assert sorted(item['img_id'] for item in predictions) == [1000 - 13 * i for i in range(24)][::-1]
