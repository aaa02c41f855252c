"""What the model sees after a translation is what MMDetection 2 showed it: sizes, places and values of pixels.

The tables were drawn with the transforms of MMDetection 2.28.2 itself, from the seeds that are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pipelines import translate_pipeline
from deeplake_mmdet.config.upgrade.preprocessor import preprocessor_of
from deeplake_mmdet.config.upgrade.step import Step
from deeplake_mmdet.config.upgrade.transforms import translate_transform

HEIGHT, WIDTH = 100, 150
COUNTED = np.arange(HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH, 1).repeat(3, 2)
BOXES = [[10.0, 10.0, 60.0, 50.0], [20.0, 30.0, 90.0, 80.0]]


def sample(image: np.ndarray = COUNTED) -> dict[str, Any]:
    from mmdet.structures.bbox import HorizontalBoxes

    return dict(
        img=image.copy(),
        img_shape=image.shape[:2],
        ori_shape=image.shape[:2],
        gt_bboxes=HorizontalBoxes(np.array(BOXES, np.float32)),
        gt_bboxes_labels=np.arange(len(BOXES)),
        gt_ignore_flags=np.zeros(len(BOXES), bool),
    )


def applied(step: dict[str, Any], results: dict[str, Any] | None = None, seed: int = 0) -> dict[str, Any]:
    """A transform of MMDetection 2, translated and applied."""
    import mmdet.datasets.transforms  # noqa: F401
    from mmdet.registry import TRANSFORMS
    from mmengine.registry import DefaultScope

    notes = Notes()
    with DefaultScope.overwrite_default_scope('mmdet'):
        transform = TRANSFORMS.build(translate_transform(Step(step, 'pipeline', notes)))
    notes.raise_problems()
    np.random.seed(seed)
    return transform(sample() if results is None else results)


SIZES = [
    (
        dict(img_scale=[(320, 320), (416, 416)]),
        [(245, 367), (238, 357), (240, 360), (229, 344), (250, 375), (265, 398)],
    ),
    (dict(img_scale=[(333, 80), (100, 333)]), [(92, 138), (85, 128), (88, 132), (90, 135), (94, 141), (83, 125)]),
    (
        dict(img_scale=[(80, 333), (100, 200)], keep_ratio=False),
        [(80, 247), (91, 237), (93, 215), (83, 306), (94, 322), (94, 299)],
    ),
    (
        dict(img_scale=[(333, 80), (333, 100), (333, 120)], multiscale_mode='value'),
        [(80, 120), (100, 150), (80, 120), (120, 180), (120, 180), (120, 180)],
    ),
    (
        dict(img_scale=(300, 200), ratio_range=(0.5, 1.5)),
        [(209, 314), (183, 275), (187, 280), (210, 315), (293, 440), (144, 216)],
    ),
    (dict(img_scale=(300, 120)), [(120, 180)]),
]


@pytest.mark.parametrize(('arguments', 'sizes'), SIZES, ids=lambda value: str(value) if isinstance(value, dict) else '')
def test_resize_gives_the_sizes_that_mmdetection_2_drew(arguments: Any, sizes: list[tuple[int, int]]) -> None:
    drawn = [applied(dict(type='Resize', **arguments), seed=seed)['img'].shape[:2] for seed in range(len(sizes))]
    assert drawn == sizes


# The number of the first pixel, height, and width.
CROPS = [
    (dict(crop_size=(40, 90)), [(6647, 40, 90), (5593, 40, 90), (6015, 40, 90)]),
    (dict(crop_size=(0.4, 0.9), crop_type='relative'), [(6615, 40, 135), (5561, 40, 135), (6015, 40, 135)]),
    (
        dict(crop_size=(40, 90), crop_type='absolute_range', allow_negative_crop=True),
        [(3, 84, 87), (1809, 77, 83), (2022, 80, 55)],
    ),
    (dict(crop_size=(0.4, 0.9), crop_type='relative_range'), [(453, 73, 146), (1353, 65, 146), (3311, 66, 135)]),
]


@pytest.mark.parametrize(('arguments', 'crops'), CROPS, ids=lambda value: str(value) if isinstance(value, dict) else '')
def test_crops_are_those_that_mmdetection_2_cut(arguments: Any, crops: list[tuple[int, int, int]]) -> None:
    images = [applied(dict(type='RandomCrop', **arguments), seed=seed)['img'] for seed in range(len(crops))]
    assert [(int(image[0, 0, 0]), *image.shape[:2]) for image in images] == crops


def test_flips_are_those_that_mmdetection_2_drew() -> None:
    step = dict(type='RandomFlip', flip_ratio=[0.3, 0.4], direction=['horizontal', 'vertical'])
    drawn = [applied(dict(step), seed=seed)['flip_direction'] for seed in range(12)]
    horizontal = ['horizontal', None] * 3
    assert drawn == ['vertical'] * 4 + [None, *horizontal, 'horizontal']


@pytest.mark.parametrize('always', [False, True])
def test_mix_up_flips_as_often_as_it_was_told_to(always: bool) -> None:
    left_half_white = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left_half_white[:, : WIDTH // 2] = 255
    step = dict(type='MixUp', img_scale=(HEIGHT, WIDTH), ratio_range=(1.0, 1.0), flip_ratio=float(always))
    for seed in range(5):
        results = {**sample(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), 'mix_results': [sample(left_half_white)]}
        mixed = applied(dict(step), results, seed)['img']
        assert mixed[0, 0, 0] == (0 if always else 127)


@pytest.mark.parametrize(
    ('step', 'size'),
    [
        (dict(type='Mosaic', img_scale=(30, 50)), (60, 100)),
        (dict(type='RandomAffine', border=(-10, -20)), (80, 110)),
        (dict(type='Pad', size=(110, 170)), (110, 170)),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_heights_and_widths_keep_their_places(step: dict[str, Any], size: tuple[int, int]) -> None:
    results = {**sample(), 'mix_results': [sample(), sample(), sample()]}
    assert applied(step, results)['img'].shape[:2] == size


def test_a_rotation_that_was_always_negative_still_is() -> None:
    import mmcv

    image = np.random.RandomState(0).randint(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    turned = applied(dict(type='Rotate', level=5, prob=1.0, random_negative_prob=1.0), sample(image))['img']
    np.testing.assert_array_equal(turned, mmcv.imrotate(image, -15.0, border_value=(128, 128, 128)))


MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
NORMALIZE = dict(type='Normalize', mean=MEAN, std=STD, to_rgb=True)
COLLECT = [dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels'])]


def model_input(steps: list[dict[str, Any]], images: list[np.ndarray]) -> np.ndarray:
    """The tensor that reaches the model: translated transforms, packing, and the preprocessor."""
    import mmdet.datasets.transforms
    import mmdet.models  # noqa: F401
    from mmcv.transforms import Compose
    from mmdet.registry import MODELS
    from mmengine.registry import DefaultScope

    notes = Notes()
    new, wanted = translate_pipeline([*steps, *COLLECT], 'data.train.pipeline', notes)
    assert wanted is not None
    preprocessor = preprocessor_of({'data.train.pipeline': wanted}, None, [], notes)
    notes.raise_problems()
    with DefaultScope.overwrite_default_scope('mmdet'):
        packed = [Compose(new)(sample(image)) for image in images]
        batch = dict(inputs=[p['inputs'] for p in packed], data_samples=[p['data_samples'] for p in packed])
        return MODELS.build(preprocessor)(batch, training=True)['inputs'].numpy()


def padded(images: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Normalised RGB planes in the upper left of zeros: MMDetection 2, by its formula."""
    batch = np.zeros((len(images), 3, height, width), np.float32)
    for plane, image in zip(batch, images, strict=True):
        normal = (image[..., ::-1].astype(np.float64) - MEAN) / STD
        plane[:, : image.shape[0], : image.shape[1]] = normal.transpose(2, 0, 1)
    return batch


