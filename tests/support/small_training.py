"""Trainings of a fraction of a second, that write down what they were given and can be interrupted anywhere.

The detector is one of a thousand numbers, so a test can afford dozens of runs; it draws random numbers of its own, as
dropout and samplers of regions do.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.structures import InstanceData
from torch import nn

import deeplake_mmdet
from tests.support.tiny import SIZE, write_tiny

SCALE = (SIZE, SIZE)
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
AUGMENT = [
    dict(type='RandomResize', scale=SCALE, ratio_range=(0.7, 1.4), keep_ratio=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
MOSAIC = [
    dict(type='Mosaic', img_scale=SCALE, pad_val=114.0),
    dict(type='RandomAffine', scaling_ratio_range=(0.5, 1.5), border=(-SIZE // 2, -SIZE // 2)),
    dict(type='MixUp', img_scale=SCALE, ratio_range=(0.8, 1.6), pad_val=114.0),
]
TEST = [LOAD[0], dict(type='Resize', scale=SCALE), LOAD[1], dict(type='PackDetInputs')]


@MODELS.register_module(force=True)
class TinyDetector(BaseModel):
    """Learns the mean box of an image from its mean features.

    Args:
        dropout: Share of features that are dropped, by the random numbers of the main process.
        data_preprocessor: See `BaseModel`.
    """

    def __init__(self, dropout: float = 0.3, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor)
        self.conv = nn.Conv2d(3, 16, 5, stride=4)
        self.dropout = nn.Dropout(dropout)
        self.box = nn.Linear(16, 4)
        self.bbox_head = SimpleNamespace()  # YOLOXModeSwitchHook sets something on it

    def forward(self, inputs: torch.Tensor, data_samples: Sequence[Any], mode: str = 'tensor') -> Any:
        """As of any detector."""
        boxes = self.box(self.dropout(self.conv(inputs / 255).relu().mean((2, 3))))
        if mode == 'loss':
            return {'loss_box': self._loss(boxes, data_samples)}
        for box, sample in zip(boxes, data_samples, strict=True):
            corners = torch.cat([box[:2], box[:2] + box[2:].abs() + 0.1])
            sample.pred_instances = InstanceData(
                bboxes=(corners * SIZE)[None], scores=torch.ones(1) * 0.5, labels=torch.zeros(1, dtype=torch.long)
            )
        return list(data_samples)

    def _loss(self, boxes: torch.Tensor, data_samples: Sequence[Any]) -> torch.Tensor:
        """Sum over the samples, divided by their mean number on a rank, as MMDetection's heads do."""
        found = [sample.gt_instances.bboxes for sample in data_samples]
        targets = torch.stack([torch.cat([one, one.new_zeros(1, 4)]).mean(0) for one in found])
        return (boxes - targets / SIZE).abs().sum() / reduce_mean(boxes.new_tensor(float(len(boxes))))


