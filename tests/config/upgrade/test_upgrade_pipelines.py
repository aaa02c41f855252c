"""Whole pipelines: what they end with, what moves to the preprocessor, and what must not move."""

from __future__ import annotations

from typing import Any

import pytest

from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pipelines import complete, is_old, translate_pipeline
from deeplake_mmdet.config.upgrade.pixels import Pixels
from deeplake_mmdet.config.upgrade.preprocessor import preprocessor_of
from deeplake_mmdet.errors import ConfigError

LOAD = dict(type='LoadImageFromFile')
ANNOTATIONS = dict(type='LoadAnnotations', with_bbox=True)
RESIZE = dict(type='Resize', img_scale=(1333, 800), keep_ratio=True)
FLIP = dict(type='RandomFlip', flip_ratio=0.5)
NORMALIZE = dict(type='Normalize', mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)
PAD = dict(type='Pad', size_divisor=32)
FORMAT = dict(type='DefaultFormatBundle')
COLLECT = dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels'])
TRAIN = [LOAD, ANNOTATIONS, RESIZE, FLIP, NORMALIZE, PAD, FORMAT, COLLECT]
NEW_RESIZE = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
TEST_PACK = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
COLOURS = dict(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), to_rgb=True)


def translated(pipeline: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Pixels | None, Notes]:
    notes = Notes()
    steps, pixels = translate_pipeline(pipeline, 'data.train.pipeline', notes)
    return steps, pixels, notes


def refused(pipeline: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=f'data.train.pipeline: {message}'):
        translated(pipeline)[2].raise_problems()


def at_one_scale(**arguments: Any) -> dict[str, Any]:
    inner = [dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), NORMALIZE, PAD]
    tail = [dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])]
    return {'type': 'MultiScaleFlipAug', 'flip': False, 'transforms': [*inner, *tail], **arguments}


def test_a_training_pipeline_keeps_its_order_and_ends_with_packing() -> None:
    steps, pixels, notes = translated(TRAIN)
    assert steps == [LOAD, ANNOTATIONS, NEW_RESIZE, dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
    assert pixels == Pixels(**COLOURS, divisor=32)
    assert notes.problems == []


def test_the_users_pipeline_is_not_changed() -> None:
    before = repr(TRAIN)
    translated(TRAIN)
    assert repr(TRAIN) == before


def test_a_test_pipeline_of_one_scale_is_unfolded_and_loads_the_boxes_that_metrics_ask_for() -> None:
    steps, pixels, _ = translated([LOAD, at_one_scale(img_scale=(1333, 800))])
    assert steps == [LOAD, NEW_RESIZE, ANNOTATIONS, TEST_PACK]
    assert pixels == Pixels(**COLOURS, divisor=32)


def test_annotations_that_a_test_pipeline_loads_are_not_loaded_twice() -> None:
    steps, _, _ = translated([LOAD, ANNOTATIONS, at_one_scale(img_scale=[(1333, 800)])])
    assert steps == [LOAD, ANNOTATIONS, NEW_RESIZE, TEST_PACK]


def test_the_scale_of_the_test_overrides_that_of_its_resize() -> None:
    aug = at_one_scale(img_scale=(416, 416))
    aug['transforms'][0] = dict(type='Resize', img_scale=(9, 9), ratio_range=(1, 2), keep_ratio=False)
    assert translated([LOAD, aug])[0][1] == dict(type='Resize', scale=(416, 416), keep_ratio=False)


def test_a_test_at_the_images_own_size_stays_there() -> None:
    steps, _, _ = translated([LOAD, at_one_scale(scale_factor=1.0)])
    assert steps[1] == dict(type='Resize', scale_factor=1.0, keep_ratio=True)


@pytest.mark.parametrize(
    'arguments',
    [
        dict(img_scale=[(1333, 800), (2000, 1200)]),
        dict(img_scale=(1333, 800), flip=True),
        dict(scale_factor=0.5),
    ],
)
def test_test_time_augmentation_that_merges_otherwise_is_refused(arguments: dict[str, Any]) -> None:
    refused([LOAD, at_one_scale(**arguments)], r'MultiScaleFlipAug: .*tta_model=dict\(type="DetTTAModel"')


def test_meta_keys_get_their_names_of_today() -> None:
    keys = ('filename', 'ori_filename', 'ori_shape', 'pad_shape', 'img_norm_cfg', 'flip', 'border', 'mine')
    aug = at_one_scale(img_scale=(8, 8))
    aug['transforms'][-1] = dict(type='Collect', keys=['img'], meta_keys=keys)
    pack = translated([LOAD, aug])[0][-1]
    assert pack['meta_keys'] == ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'border', 'mine')