@pytest.mark.parametrize(
    ('pad', 'height', 'width'),
    [
        ([dict(type='Pad', size_divisor=32)], 96, 96),
        ([dict(type='Pad', size_divisor=1)], 70, 90),
        ([], 70, 90),
        ([dict(type='Pad', size=(80, 120))], 80, 120),
    ],
)
def test_images_reach_the_model_normalised_and_then_padded(pad: list[Any], height: int, width: int) -> None:
    random = np.random.RandomState(0)
    images = [random.randint(0, 255, (*size, 3), np.uint8) for size in [(70, 61), (50, 90)]]
    expected = padded(images, height, width)
    np.testing.assert_allclose(model_input([NORMALIZE, *pad], images), expected, atol=2e-6)


def test_padding_in_front_of_normalize_is_normalised_with_the_image() -> None:
    image = np.random.RandomState(0).randint(0, 255, (40, 50, 3), np.uint8)
    black = np.zeros((64, 64, 3), np.uint8)
    black[:40, :50] = image
    result = model_input([dict(type='Pad', size_divisor=32), NORMALIZE], [image])
    np.testing.assert_allclose(result, padded([black], 64, 64), atol=2e-6)


def test_a_crop_behind_normalize_cuts_the_same_pixels() -> None:
    image = np.random.RandomState(0).randint(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    crop = dict(type='RandomCrop', crop_size=(40, 90))
    np.random.seed(0)
    result = model_input([NORMALIZE, crop], [image])
    y, x = divmod(6647, WIDTH)  # where MMDetection 2 cuts with this seed
    np.testing.assert_allclose(result, padded([image[y : y + 40, x : x + 90]], 40, 90), atol=2e-6)
