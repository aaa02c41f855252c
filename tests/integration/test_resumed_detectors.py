"""Detectors of MMDetection that are interrupted go on with the losses that they would have had, bit for bit."""

from __future__ import annotations

import uuid

import pytest
import torch

import tests.support.small_training  # noqa: F401  (registers the hooks)
from tests.support.small_training import batches_of, interrupted, train

from .small_runs import DETECTOR, MASK_DETECTOR, SIZE, TRAIN_PIPELINE, train_config

LOAD, AUGMENT = TRAIN_PIPELINE[:2], TRAIN_PIPELINE[2:]
MOSAIC = [dict(type='Mosaic', img_scale=SIZE, pad_val=114.0), dict(type='MixUp', img_scale=SIZE, pad_val=114.0)]
MASKS = [LOAD[0], dict(type='LoadAnnotations', with_bbox=True, with_mask=True), *AUGMENT]


def rtmdet(pair) -> dict:
    """With averaged weights, mosaics and persistent workers."""
    inner = dict(type='DeepLakeDataset', **pair.deeplake_config(), pipeline=LOAD)
    return dict(
        detector=DETECTOR,
        workers=2,
        dataset=dict(type='MultiImageMixDataset', dataset=inner, pipeline=[*MOSAIC, *AUGMENT]),
        hook=dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, update_buffers=True, priority=49),
    )


def mask_rcnn(pair) -> dict:
    """With masks and batches of one aspect; it samples regions by the generators of the main process."""
    return dict(
        detector=MASK_DETECTOR,
        workers=0,
        dataset=dict(type='DeepLakeDataset', **pair.deeplake_config(), pipeline=MASKS),
        batch_sampler=dict(type='AspectRatioBatchSampler'),
    )


@pytest.mark.slow
@pytest.mark.parametrize('build', [rtmdet, mask_rcnn])
def test_losses_are_those_of_an_uninterrupted_run(pair, tmp_path, build):
    torch.set_num_threads(1)
    parts = build(pair)

    def config(work_dir, **changes):
        found = train_config(
            parts['dataset'], pair.classes, tmp_path / work_dir, detector=parts['detector'], workers=parts['workers']
        )
        found.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
        found.train_dataloader.update(batch_size=8, batch_sampler=parts.get('batch_sampler'))
        found.train_dataloader.sampler = dict(type='DeepLakeSampler', deterministic_augmentation=True)
        found.default_hooks.checkpoint = dict(type='CheckpointHook', interval=4, by_epoch=False)
        found.custom_hooks = [hook for hook in (parts.get('hook'), dict(type='BatchLog')) if hook]
        found.experiment_name = uuid.uuid4().hex
        found.update(changes)
        return found

    train(config('whole'))
    whole = batches_of(tmp_path / 'whole')
    assert len(whole) == 6
    train(interrupted(config('work'), 'exception', 4))  # in the second of two epochs
    train(config('work', resume=True))
    assert batches_of(tmp_path / 'work') == whole
