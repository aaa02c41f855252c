"""Instance segmentation on the demo's masks by the verbs of the command line: train, validate, test, evaluate again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.visualization import Visualizer

from deeplake_mmdet.checkpoints.loading import load_from_local
from deeplake_mmdet.cli import evaluate as evaluate_verb
from deeplake_mmdet.cli import test as test_verb
from deeplake_mmdet.cli import train as train_verb
from deeplake_mmdet.convert import make_demo

from .stock_configs import CLASSES

CONFIGS = Path(__file__).parents[2] / 'configs' / 'demo'
STOCK_EVAL = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'analysis_tools' / 'eval_metric.py'
TRAIN, VAL, EPOCHS = 8, 5, 2
SIDE = (128, 128)
SHRUNK = {
    **{f'{split}_dataloader.num_workers': 0 for split in ('train', 'val', 'test')},
    **{f'{split}_dataloader.batch_size': 4 for split in ('train', 'val', 'test')},
    **{f'{split}_dataloader.dataset.pipeline.1.scale': SIDE for split in ('val', 'test')},
    'train_dataloader.dataset.pipeline.2.scale': SIDE,
    'train_cfg.max_epochs': EPOCHS,
    'train_cfg.val_interval': 1,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.checkpoint.max_keep_ckpts': EPOCHS,
    'default_hooks.logger.interval': 1,
    'default_hooks.visualization.score_thr': 0.0,
}
MODELS = {
    'rtmdet-ins-narrow': ('loss_cls loss_bbox loss_mask', 'model.test_cfg'),
    'mask-rcnn-narrow': ('loss_rpn_cls loss_rpn_bbox loss_cls loss_bbox loss_mask', 'model.test_cfg.rcnn'),
}
LIMIT = 10  # predictions an image


@dataclass(frozen=True)
class Tested:
    """The metrics of a checkpoint, the samples that they were measured on, and how many masks were drawn each time."""

    numbers: dict[str, float]
    samples: list[dict[str, Any]]
    masks_drawn: list[int]


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        name: What was trained, a key of `MODELS`.
        arguments: The config file and the options of all verbs.
        work_dir: Logs and checkpoints.
        iterations: What was logged of each iteration.
        validations: What was logged of each validation.
        validated: The samples of each validation.
    """

    name: str
    arguments: tuple[str, list[str]]
    work_dir: Path
    iterations: list[dict[str, float]]
    validations: list[dict[str, float]]
    validated: list[list[dict[str, Any]]]

    def test(self, checkpoint: Path, *more: str) -> Tested:
        config, options = self.arguments
        with recorded_evaluations() as samples, recorded_masks() as drawn:
            numbers = test_verb.run(test_verb.parse([config, str(checkpoint), *more, *options]))
        return Tested(numbers, samples[0], drawn)


@contextmanager
def recorded_evaluations() -> Iterator[list[list[dict[str, Any]]]]:
    """The samples that evaluators are given, one list an evaluation."""
    evaluations: list[list[dict[str, Any]]] = [[]]
    process, evaluate = Evaluator.process, Evaluator.evaluate

    def keep(self: Evaluator, data_samples: Any, data_batch: Any = None) -> None:
        evaluations[-1] += [sample.to_dict() for sample in data_samples]
        process(self, data_samples, data_batch)

    def close(self: Evaluator, size: int) -> dict[str, float]:
        evaluations.append([])
        return evaluate(self, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, 'process', keep)
        patch.setattr(Evaluator, 'evaluate', close)
        yield evaluations
        evaluations.pop()


@contextmanager
def recorded_masks() -> Iterator[list[int]]:
    """How many masks are drawn each time that some are."""
    drawn: list[int] = []
    original = Visualizer.draw_binary_masks

    def draw_binary_masks(self: Visualizer, masks: np.ndarray, *args: Any, **kwargs: Any) -> Any:
        drawn.append(len(masks))
        return original(self, masks, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Visualizer, 'draw_binary_masks', draw_binary_masks)
        yield drawn


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('data') / 'demo'
    make_demo(path, train=TRAIN, val=VAL)
    return str(path)