@HOOKS.register_module(force=True)
class BatchLog(Hook):
    """Appends what was read and the loss of every iteration to ``<work_dir>/batches<rank>.jsonl``."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        line = {
            'epoch': getattr(runner.train_loop, 'place', runner).epoch,
            'iter': runner.iter,
            'batch_idx': batch_idx,
            'ids': [int(sample.img_id) for sample in data_batch['data_samples']],
            'pixels': [hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16] for image in data_batch['inputs']],
            'boxes': [sample.gt_instances.bboxes.numpy().tolist() for sample in data_batch['data_samples']],
            'loss': float(outputs['loss'].detach()),
            'lr': runner.optim_wrapper.get_lr()['lr'][0],
        }
        self._write(runner, line)

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self._write(runner, {'validated': runner.iter, 'metrics': metrics})

    def _write(self, runner: Any, line: dict[str, Any]) -> None:
        with open(Path(runner.work_dir, f'batches{get_rank()}.jsonl'), 'a', encoding='utf-8') as file:
            file.write(json.dumps(line) + '\n')


class Interruption(Exception):
    """What `Interrupts` raises."""


@HOOKS.register_module(force=True)
class Interrupts(Hook):
    """Ends a run.

    Args:
        how: ``'exception'``, or the name of a signal.
        iteration: After how many iterations, its checkpoint written.
        validating: Whether during the validation that follows.
    """

    priority = 'LOWEST'

    def __init__(self, how: str, iteration: int, validating: bool = False) -> None:
        self._how, self._iteration, self._validating = how, iteration, validating

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self._validating and runner.iter + 1 == self._iteration:
            self._end()

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if self._validating and runner.iter == self._iteration:
            self._end()

    def _end(self) -> None:
        if self._how == 'exception':
            raise Interruption
        os.kill(os.getpid(), getattr(signal, self._how))


def write_images(path: Path, count: int) -> str:
    """A dataset of images with one or two boxes each."""
    boxes = [[[2 + i % 7, 3, 10 + i % 5, 12], [20, 5 + i % 9, 15, 20]][: 1 + i % 2] for i in range(count)]
    return write_tiny(path, boxes=boxes)


def dataset(path: str, *, mosaic: bool = False) -> dict[str, Any]:
    """The dict of a training dataset."""
    plain = dict(type='DeepLakeDataset', deeplake_path=path, pipeline=LOAD if mosaic else [*LOAD, *AUGMENT])
    return dict(type='MultiImageMixDataset', dataset=plain, pipeline=[*MOSAIC, *AUGMENT]) if mosaic else plain


def train(config: Config, distributed: bool = False) -> list[dict[str, Any]]:
    """Train, and if it is interrupted, stop; what `BatchLog` wrote, also in the runs before in this folder."""
    validate = config.get('val_cfg') is not None
    with contextlib.suppress(Interruption):
        deeplake_mmdet.train_detector(config.model, config, distributed=distributed, validate=validate)
    return lines_of(config.work_dir)


def training(path: str, work_dir: Path, **changes: Any) -> Config:
    """The config of a training, validated with every epoch, with a checkpoint of every iteration.

    Args:
        path: The dataset.
        work_dir: Where the log is written.
        **changes: Dotted keys to values, with ``__`` for the dots.
    """
    config = Config(
        dict(
            default_scope='mmdet',
            custom_imports=dict(imports=['deeplake_mmdet', 'tests.support.small_training']),
            model=dict(type='TinyDetector', data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=8)),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DeepLakeSampler', shuffle=True, deterministic_augmentation=True),
                dataset=dataset(path),
            ),
            val_dataloader=dict(
                batch_size=3,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='DeepLakeDataset', deeplake_path=path, pipeline=TEST, test_mode=True),
            ),
            val_evaluator=dict(type='DeepLakeCocoMetric', metric='bbox', backend='pycocotools'),
            train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1),
            val_cfg=dict(),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01)),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=7),
                dict(type='MultiStepLR', by_epoch=True, milestones=[1, 2], gamma=0.5),
            ],
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False),
                logger=dict(type='LoggerHook', interval=1),
            ),
            custom_hooks=[dict(type='BatchLog')],
            randomness=dict(seed=5),
            log_level='WARNING',
            work_dir=str(work_dir),
            experiment_name=uuid.uuid4().hex,  # MMEngine keeps one message hub a name and process
        )
    )
    changes = copy.deepcopy(changes)  # MMEngine takes _delete_ out of them
    config.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return config


def interrupted(config: Config, how: str, iteration: int, *, validating: bool = False) -> Config:
    """The config of a run that is interrupted."""
    config.custom_hooks.append(dict(type='Interrupts', how=how, iteration=iteration, validating=validating))
    return config


def lines_of(work_dir: Path | str, rank: int = 0) -> list[dict[str, Any]]:
    """What `BatchLog` wrote."""
    file = Path(work_dir, f'batches{rank}.jsonl')
    return [json.loads(line) for line in file.read_text().splitlines()]


def iterations(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The iterations among it; the other lines are validations."""
    return [line for line in lines if 'iter' in line]


def batches_of(work_dir: Path | str, rank: int = 0) -> list[dict[str, Any]]:
    """The iterations of a rank."""
    return iterations(lines_of(work_dir, rank))


def global_batches(work_dir: Path | str, ranks: int) -> list[list[tuple[int, str]]]:
    """Image id and hash of the pixels of every sample, by global batch, in the global order."""
    logs = [batches_of(work_dir, rank) for rank in range(ranks)]
    found = []
    for lines in zip(*logs, strict=True):
        parts = [list(zip(line['ids'], line['pixels'], strict=True)) for line in lines]
        found.append([part[i] for i in range(len(parts[0])) for part in parts if i < len(part)])
    return found