def test_masks_and_semantic_maps_that_are_collected_are_padded_by_the_model() -> None:
    collect = dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks', 'gt_semantic_seg'])
    pixels = translated([*TRAIN[:-1], collect])[1]
    assert pixels is not None
    preprocessor = preprocessor_of({'data.train.pipeline': pixels}, None, [], Notes())
    assert preprocessor == dict(
        type='DetDataPreprocessor',
        mean=[1.0, 2.0, 3.0],
        std=[4.0, 5.0, 6.0],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_mask=True,
        pad_seg=True,
        seg_pad_value=255,
    )


def test_nested_compositions_are_unfolded() -> None:
    steps, _, _ = translated([dict(type='Compose', transforms=[LOAD, ANNOTATIONS]), RESIZE, COLLECT])
    assert steps == [LOAD, ANNOTATIONS, NEW_RESIZE, dict(type='PackDetInputs')]


def test_the_inner_pipeline_of_a_mixing_dataset_only_loads() -> None:
    steps, pixels, _ = translated([dict(LOAD, file_client_args=dict(backend='disk')), ANNOTATIONS])
    assert (steps, pixels) == ([LOAD, ANNOTATIONS], None)


@pytest.mark.parametrize(
    'pad',
    [
        dict(type='Pad', pad_to_square=True),
        dict(type='Pad', size_divisor=32, pad_val=dict(img=(1.0, 2.0, 3.0))),
        dict(type='Pad', size_divisor=32, pad_val=114),
    ],
)
def test_padding_that_the_model_cannot_do_is_refused(pad: dict[str, Any]) -> None:
    refused([LOAD, NORMALIZE, pad, COLLECT], 'Pad: behind Normalize .*set mean=None, std=None')


def test_padding_in_front_of_a_flip_would_end_on_the_other_side() -> None:
    refused([LOAD, NORMALIZE, PAD, FLIP, COLLECT], 'Pad: behind Normalize it can only be the last transform')


def test_padding_with_black_that_normalises_to_black_stays_where_it_is() -> None:
    black = dict(NORMALIZE, mean=[0, 0, 0])
    steps, pixels, notes = translated([LOAD, black, PAD, FLIP, COLLECT])
    assert [step['type'] for step in steps] == ['LoadImageFromFile', 'Pad', 'RandomFlip', 'PackDetInputs']
    assert (pixels.divisor if pixels else None, notes.problems) == (1, [])


@pytest.mark.parametrize('step', [RESIZE, dict(type='PhotoMetricDistortion'), dict(type='RandomShift')])
def test_what_computes_with_normalised_pixels_cannot_stand_behind_normalize(step: dict[str, Any]) -> None:
    refused([LOAD, NORMALIZE, step, COLLECT], f'{step["type"]}: stands behind Normalize.*in front of Normalize')


@pytest.mark.parametrize(
    ('pipeline', 'message'),
    [
        ([*TRAIN, dict(type='PackDetInputs')], 'mixes transforms of MMDetection 2 with PackDetInputs'),
        ([LOAD, NORMALIZE, NORMALIZE, COLLECT], 'Normalize: stands there 2 times'),
        ([LOAD, NORMALIZE], 'normalises or formats but does not Collect'),
        ([LOAD, FLIP, FLIP, COLLECT], 'RandomFlip: in MMDetection 2 a second one repeats'),
        ([LOAD, FORMAT, RESIZE, COLLECT], 'Resize: stands behind the formatting'),
        ([LOAD, dict(type='ToTensor', keys=['img']), COLLECT], 'ToTensor: PackDetInputs makes tensors'),
        ([LOAD, dict(type='Collect', keys=['img', 'proposals'])], 'Collect.keys: PackDetInputs .* not proposals'),
        (
            [LOAD, NORMALIZE, PAD, dict(FORMAT, pad_val=dict(img=7, masks=0, seg=255)), COLLECT],
            'DefaultFormatBundle.pad_val: pads with 7, and Pad with 0',
        ),
    ],
)
def test_pipelines_that_mmdetection_3_cannot_run_are_refused(pipeline: list[dict[str, Any]], message: str) -> None:
    refused(pipeline, message)


