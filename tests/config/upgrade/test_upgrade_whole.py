"""Whole configs of MMDetection 2, compared with MMDetection 3's stock config of the same model.

What such a config says of its data is written here as its model zoo has it, in few words; the expectation is the stock
config itself: its pipelines and its preprocessor.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from deeplake_mmdet.config.upgrade.upgrade import upgrade

CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
CAFFE_FCOS = dict(mean=[102.9801, 115.9465, 122.7717], std=[1.0, 1.0, 1.0], to_rgb=False)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
SSD = dict(mean=[123.675, 116.28, 103.53], std=[1, 1, 1], to_rgb=True)
UNIT = dict(mean=[0, 0, 0], std=[255.0, 255.0, 255.0], to_rgb=True)
LOAD = dict(type='LoadImageFromFile')
BOXES, MASKS = (
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
)
FLIP = dict(type='RandomFlip', flip_ratio=0.5)
PAD = dict(type='Pad', size_divisor=32)
SHORT_EDGES = [(480 + 32 * i, 1333) for i in range(11)]
COARSE_EDGES = [(400, 1333), (500, 1333), (600, 1333)]


def trained_on(
    norm: dict[str, Any] | None, *steps: dict[str, Any], pad: Any = (PAD,), masks: bool = False
) -> list[Any]:
    keys = ['img', 'gt_bboxes', 'gt_labels', *(['gt_masks'] if masks else [])]
    normalize = [dict(type='Normalize', **norm)] if norm else []
    return [*steps, *normalize, *pad, dict(type='DefaultFormatBundle'), dict(type='Collect', keys=keys)]


def validated_on(
    norm: dict[str, Any] | None, scale: tuple[int, int], pad: Any = (PAD,), keep_ratio: bool = True
) -> list[Any]:
    normalize = [dict(type='Normalize', **norm)] if norm else []
    steps = [dict(type='Resize', keep_ratio=keep_ratio), dict(type='RandomFlip'), *normalize, *pad]
    tail = [dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])]
    return [LOAD, dict(type='MultiScaleFlipAug', img_scale=scale, flip=False, transforms=[*steps, *tail])]


def one_scale(norm: dict[str, Any], masks: bool = False) -> dict[str, Any]:
    resize = dict(type='Resize', img_scale=(1333, 800), keep_ratio=True)
    return dict(
        train=trained_on(norm, LOAD, MASKS if masks else BOXES, resize, FLIP, masks=masks),
        test=validated_on(norm, (1333, 800)),
    )


def short_edges(**more: Any) -> dict[str, Any]:
    return dict(type='Resize', img_scale=SHORT_EDGES, multiscale_mode='value', keep_ratio=True, **more)


YOLO_TRAIN = (
    LOAD,
    BOXES,
    dict(type='Expand', mean=[0, 0, 0], to_rgb=True, ratio_range=(1, 2)),
    dict(type='MinIoURandomCrop', min_ious=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9), min_crop_size=0.3),
    dict(type='Resize', img_scale=[(320, 320), (416, 416)], keep_ratio=True),
    FLIP,
    dict(type='PhotoMetricDistortion'),
)
SSD_TRAIN = (
    LOAD,
    BOXES,
    dict(type='Expand', mean=SSD['mean'], to_rgb=SSD['to_rgb'], ratio_range=(1, 4)),
    dict(type='MinIoURandomCrop', min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3),
    dict(type='Resize', img_scale=(300, 300), keep_ratio=False),
    FLIP,
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=32,
        contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
    ),
)
CROPPED = [
    dict(type='Resize', img_scale=COARSE_EDGES, multiscale_mode='value', keep_ratio=True),
    dict(type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600), allow_negative_crop=True),
    short_edges(override=True),
]
DETR_AUG = dict(type='AutoAugment', policies=[[short_edges()], CROPPED])
DETR_PAD = (dict(type='Pad', size_divisor=1),)
GRAY = dict(type='Pad', pad_to_square=True, pad_val=dict(img=(114.0, 114.0, 114.0)))
YOLOX_MIX = (
    dict(type='Mosaic', img_scale=(640, 640), pad_val=114.0),
    dict(type='RandomAffine', scaling_ratio_range=(0.1, 2), border=(-320, -320)),
    dict(type='MixUp', img_scale=(640, 640), ratio_range=(0.8, 1.6), pad_val=114.0),
    dict(type='YOLOXHSVRandomAug'),
    FLIP,
    dict(type='Resize', img_scale=(640, 640), keep_ratio=True),
    GRAY,
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False),
)

# Stock config of MMDetection 3, and what the same model's config of MMDetection 2 has for pipelines.
MODELS: dict[str, dict[str, Any]] = {
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco': one_scale(IMAGENET),
    'faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco': one_scale(CAFFE),
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco': one_scale(IMAGENET, masks=True),
    'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco': one_scale(IMAGENET),
    'retinanet/retinanet_r50_fpn_1x_coco': one_scale(IMAGENET),
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco': one_scale(CAFFE_FCOS),
    'atss/atss_r50_fpn_1x_coco': one_scale(IMAGENET),
    'gfl/gfl_r50_fpn_ms-2x_coco': dict(
        train=trained_on(
            IMAGENET, LOAD, BOXES, dict(type='Resize', img_scale=[(1333, 480), (1333, 800)], keep_ratio=True), FLIP
        ),
        test=validated_on(IMAGENET, (1333, 800)),
    ),
    'sparse_rcnn/sparse-rcnn_r50_fpn_ms-480-800-3x_coco': dict(
        train=trained_on(IMAGENET, LOAD, BOXES, short_edges(), FLIP), test=validated_on(IMAGENET, (1333, 800))
    ),
    'ssd/ssd300_coco': dict(
        train=trained_on(SSD, *SSD_TRAIN, pad=()), test=validated_on(SSD, (300, 300), (), keep_ratio=False)
    ),
    'yolo/yolov3_d53_8xb8-ms-416-273e_coco': dict(
        train=trained_on(UNIT, *YOLO_TRAIN), test=validated_on(UNIT, (416, 416))
    ),
    'detr/detr_r50_8xb2-150e_coco': dict(
        train=trained_on(IMAGENET, LOAD, BOXES, FLIP, DETR_AUG, pad=DETR_PAD),
        test=validated_on(IMAGENET, (1333, 800), DETR_PAD),
    ),
    'yolox/yolox_s_8xb8-300e_coco': dict(
        mix=trained_on(None, *YOLOX_MIX, pad=()), train=[LOAD, BOXES], test=validated_on(None, (640, 640), (GRAY,))
    ),
}


def old_config(given: dict[str, Any]) -> Config:
    data = dict(
        samples_per_gpu=2,
        workers_per_gpu=2,
        train=dict(type='CocoDataset', ann_file='train.json', img_prefix='train/', pipeline=given['train']),
        val=dict(type='CocoDataset', ann_file='val.json', img_prefix='val/', pipeline=given['test']),
        test=dict(type='CocoDataset', ann_file='val.json', img_prefix='val/', pipeline=given['test']),
    )
    model = dict(type='Detector')
    if 'mix' in given:
        data['train'] = dict(type='MultiImageMixDataset', dataset=data['train'], pipeline=given['mix'])
        model = dict(type='YOLOX', input_size=(640, 640), random_size_range=(15, 25), random_size_interval=10)
    return Config(dict(model=model, data=data))


def pipelines(loader: Any) -> list[Any]:
    """The pipelines of a dataloader from the outermost dataset to the innermost one."""
    found, dataset = [], loader.dataset
    while dataset is not None:
        found += [without_file_clients(dataset.pipeline)] if 'pipeline' in dataset else []
        dataset = dataset.get('dataset')
    return found


def without_file_clients(node: Any) -> Any:
    """Plain dicts and lists; only stock configs say ``backend_args=None``."""
    if isinstance(node, dict):
        return {key: without_file_clients(child) for key, child in node.items() if key != 'backend_args'}
    return [without_file_clients(child) for child in node] if isinstance(node, (list, tuple)) else node


def stock(name: str) -> Config:
    from mmengine.hub import get_config

    return get_config(f'mmdet::{name}.py')


@pytest.mark.parametrize('name', MODELS)
def test_a_config_of_mmdetection_2_becomes_what_mmdetection_3_has_for_the_model(name: str) -> None:
    upgraded, expected = old_config(MODELS[name]), stock(name)
    assert upgrade(upgraded)
    assert pipelines(upgraded.train_dataloader) == pipelines(expected.train_dataloader)
    for step in expected.val_dataloader.dataset.pipeline:
        step.pop('with_mask', None)  # nothing reads the masks of test images
    assert pipelines(upgraded.val_dataloader) == pipelines(expected.val_dataloader)
    assert preprocessor(upgraded) == preprocessor(expected)
    assert 'data' not in upgraded


def preprocessor(config: Config) -> dict[str, Any]:
    """All that it says, the defaults included."""
    said = without_file_clients(config.model.data_preprocessor.to_dict())
    if config.model.type == 'YOLOX':  # its images are squares of multiples of 32 already
        said['pad_size_divisor'] = 32
    return {'pad_size_divisor': 1, 'bgr_to_rgb': False, **said}


@pytest.mark.parametrize('name', [*MODELS, 'rtmdet/rtmdet_tiny_8xb32-300e_coco', 'dino/dino-4scale_r50_8xb2-12e_coco'])
def test_a_config_of_mmdetection_3_is_left_alone(name: str) -> None:
    config = stock(name)
    before = copy.deepcopy(config.to_dict())
    assert upgrade(config) == []
    assert config.to_dict() == before


@pytest.mark.parametrize('name', ['yolo/yolov3_d53_8xb8-ms-416-273e_coco', 'yolox/yolox_s_8xb8-300e_coco'])
def test_a_translation_is_complete_after_one_run(name: str) -> None:
    config = old_config(MODELS[name])
    upgrade(config)
    before = copy.deepcopy(config.to_dict())
    assert upgrade(config) == []
    assert config.to_dict() == before


DOCUMENTED = Path(__file__).parents[2] / 'integration' / 'documented_config.py'
DOCUMENTED_TRAIN = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Expand', mean=[0, 0, 0], to_rgb=True, ratio_range=(1, 2)),
    dict(type='RandomResize', scale=[(320, 320), (416, 416)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.0),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]


@pytest.mark.parametrize('old_base', [False, True])
def test_the_config_of_deep_lakes_documentation_over_either_base(tmp_path: Path, old_base: bool) -> None:
    base = 'mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py'
    if old_base:
        base = str(tmp_path / 'base.py')
        old_config(MODELS['yolo/yolov3_d53_8xb8-ms-416-273e_coco']).dump(base)
    lines = DOCUMENTED.read_text().splitlines()
    lines = [f'_base_ = {base!r}' if line.startswith('_base_') else line for line in lines]
    (tmp_path / 'mine.py').write_text('\n'.join(lines))
    config = Config.fromfile(tmp_path / 'mine.py')
    upgrade(config)
    if old_base:
        trained, validated = (config[f'{split}_dataloader'].dataset.pipeline for split in ('train', 'val'))
        assert 'test_dataloader' not in config
    else:
        trained, validated = config.data.train.pipeline, config.data.val.pipeline
    expected = stock('yolo/yolov3_d53_8xb8-ms-416-273e_coco')
    assert trained == config.train_pipeline == DOCUMENTED_TRAIN
    assert without_file_clients(validated) == without_file_clients(expected.test_pipeline)
    assert config.test_pipeline == validated
    assert preprocessor(config) == preprocessor(expected)
    assert (config.data.train.deeplake_path, config.data.val.deeplake_path) == ('TRAIN_PATH', 'VAL_PATH')
    assert config.data.train.deeplake_dataloader == dict(shuffle=True, batch_size=4, num_workers=8)


def test_all_problems_of_a_config_are_raised_at_once() -> None:
    given = copy.deepcopy(MODELS['yolo/yolov3_d53_8xb8-ms-416-273e_coco'])
    given['train'].insert(2, dict(type='Translate', level=1))
    config = old_config(given)
    config.model.bbox_head = dict(type='YOLOV3Head', init_cfg=dict())
    head = r'model.bbox_head.init_cfg: [^\n]*'
    with pytest.raises(
        ValueError, match=rf'^mine.py has keys of MMDetection 2 .*\n *{head}\n *data.train.pipeline: Trans'
    ):
        upgrade(config, 'mine.py')
