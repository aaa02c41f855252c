"""Stock configs of MMDetection with five lines of ours: each trains two iterations and evaluates, by the tools."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import pytest
from mmdet.datasets import transforms
from mmengine.config import Config

from deeplake_mmdet.cli import test as test_verb
from deeplake_mmdet.cli import train as train_verb
from deeplake_mmdet.convert import make_demo
from deeplake_mmdet.metrics.coco import DeepLakeCocoMetric
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Evaluation
from deeplake_mmdet.metrics.ground_truth import GroundTruth

from .stock_configs import CLASSES, IMAGES, STOCK, ZOO, StockConfig

STOCK_TRAIN = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py'
LEAF = """_base_ = 'mmdet::{base}_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
"""


@dataclass
class Seen:
    """What happened inside a run: calls of transforms of several images, and the predictions of each evaluation."""

    calls: Counter[str] = field(default_factory=Counter)
    predictions: list[Detections] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """A finished training, and the evaluation of its checkpoint.

    Attributes:
        stock: What was trained.
        dumped: The config in the work dir.
        iterations: What was logged of each iteration.
        validation: What was logged of the last validation.
        tested: Metrics of the checkpoint.
        seen: What happened in both.
    """

    stock: StockConfig
    dumped: Path
    iterations: list[dict[str, float]]
    validation: dict[str, float]
    tested: dict[str, float]
    seen: Seen


@contextmanager
def watching() -> Iterator[Seen]:
    seen = Seen()
    with pytest.MonkeyPatch.context() as patch:
        for name in ('Mosaic', 'MixUp', 'CachedMosaic', 'CachedMixUp'):
            _count_calls(patch, getattr(transforms, name), seen.calls)
        original = DeepLakeCocoMetric.measure

        def measure(self: DeepLakeCocoMetric, truth: GroundTruth, detections: Detections) -> Evaluation:
            seen.predictions.append(detections)
            return original(self, truth, detections)

        patch.setattr(DeepLakeCocoMetric, 'measure', measure)
        yield seen


def _count_calls(patch: pytest.MonkeyPatch, kind: type, calls: Counter[str]) -> None:
    original = kind.transform

    def transform(self: Any, results: dict[str, Any]) -> Any:
        calls[type(self).__name__] += 1
        return original(self, results)

    patch.setattr(kind, 'transform', transform)


def _logged(work_dir: Path) -> list[dict[str, float]]:
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in scalars.read_text().splitlines()]


def _losses(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    """The parts of the loss of each iteration."""
    return [{name: line[name] for name in line if 'loss' in name and name != 'loss'} for line in lines]


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('data') / 'demo'
    make_demo(path, train=IMAGES, val=3)
    return str(path)


@pytest.fixture(scope='module', params=STOCK, ids=lambda stock: stock.name)
def run(request: pytest.FixtureRequest, demo: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    stock, work_dir = request.param, tmp_path_factory.mktemp('work')
    arguments = ['--work-dir', str(work_dir), *stock.options(demo)]
    with watching() as seen:
        train_verb.main([str(stock.path), *arguments])
        checkpoint = (work_dir / 'last_checkpoint').read_text()
        tested = test_verb.run(test_verb.parse([str(stock.path), checkpoint, *arguments]))
    logged = _logged(work_dir)
    iterations = [line for line in logged if 'loss' in line]
    yield Run(stock, work_dir / stock.path.name, iterations, logged[-1], tested, seen)
    shutil.rmtree(work_dir)  # checkpoints are large


def test_two_iterations_have_every_loss_of_the_heads_and_all_are_finite(run):
    losses = _losses(run.iterations)
    assert len(losses) == 2
    assert set().union(*losses) == run.stock.losses
    assert all(np.isfinite(value) for line in losses for value in line.values())
    assert all(max(line.get(name, 0) for line in losses) > 0 for name in run.stock.losses)  # boxes were matched


def test_every_head_has_the_number_of_classes_of_the_dataset(run):
    numbers = re.findall(r'num_(?:things_)?classes=(\d+)', run.dumped.read_text())
    assert numbers == [str(CLASSES)] * run.stock.heads


def test_the_dumped_config_is_one_of_mmdetection_3(run):
    config = Config.fromfile(run.dumped)
    assert not {'data', 'evaluation'} & set(config) and not [key for key in config if key.startswith('deeplake')]
    for split in ('train', 'val', 'test'):
        dataset = config[f'{split}_dataloader'].dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        assert (dataset.type, dataset.deeplake_view_id) == ('DeepLakeDataset', 'train' if split == 'train' else 'val')
        assert dataset.pipeline
    assert config.val_evaluator.type == config.test_evaluator.type == 'DeepLakeCocoMetric'


def test_testing_the_checkpoint_gives_the_numbers_of_the_last_validation(run):
    assert run.tested == {name: run.validation[name] for name in run.tested}
    assert {name for name in run.tested if name.endswith('mAP')} == {f'coco/{name}_mAP' for name in run.stock.metrics}


def test_testing_the_checkpoint_gives_the_predictions_of_the_last_validation(run):
    validated, tested = run.seen.predictions
    assert len(tested) == 3 and len(tested.scores) > 0
    assert validated.img_ids == tested.img_ids
    for name in ('offsets', 'boxes', 'scores', 'labels', 'mask_scores'):
        np.testing.assert_array_equal(getattr(validated, name), getattr(tested, name))
    assert validated.counts == tested.counts
    assert (tested.counts is not None) == ('segm' in run.stock.metrics)


def test_images_are_mixed_in_the_first_epoch_only(run):
    assert dict(run.seen.calls) == dict.fromkeys(run.stock.augmented, IMAGES)
    first, second = run.iterations
    assert second.keys() - first.keys() == {'loss_l1'} & run.stock.losses  # YOLOX adds it when it stops mixing


def test_mmdetections_own_tool_trains_the_dumped_config_to_the_same_losses(demo, tmp_path):
    (yolox,) = (stock for stock in STOCK if 'MixUp' in stock.augmented)
    train_verb.main([str(yolox.path), '--work-dir', str(tmp_path / 'ours'), *yolox.options(demo)])
    dumped = tmp_path / 'ours' / yolox.path.name
    command = [sys.executable, STOCK_TRAIN, dumped, '--work-dir', tmp_path / 'theirs']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = (_losses(_logged(tmp_path / name)) for name in ('ours', 'theirs'))
    assert theirs == ours


def test_a_stock_config_takes_five_lines_of_ours_and_nothing_else():
    assert {path.name for path in ZOO.iterdir() if path.suffix == '.py'} == {stock.path.name for stock in STOCK}
    for stock in STOCK:
        text = stock.path.read_text()
        base = re.match(r"_base_ = 'mmdet::(\w+/(.+))_coco\.py'\n", text)
        assert text == LEAF.format(base=base[1]) and base[2] == stock.name