@pytest.mark.parametrize(
    ('pipeline', 'old'),
    [
        (TRAIN, True),
        ([LOAD, at_one_scale(img_scale=(8, 8))], True),
        ([RESIZE], True),
        ([dict(type='AutoAugment', policies=[[FLIP]])], True),
        ([dict(type='Mosaic', img_scale=(8, 8)), dict(type='MixUp', img_scale=(8, 8), flip_ratio=0.5)], False),
        ([LOAD, ANNOTATIONS, NEW_RESIZE, dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')], False),
        ([dict(type='Normalize', mean=[0], std=[1]), dict(type='PackDetInputs')], False),
        ('data/pipeline.py', False),
        (None, False),
    ],
)
def test_a_pipeline_is_old_if_something_in_it_is(pipeline: Any, old: bool) -> None:
    assert is_old(pipeline) is old


def test_the_pipeline_of_deep_lakes_documentation_gets_what_it_leaves_out() -> None:
    documented = [
        dict(type='Resize', img_scale=[(320, 320), (608, 608)], keep_ratio=True),
        dict(type='RandomFlip', flip_ratio=0.5),
        dict(type='PhotoMetricDistortion'),
    ]
    notes = Notes()
    steps, _ = translate_pipeline(complete(documented, True, False, notes), 'data.train.pipeline', notes)
    assert [step['type'] for step in steps] == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomResize',
        'RandomFlip',
        'PhotoMetricDistortion',
        'PackDetInputs',
    ]
    assert sum('a pipeline that does not' in line for line in notes.lines) == 2


def agreed(**pixels: Pixels) -> dict[str, Any]:
    notes = Notes()
    preprocessor = preprocessor_of({f'data.{key}.pipeline': value for key, value in pixels.items()}, None, [], notes)
    notes.raise_problems()
    return preprocessor


def test_pipelines_that_normalise_differently_are_refused() -> None:
    with pytest.raises(ConfigError, match=r'data.val.pipeline: Normalize: is missing, but that of data.train.pipeline'):
        agreed(train=Pixels(**COLOURS), val=Pixels())


def test_pipelines_that_pad_differently_are_refused() -> None:
    with pytest.raises(ConfigError, match=r'data.val.pipeline: Pad: pads to multiples of 1, another .* of 32'):
        agreed(train=Pixels(**COLOURS, divisor=32), val=Pixels(**COLOURS))


@pytest.mark.parametrize('sizes', [((320, 320),), ((320, 320), (352, 352))])
def test_images_that_need_no_padding_agree_with_any(sizes: tuple[tuple[int, int], ...]) -> None:
    preprocessor = agreed(train=Pixels(**COLOURS, sizes=sizes), val=Pixels(**COLOURS, divisor=32))
    assert preprocessor['pad_size_divisor'] == 32


def test_padding_to_one_size_in_training_is_done_to_the_batch() -> None:
    preprocessor = agreed(train=Pixels(**COLOURS, fixed=(1024, 800), masks=True), val=Pixels(**COLOURS, divisor=32))
    assert preprocessor['batch_augments'] == [
        dict(type='BatchFixedSizePad', size=(1024, 800), img_pad_value=0, pad_mask=True, mask_pad_value=0)
    ]


def test_padding_to_one_size_in_testing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'data.test.pipeline: Pad.size: .*in training only'):
        agreed(test=Pixels(**COLOURS, fixed=(1024, 800)))


def test_padding_with_different_values_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'Pad.pad_val: differs: \[0, 114.0\]'):
        agreed(train=Pixels(**COLOURS, pad_value=114.0), val=Pixels(**COLOURS))


def test_the_models_own_preprocessor_keeps_what_pipelines_do_not_say() -> None:
    present = dict(type='DetDataPreprocessor', mean=[0.0], std=[1.0], rgb_to_bgr=True, batch_augments=[dict(type='X')])
    new = preprocessor_of({'data.train.pipeline': Pixels(**COLOURS)}, present, [], Notes())
    assert new == dict(
        type='DetDataPreprocessor',
        mean=[1.0, 2.0, 3.0],
        std=[4.0, 5.0, 6.0],
        bgr_to_rgb=True,
        pad_size_divisor=1,
        batch_augments=[dict(type='X')],
    )


def test_a_pipeline_of_mmdetection_3_in_use_must_not_be_normalised_otherwise() -> None:
    notes = Notes()
    present = dict(mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True)
    pixels = {'data.train.pipeline': Pixels(**COLOURS)}
    preprocessor_of(pixels, present, ['val_dataloader'], notes)
    assert notes.problems == []
    preprocessor_of(pixels, {**present, 'bgr_to_rgb': False}, ['val_dataloader'], notes)
    with pytest.raises(ConfigError, match=r'data.train.pipeline: Normalize: differs .* of val_dataloader'):
        notes.raise_problems()


def test_a_line_is_noted_once() -> None:
    notes = translated([*TRAIN])[2]
    translate_pipeline(TRAIN, 'data.val.pipeline', notes)
    assert len(notes.lines) == len(set(notes.lines)) == 5


def test_dropping_is_noted_with_its_reason() -> None:
    notes = Notes()
    notes.dropped('dist_params.port', 'torchrun chooses it')
    assert notes.lines == ['dist_params.port dropped: torchrun chooses it']
