"""Each transform of MMDetection 2: what it is called and told in MMDetection 3, or why that cannot be said."""

from __future__ import annotations

from typing import Any

import pytest

from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pipelines import is_old
from deeplake_mmdet.config.upgrade.step import Step
from deeplake_mmdet.config.upgrade.transforms import translate_transform


def translated(loads_masks: bool = True, **step: Any) -> tuple[dict[str, Any], Notes]:
    notes = Notes()
    return translate_transform(Step(step, 'train_pipeline', notes, loads_masks)), notes


TRANSLATIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        dict(type='Resize', img_scale=(1333, 800)),
        dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    ),
    (
        dict(type='Resize', img_scale=[(300, 300)], keep_ratio=False, interpolation='area', backend='pillow'),
        dict(type='Resize', scale=(300, 300), keep_ratio=False, interpolation='area', backend='pillow'),
    ),
    (
        dict(type='Resize', img_scale=[(320, 320), (608, 608)], keep_ratio=True),
        dict(type='RandomResize', scale=[(320, 320), (608, 608)], keep_ratio=True),
    ),
    (
        dict(type='Resize', img_scale=[(640, 1333), (800, 1333)], multiscale_mode='range'),
        dict(type='RandomResize', scale=[(1333, 640), (1333, 800)], keep_ratio=True),
    ),
    (
        dict(type='Resize', img_scale=[(480, 1333), (512, 1333), (544, 1333)], multiscale_mode='value', override=True),
        dict(type='RandomChoiceResize', scales=[(480, 1333), (512, 1333), (544, 1333)], keep_ratio=True),
    ),
    (
        dict(type='Resize', img_scale=(1024, 1024), ratio_range=(0.1, 2.0), bbox_clip_border=False),
        dict(
            type='RandomResize', scale=(1024, 1024), ratio_range=(0.1, 2.0), keep_ratio=True, clip_object_border=False
        ),
    ),
    (dict(type='RandomFlip', flip_ratio=0.5), dict(type='RandomFlip', prob=0.5)),
    (dict(type='RandomFlip', flip_ratio=0), dict(type='RandomFlip', prob=0.0)),
    (
        dict(type='RandomFlip', flip_ratio=[0.3, 0.4], direction=['horizontal', 'vertical']),
        dict(type='RandomFlip', prob=[0.3, 0.4], direction=['horizontal', 'vertical']),
    ),
    (dict(type='RandomShift', shift_ratio=0.7), dict(type='RandomShift', prob=0.7)),
    (dict(type='Pad', size=(480, 640)), dict(type='Pad', size=(640, 480))),
    (
        dict(type='Pad', size_divisor=32, pad_val=114),
        dict(type='Pad', size_divisor=32, pad_val=dict(img=(114, 0, 0), masks=114, seg=255)),
    ),
    (
        dict(type='Pad', pad_to_square=True, pad_val=dict(img=(114.0, 114.0, 114.0))),
        dict(type='Pad', pad_to_square=True, pad_val=dict(img=(114.0, 114.0, 114.0))),
    ),
    (dict(type='RandomCrop', crop_size=(384, 600)), dict(type='RandomCrop', crop_size=(600, 384))),
    (
        dict(type='RandomCrop', crop_size=(0.3, 0.7), crop_type='relative'),
        dict(type='RandomCrop', crop_size=(0.7, 0.3), crop_type='relative'),
    ),
    (
        dict(type='RandomCrop', crop_size=(384, 600), crop_type='absolute_range'),
        dict(type='RandomCrop', crop_size=(384, 600), crop_type='absolute_range'),
    ),
    (
        dict(type='RandomCrop', crop_size=(0.3, 0.7), crop_type='relative_range'),
        dict(type='RandomCrop', crop_size=(0.3, 0.7), crop_type='relative_range'),
    ),
    (
        dict(type='RandomCenterCropPad', crop_size=(512, 640), mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True),
        dict(type='RandomCenterCropPad', crop_size=(640, 512), mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True),
    ),
    (
        dict(type='Mosaic', img_scale=(640, 960), pad_val=114.0, min_bbox_size=4, skip_filter=True),
        dict(type='Mosaic', img_scale=(960, 640), pad_val=114.0),
    ),
    (
        dict(type='MixUp', img_scale=(640, 960), ratio_range=(0.8, 1.6), max_aspect_ratio=20),
        dict(type='MixUp', img_scale=(960, 640), ratio_range=(0.8, 1.6)),
    ),
    (dict(type='MixUp', flip_ratio=0.3), dict(type='MixUp', flip_ratio=0.7)),
    (
        dict(type='RandomAffine', scaling_ratio_range=(0.1, 2), border=(-320, -480)),
        dict(type='RandomAffine', scaling_ratio_range=(0.1, 2), border=(-480, -320)),
    ),
    (
        dict(type='LoadImageFromFile', to_float32=True, file_client_args=dict(backend='disk'), channel_order='bgr'),
        dict(type='LoadImageFromFile', to_float32=True),
    ),
    (
        dict(type='LoadImageFromFile', file_client_args=dict(backend='petrel')),
        dict(type='LoadImageFromFile', backend_args=dict(backend='petrel')),
    ),
    (dict(type='LoadImageFromWebcam'), dict(type='LoadImageFromNDArray')),
    (
        dict(
            type='LoadAnnotations', with_bbox=True, with_label=False, with_mask=True, poly2mask=False, denorm_bbox=True
        ),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
    ),
    (
        dict(
            type='Albu',
            transforms=[],
            bbox_params=dict(type='BboxParams', format='pascal_voc', label_fields=['gt_labels']),
            keymap=dict(img='image', gt_bboxes='bboxes', gt_labels='labels'),
            update_pad_shape=False,
        ),
        dict(
            type='Albu',
            transforms=[],
            bbox_params=dict(
                type='BboxParams', format='pascal_voc', label_fields=['gt_bboxes_labels', 'gt_ignore_flags']
            ),
            keymap=dict(img='image', gt_bboxes='bboxes', gt_bboxes_labels='labels'),
        ),
    ),
    (
        dict(
            type='AutoAugment',
            policies=[[dict(type='Resize', img_scale=(8, 6))], [dict(type='Corrupt', corruption='fog')]],
        ),
        dict(
            type='RandomChoice',
            transforms=[
                [dict(type='Resize', scale=(8, 6), keep_ratio=True)],
                [dict(type='Corrupt', corruption='fog')],
            ],
        ),
    ),
    (
        dict(type='Rotate', level=5, img_fill_val=0, random_negative_prob=0.3),
        dict(type='Rotate', level=10, min_mag=0.0, max_mag=15.0, prob=0.5, img_border_value=0, reversal_prob=0.7),
    ),
    (dict(type='ColorTransform', level=5.0), dict(type='Color', level=5, prob=0.5)),
    (dict(type='BrightnessTransform', level=10, prob=0.1), dict(type='Brightness', level=10, prob=0.1)),
    (dict(type='ContrastTransform', level=0), dict(type='Contrast', level=0, prob=0.5)),
    (dict(type='EqualizeTransform'), dict(type='Equalize', prob=0.5)),
]


