"""Models: what is written differently, and what came from the pipelines."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deeplake_mmdet.config.upgrade.model import upgrade_model, upgrade_preprocessor
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pixels import Pixels
from deeplake_mmdet.errors import ConfigError

PRETRAINED = dict(type='Pretrained', checkpoint='torchvision://resnet50')


def upgraded(**config: Any) -> dict[str, Any]:
    notes = Notes()
    upgrade_model(config, notes)
    notes.raise_problems()
    return config


@pytest.mark.parametrize('inside', [False, True])
def test_a_pretrained_backbone_is_initialised_by_its_checkpoint(inside: bool) -> None:
    given = dict(pretrained='torchvision://resnet50')
    model = dict(backbone=dict(type='ResNet', **(given if inside else {})), **({} if inside else given))
    assert upgraded(model=model) == dict(model=dict(backbone=dict(type='ResNet', init_cfg=PRETRAINED)))


def test_pretrained_none_leaves_what_the_base_loads() -> None:
    model = dict(pretrained=None, backbone=dict(type='ResNet', init_cfg=PRETRAINED))
    assert upgraded(model=model)['model'] == dict(backbone=dict(type='ResNet', init_cfg=PRETRAINED))


def test_settings_of_the_model_move_into_it_and_the_loop_stays() -> None:
    config = upgraded(
        model=dict(train_cfg=dict(rpn=dict(a=1))),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1, rcnn=dict(b=2)),
        test_cfg=dict(score_thr=0.05, max_per_img=100),
    )
    assert config == dict(
        model=dict(
            train_cfg=dict(rpn=dict(a=1), rcnn=dict(b=2)),
            test_cfg=dict(score_thr=0.05, max_per_img=100),
        ),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1),
    )


def test_a_model_of_mmdetection_3_is_left_alone() -> None:
    config = dict(
        model=dict(type='RetinaNet', train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=[dict()]))),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1, dynamic_intervals=[(1, 1)]),
        test_cfg=dict(type='TestLoop'),
    )
    before = copy.deepcopy(config)
    notes = Notes()
    upgrade_model(config, notes)
    assert (config, notes.lines) == (before, [])


def test_a_sampler_that_mmdetection_2_ignores_is_left_out() -> None:
    sampler = dict(type='RandomSampler', num=256)
    focal, entropy = dict(type='FocalLoss'), dict(type='CrossEntropyLoss')
    model = upgraded(
        model=dict(
            bbox_head=dict(loss_cls=focal),
            rpn_head=dict(loss_cls=entropy),
            train_cfg=dict(sampler=sampler, rpn=dict(sampler=sampler)),
        )
    )['model']
    assert model['train_cfg'] == dict(rpn=dict(sampler=sampler))


def test_a_model_that_has_a_preprocessor_is_one_of_mmdetection_3_and_keeps_its_sampler() -> None:
    settings = dict(sampler=dict(type='RandomSampler'))
    model = dict(bbox_head=dict(loss_cls=dict(type='FocalLoss')), train_cfg=settings, data_preprocessor=dict())
    assert upgraded(model=copy.deepcopy(model))['model'] == model


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (dict(type='CTResNetNeck', in_channel=512), dict(type='CTResNetNeck', in_channels=512)),
        (
            dict(type='CenterNetHead', in_channel=64, feat_channel=32),
            dict(type='CenterNetHead', in_channels=64, feat_channels=32),
        ),
        (dict(type='NormedLinear', tempearture=20), dict(type='NormedLinear', temperature=20)),
        (dict(type='NASFPN', add_extra_convs='on_input'), dict(type='NASFPN')),
        (
            dict(type='HungarianAssigner', cls_cost=dict(type='FocalLossCost', weight=2.0), iou_cost=dict(type='I')),
            dict(
                type='HungarianAssigner',
                match_costs=[
                    dict(type='FocalLossCost', weight=2.0),
                    dict(type='BBoxL1Cost', weight=1.0),
                    dict(type='I'),
                ],
            ),
        ),
        (
            dict(type='MaskHungarianAssigner', dice_cost=dict(type='DiceCost', pred_act=True)),
            dict(
                type='HungarianAssigner',
                match_costs=[
                    dict(type='ClassificationCost', weight=1.0),
                    dict(type='FocalLossCost', weight=1.0, binary_input=True),
                    dict(type='DiceCost', pred_act=True),
                ],
            ),
        ),
    ],
    ids=lambda part: part['type'],
)
def test_parts_whose_arguments_have_other_names(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert upgraded(model=dict(heads=[dict(part=old)]))['model'] == dict(heads=[dict(part=new)])


@pytest.mark.parametrize(
    ('part', 'message'),
    [
        (dict(type='DETRHead', transformer=dict()), r'transformer: .*mmdet::detr/detr_r50_8xb2-150e_coco.py'),
        (dict(type='DeformableDETRHead', transformer=dict()), r'transformer: .*mmdet::deformable_detr/'),
        (
            dict(type='Mask2FormerHead', transformer_decoder=dict(transformerlayers=dict())),
            r'transformer_decoder.transformerlayers: .*mmdet::mask2former/',
        ),
        (
            dict(type='MaskFormerHead', transformer_decoder=dict(transformerlayers=dict())),
            r'transformer_decoder.transformerlayers: .*mmdet::maskformer/',
        ),
        (dict(type='YOLACT', segm_head=dict()), r'segm_head: .*mmdet::yolact/'),
        (dict(type='PanopticFPNHead', fg_range=(1, 80)), r'fg_range: give num_things'),
        (dict(type='YOLOV3Head', init_cfg=None), r'init_cfg: .*Remove it'),
        (dict(type='AscendRetinaHead'), r'type=AscendRetinaHead: .*Remove the prefix'),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_parts_that_are_built_otherwise_are_named_with_a_stock_config(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f'model.bbox_head.{message}'):
        upgraded(model=dict(bbox_head=part))


@pytest.mark.parametrize('key', ['detr/detr_r50_8xb2-150e_coco', 'mask2former/mask2former_r50_8xb2-lsj-50e_coco'])
def test_the_transformers_of_mmdetection_3_are_not_taken_for_old_ones(key: str) -> None:
    from mmengine.config import Config
    from mmengine.hub import get_config

    config = get_config(f'mmdet::{key}.py')
    assert isinstance(config, Config)
    notes = Notes()
    upgrade_model(config, notes)
    assert (notes.lines, notes.problems) == ([], [])


def test_the_stock_configs_that_errors_recommend_exist() -> None:
    import re

    from mmengine.hub import get_config

    from deeplake_mmdet.config.upgrade import model_parts

    named = re.findall(r'mmdet::\S+?\.py', repr(model_parts._GONE_ARGUMENTS))
    assert len(named) == 5
    for name in named:
        assert get_config(name)


def test_yolox_resizes_its_batches_in_the_preprocessor() -> None:
    model = dict(type='YOLOX', input_size=(640, 640), random_size_range=(10, 20), random_size_interval=5)
    resize = dict(type='BatchSyncRandomResize', random_size_range=(320, 640), size_divisor=32, interval=5)
    assert upgraded(model=model)['model'] == dict(
        type='YOLOX', data_preprocessor=dict(type='DetDataPreprocessor', batch_augments=[resize])
    )


def preprocessed(model: dict[str, Any], **pixels: Pixels) -> dict[str, Any]:
    config, notes = dict(model=model), Notes()
    wanted = {f'data.{split}.pipeline': value for split, value in pixels.items()}
    upgrade_preprocessor(config, wanted, [], notes)
    notes.raise_problems()
    return config['model']


def test_a_yolox_that_says_nothing_of_it_resizes_its_batches_too() -> None:
    model = preprocessed(dict(type='YOLOX'), train=Pixels())
    assert model['data_preprocessor'] == dict(
        type='DetDataPreprocessor',
        batch_augments=[dict(type='BatchSyncRandomResize', random_size_range=(480, 800), size_divisor=32, interval=10)],
        pad_size_divisor=1,
    )


def test_semantic_maps_are_shrunk_by_the_head() -> None:
    model = preprocessed(dict(roi_head=dict(semantic_head=dict())), train=Pixels(seg=True, seg_scale=0.125))
    assert model['roi_head'] == dict(semantic_head=dict(seg_scale_factor=0.125))


def test_semantic_maps_that_no_head_shrinks_are_refused() -> None:
    with pytest.raises(ConfigError, match='SegRescale: no head of this model'):
        preprocessed(dict(type='PanopticFPN'), train=Pixels(seg=True, seg_scale=0.25))


def test_a_border_in_the_pipeline_would_distort_the_masks_of_one_stage_models() -> None:
    pixels = dict(train=Pixels(masks=True), test=Pixels(border_is_image=True))
    assert 'roi_head' in preprocessed(dict(roi_head=dict()), **pixels)
    with pytest.raises(ConfigError, match=r'data.test.pipeline: Pad: .*masks would be distorted'):
        preprocessed(dict(type='SOLO'), **pixels)


def test_without_translated_pipelines_the_model_is_left_alone() -> None:
    assert preprocessed(dict(type='YOLOX')) == dict(type='YOLOX')
