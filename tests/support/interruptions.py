"""Variants of a small training, and ways to end it before its time."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tests.support.small_training import dataset, train, training

COUNT = 7  # images: four batches of two an epoch
LAST = 4  # iterations of an epoch

_WORKERS = dict(train_dataloader__num_workers=2, train_dataloader__persistent_workers=True)
_ITERATIONS = dict(
    train_cfg=dict(type='IterBasedTrainLoop', max_iters=11, val_interval=2, _delete_=True), param_scheduler=None
)
VARIANTS: dict[str, dict[str, Any]] = {
    'plain': {},
    'workers': _WORKERS,
    'mosaic': dict(mosaic=True),
    'mosaic, workers': dict(mosaic=True, **_WORKERS),
    'averaged': dict(custom_hooks=[dict(type='BatchLog'), dict(type='EMAHook', ema_type='ExpMomentumEMA')]),
    'resized': dict(
        model__data_preprocessor__batch_augments=[
            dict(type='BatchSyncRandomResize', random_size_range=(24, 56), interval=3, size_divisor=8)
        ]
    ),
    'dropped': dict(train_dataloader__drop_last=True),
    'iterations': _ITERATIONS,
    'iterations, mosaic': dict(mosaic=True, **_ITERATIONS),
    'iterations, mosaic, workers': dict(mosaic=True, **_ITERATIONS, **_WORKERS),
}


def variant(name: str, path: str, work_dir: Path, **more: Any) -> Config:
    """The config of a variant; `more` as for `training`."""
    changes = {**VARIANTS[name], **more}
    mosaic = changes.pop('mosaic', False)
    changes.setdefault('train_dataloader__dataset', dict(dataset(path, mosaic=mosaic), _delete_=True))
    return training(path, work_dir, **changes)


def train_and_die(config: Config) -> int | None:
    """Train in a process that a signal ends; its exit code."""
    child = multiprocessing.get_context('fork').Process(target=train, args=(config,))
    child.start()
    child.join(120)
    return child.exitcode