@pytest.mark.parametrize(('old', 'new'), TRANSLATIONS, ids=lambda step: step['type'])
def test_a_transform_of_mmdetection_2_becomes_the_one_that_does_the_same(old: Any, new: Any) -> None:
    result, notes = translated(**old)
    assert result == new
    assert notes.problems == []


SAME = [
    dict(type='PhotoMetricDistortion', hue_delta=18),
    dict(type='Expand', mean=[1, 2, 3], to_rgb=True, ratio_range=(1, 2)),
    dict(type='MinIoURandomCrop', min_ious=(0.4, 0.9), min_crop_size=0.3),
    dict(type='CutOut', n_holes=3, cutout_shape=(4, 8)),
    dict(type='SegRescale', scale_factor=0.125),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='InstaBoost', aug_ratio=0.5),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False),
    dict(type='CopyPaste', max_num_pasted=100),
]


@pytest.mark.parametrize('step', SAME, ids=lambda step: step['type'])
def test_a_transform_that_is_the_same_in_both_is_left_alone(step: dict[str, Any]) -> None:
    result, notes = translated(**step)
    assert result == step
    assert (notes.lines, notes.problems) == ([], [])


def test_what_mix_up_fills_in_otherwise_is_noted() -> None:
    lines = translated(type='MixUp')[1].lines
    assert lines == ['MixUp, black where the other image does not reach -> MixUp, which fills that with pad_val']


