"""MMDetection's wrappers, samplers and multi-image transforms over a Deep Lake dataset: each trains an iteration."""

from __future__ import annotations

import numpy as np
import pytest

from .small_runs import DETECTOR, MASK_DETECTOR, SIZE, TRAIN_PIPELINE, train_config, train_losses

LOAD = TRAIN_PIPELINE[:2]
FINISH = [dict(type='Pad', size=SIZE, pad_val=dict(img=(114, 114, 114))), dict(type='PackDetInputs')]
RESIZE = dict(type='Resize', scale=SIZE, keep_ratio=True)
LOAD_MASKS = [LOAD[0], dict(type='LoadAnnotations', with_bbox=True, with_mask=True), dict(type='Resize', scale=SIZE)]


def _plain(pair, **kwargs) -> dict:
    return dict(type='DeepLakeDataset', **pair.deeplake_config(), filter_cfg=dict(filter_empty_gt=True), **kwargs)


def _mix(pair, *steps, load=LOAD) -> dict:
    return dict(type='MultiImageMixDataset', dataset=_plain(pair, pipeline=load), pipeline=[*steps, RESIZE, *FINISH])


DATASETS = {
    'Mosaic': lambda pair: _mix(pair, dict(type='Mosaic', img_scale=SIZE, pad_val=114.0)),
    'MixUp': lambda pair: _mix(pair, dict(type='MixUp', img_scale=SIZE, ratio_range=(0.8, 1.6), pad_val=114.0)),
    'CachedMosaic': lambda pair: _plain(
        pair, pipeline=[*LOAD, dict(type='CachedMosaic', img_scale=SIZE, max_cached_images=6), RESIZE, *FINISH]
    ),
    'CopyPaste': lambda pair: _mix(pair, dict(type='CopyPaste', max_num_pasted=5), load=LOAD_MASKS),
    'RepeatDataset': lambda pair: dict(type='RepeatDataset', times=3, dataset=_plain(pair, pipeline=TRAIN_PIPELINE)),
    'ClassBalancedDataset': lambda pair: dict(
        type='ClassBalancedDataset', oversample_thr=0.9, dataset=_plain(pair, pipeline=TRAIN_PIPELINE)
    ),
    'ConcatDataset': lambda pair: dict(
        type='ConcatDataset',
        ignore_keys=['deeplake', 'palette'],
        datasets=[
            _plain(pair, pipeline=TRAIN_PIPELINE),
            dict(type='CocoDataset', **pair.coco_config(), pipeline=TRAIN_PIPELINE),
        ],
    ),
}


@pytest.mark.parametrize(('name', 'workers'), [*((name, 0) for name in DATASETS), ('Mosaic', 2), ('CachedMosaic', 2)])
def test_a_detector_trains_through(pair, tmp_path, name, workers):
    detector = MASK_DETECTOR if name == 'CopyPaste' else DETECTOR
    losses = train_losses(
        DATASETS[name](pair), pair.classes, tmp_path, detector=detector, iterations=2, workers=workers
    )
    assert len(losses) == 2
    assert all(np.isfinite(value) for value in losses[0].values())
    assert losses[0]['loss'] > 0


def test_a_detector_trains_with_batches_of_like_aspect_ratio(pair, tmp_path):
    dataset = _plain(pair, pipeline=TRAIN_PIPELINE)
    config = train_config(dataset, pair.classes, tmp_path)
    loader = {**config.train_dataloader, 'batch_sampler': dict(type='AspectRatioBatchSampler')}
    losses = train_losses(dataset, pair.classes, tmp_path, iterations=1, train_dataloader=loader)
    assert np.isfinite(losses[0]['loss'])


def test_class_balancing_repeats_the_same_images_as_with_files(pair):
    from mmdet.registry import DATASETS as REGISTRY

    balanced = [
        REGISTRY.build(dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=dict(type=kind, **config)))
        for kind, config in (('DeepLakeDataset', pair.deeplake_config()), ('CocoDataset', pair.coco_config()))
    ]
    assert len(balanced[0]) > len(balanced[0].dataset)
    assert balanced[0].repeat_indices == balanced[1].repeat_indices


def test_copy_paste_pastes_masks(pair):
    from mmdet.registry import DATASETS as REGISTRY

    dataset = REGISTRY.build(DATASETS['CopyPaste'](pair))
    pasted = max(len(dataset[i]['data_samples'].gt_instances.masks) for i in range(len(dataset)))
    alone = max(len(pair.deeplake().get_data_info(i)['instances']) for i in range(len(pair.deeplake())))
    assert pasted > alone