@pytest.fixture(scope='module', params=MODELS)
def run(request: pytest.FixtureRequest, demo: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    name, work_dir = request.param, tmp_path_factory.mktemp('work')
    paths = {f'{split}_dataloader.dataset.deeplake_path': demo for split in ('train', 'val', 'test')}
    limits = {f'{MODELS[name][1]}.{key}': value for key, value in (('score_thr', 0.0), ('max_per_img', LIMIT))}
    given = [f'{key}={value}' for key, value in {**paths, **SHRUNK, **limits}.items()]
    arguments = (str(CONFIGS / f'{name}_demo.py'), ['--work-dir', str(work_dir), '--cfg-options', *given])
    with recorded_evaluations() as validated:
        train_verb.main([arguments[0], *arguments[1]])
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    logged = [json.loads(line) for line in scalars.read_text().splitlines()]
    iterations, validations = ([line for line in logged if key in line] for key in ('loss', 'coco/segm_mAP'))
    return Run(name, arguments, work_dir, iterations, validations, validated)


@pytest.fixture(scope='module')
def tested(run: Run) -> Tested:
    """The last checkpoint, with predictions written to a file and pictures drawn."""
    more = ('--out', str(run.work_dir / 'predictions.pkl'), '--show-dir', 'drawn')
    return run.test(run.work_dir / f'epoch_{EPOCHS}.pth', *more)


def scores(logged: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in logged.items() if name.startswith('coco/')}


def test_every_iteration_has_finite_losses_of_classes_boxes_and_masks(run):
    names = set(MODELS[run.name][0].split())
    assert len(run.iterations) == EPOCHS * TRAIN // 4
    for line in run.iterations:
        assert names <= line.keys() and all(np.isfinite(line[name]) for name in names)
    assert all(line['loss_mask'] > 0 for line in run.iterations)


def test_every_validation_measures_boxes_and_masks_of_every_image(run):
    assert len(run.validations) == len(run.validated) == EPOCHS
    kinds = {f'coco/{kind}_mAP{part}' for kind in ('bbox', 'segm') for part in ('', '_50', '_75', '_s', '_m', '_l')}
    for line, samples in zip(run.validations, run.validated, strict=True):
        assert kinds <= line.keys()
        assert sorted(sample['img_id'] for sample in samples) == [*range(TRAIN + 1, TRAIN + VAL + 1)]
        for sample in samples:
            found = sample['pred_instances']
            assert found['masks'].shape == (LIMIT, *sample['ori_shape']) and found['masks'].dtype == torch.bool
            assert found['bboxes'].shape == (LIMIT, 4) and set(found['labels'].tolist()) <= {*range(CLASSES)}


def check_same(run: Run, epoch: int, tested: Tested) -> None:
    """A test gave the numbers and the predictions of the validation of an epoch, bit for bit."""
    assert tested.numbers == scores(run.validations[epoch - 1])
    for one, other in zip(run.validated[epoch - 1], tested.samples, strict=True):
        assert one['img_id'] == other['img_id']
        for name in ('bboxes', 'scores', 'labels', 'masks'):
            assert torch.equal(one['pred_instances'][name], other['pred_instances'][name])


def test_testing_the_last_checkpoint_gives_the_last_validation(run, tested):
    check_same(run, EPOCHS, tested)


def test_testing_the_best_checkpoint_gives_the_validation_of_its_epoch(run):
    (checkpoint,) = run.work_dir.glob('best_coco_segm_mAP_epoch_*.pth')
    check_same(run, int(re.search(r'epoch_(\d+)', checkpoint.name)[1]), run.test(checkpoint))


def test_what_is_validated_is_the_average_of_the_weights_and_changes_from_epoch_to_epoch(run):
    saved = load_from_local(run.work_dir / f'epoch_{EPOCHS}.pth')
    averaged, trained = saved['state_dict'], saved['ema_state_dict']
    floats = [key for key, value in averaged.items() if value.is_floating_point()]
    assert any(not torch.equal(averaged[key], trained[f'module.{key}']) for key in floats)
    first, last = (torch.cat([s['pred_instances']['scores'] for s in samples]) for samples in run.validated)
    assert not torch.equal(first, last)


def test_written_predictions_are_evaluated_to_the_same_numbers_without_the_model(run, tested):
    config, (_, _, *options) = run.arguments
    predictions = str(run.work_dir / 'predictions.pkl')
    again = evaluate_verb.run(evaluate_verb.parse([config, predictions, *options, 'model.type=NoSuchDetector']))
    assert again == tested.numbers


def test_mmdetections_own_tool_evaluates_written_predictions_to_the_same_numbers(run, tested):
    if run.name != 'rtmdet-ins-narrow':
        pytest.skip('once is enough: no model takes part')
    dumped = run.work_dir / Path(run.arguments[0]).name
    command = [sys.executable, STOCK_EVAL, dumped, run.work_dir / 'predictions.pkl']
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=run.work_dir, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    printed = re.findall(r"'(coco/\w+)': (?:np\.float64\()?([-\w.]+)", done.stdout)
    assert {name: float(value) for name, value in printed} == pytest.approx(tested.numbers, abs=0, nan_ok=True)


def test_every_mask_is_drawn_beside_those_of_the_ground_truth(run, tested):
    truth = [len(sample['gt_instances']['labels']) for sample in tested.samples]
    assert sum(truth) > VAL and tested.masks_drawn == [count for number in truth for count in (number, LIMIT)]
    pictures = list(run.work_dir.glob('*/drawn/*.*'))
    assert len(pictures) == VAL and all(cv2.imread(str(file)).shape == (256, 512, 3) for file in pictures)