def test_copy_paste_of_boxes_without_masks_is_told_to_paste_rectangles() -> None:
    result, _ = translated(loads_masks=False, type='CopyPaste')
    assert result == dict(type='CopyPaste', paste_by_box=True)


REFUSED = [
    (dict(type='LoadProposals'), 'LoadProposals: precomputed proposals'),
    (dict(type='LoadImageFromFile', channel_order='rgb'), 'LoadImageFromFile.channel_order: MMDetection 3 reads BGR'),
    (dict(type='RandomFlip'), r'RandomFlip.flip_ratio: expected a probability. Write RandomFlip\(prob'),
    (dict(type='Resize'), r'Resize.img_scale: no scale is given'),
    (
        dict(type='Resize', img_scale=[(1, 1), (2, 2), (3, 3)]),
        'Resize.img_scale: expected two scales .* got 3. Write RandomChoice',
    ),
    (
        dict(type='Resize', img_scale=[(1, 1), (2, 2)], ratio_range=(1, 2)),
        'Resize.img_scale: expected one scale beside ratio_range',
    ),
    (dict(type='Mosaic', skip_filter=False), 'Mosaic.skip_filter: .*FilterAnnotations'),
    (dict(type='MixUp', skip_filter=False), 'MixUp.skip_filter: .*FilterAnnotations'),
    (dict(type='RandomAffine', skip_filter=False), 'RandomAffine.skip_filter: .*FilterAnnotations'),
    (dict(type='Rotate', level=5, scale=1.5), 'Rotate.scale: .*Add a RandomResize'),
    (dict(type='Rotate', level=5, center=(3, 4)), 'Rotate.center: .*centre'),
    (dict(type='Rotate', level=1, max_rotate_angle=0.25), 'Rotate: MMDetection 3 rounds 0.025 degrees'),
    (dict(type='Shear', level=5), 'Shear: .*ShearX or ShearY'),
    (dict(type='Translate', level=5), 'Translate: .*TranslateX or TranslateY'),
    (dict(type='ColorTransform', level=3), 'ColorTransform.level: .*0.64 to 0.6'),
    (dict(type='Resise', img_scale=(1, 1)), 'Resise: neither MMDetection 2 nor 3 .*custom_imports'),
]


@pytest.mark.parametrize(
    ('step', 'message'), REFUSED, ids=lambda value: value if isinstance(value, str) else value['type']
)
def test_what_mmdetection_3_cannot_do_is_named_with_its_own_way(step: dict[str, Any], message: str) -> None:
    notes = translated(**step)[1]
    with pytest.raises(ValueError, match=f'train_pipeline: {message}'):
        notes.raise_problems()


def test_a_transform_of_the_users_own_passes_untouched() -> None:
    from mmdet.registry import TRANSFORMS

    @TRANSFORMS.register_module(name='UsersOwnTransform', force=True)
    class UsersOwnTransform: ...

    step = dict(type='UsersOwnTransform', img_scale=(1, 2), flip_ratio=0.5)
    try:
        result, notes = translated(**step)
    finally:
        TRANSFORMS.module_dict.pop('UsersOwnTransform')
    assert result == step
    assert notes.problems == []


@pytest.mark.parametrize(
    'step',
    [new for old, new in TRANSLATIONS if old['type'] not in ('Mosaic', 'MixUp')],
    ids=lambda step: step['type'],
)
def test_a_translated_transform_is_not_taken_for_an_old_one(step: dict[str, Any]) -> None:
    assert not is_old([step, dict(type='PackDetInputs')])
