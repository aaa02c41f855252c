"""A detector of MMDetection trains on several processes as on one, at the same global batch.

FCOS divides its losses by what all processes have to learn, and normalises nothing over a batch. Detectors whose ranks
do so by themselves (Faster R-CNN, batch norm that is not synchronised) have other losses on several processes, as ever.
"""

from __future__ import annotations

import uuid

import pytest
import torch

from tests.support.small_training import batches_of, global_batches, train
from tests.support.train_on_ranks import torchrun

from .small_runs import NARROW, TRAIN_PIPELINE, train_config

FCOS = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'
SMALL = {
    'model.backbone.init_cfg': None,
    'model.backbone.depth': 18,
    'model.neck.in_channels': [64, 128, 256, 512],
    'model.neck.out_channels': 32,
    'model.bbox_head.in_channels': 32,
    'model.bbox_head.feat_channels': 32,
}


@pytest.mark.slow
@pytest.mark.parametrize('ranks', [2, 4])
def test_losses_and_samples_are_the_same(pair, tmp_path, monkeypatch, ranks):
    torch.set_num_threads(1)
    monkeypatch.setitem(NARROW, FCOS, SMALL)

    def config(processes):
        dataset = dict(type='DeepLakeDataset', **pair.deeplake_config(), pipeline=TRAIN_PIPELINE)
        found = train_config(dataset, pair.classes, tmp_path / str(processes), detector=FCOS)
        found.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
        found.train_dataloader.batch_size = 8 // processes
        found.train_dataloader.sampler = dict(type='DeepLakeSampler', deterministic_augmentation=True)
        found.custom_imports = dict(imports=['tests.support.small_training'])
        found.custom_hooks = [dict(type='BatchLog')]
        found.experiment_name = uuid.uuid4().hex
        return found

    train(config(1))
    torchrun(ranks, [config(ranks)], tmp_path / 'configs')
    assert global_batches(tmp_path / str(ranks), ranks) == global_batches(tmp_path / '1', 1)
    logs = [[line['loss'] for line in batches_of(tmp_path / str(ranks), rank)] for rank in range(ranks)]
    means = [sum(losses) / ranks for losses in zip(*logs, strict=True)]
    assert means == pytest.approx([line['loss'] for line in batches_of(tmp_path / '1')], rel=1e-4)
