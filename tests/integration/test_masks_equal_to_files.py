"""Masks from Deep Lake are those that `CocoDataset` gives for the same annotations, through the transforms on masks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmdet.registry import DATASETS

from deeplake_mmdet.convert import convert_coco
from deeplake_mmdet.errors import AnnotationError

from .coco_files import write_coco_files
from .conftest import Pair

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools
SIZE = (64, 64)
FINISH = dict(type='PackDetInputs')


def load(poly2mask: bool = True) -> list[dict]:
    return [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=poly2mask),
    ]


RESIZE = dict(type='Resize', scale=SIZE, keep_ratio=False)
STEPS = {
    'nothing': [],
    'Resize': [dict(type='Resize', scale=SIZE, keep_ratio=True)],
    'RandomFlip': [dict(type='RandomFlip', prob=0.7, direction=['horizontal', 'vertical', 'diagonal'])],
    'RandomCrop': [dict(type='RandomCrop', crop_size=(40, 40), recompute_bbox=True, allow_negative_crop=True)],
    'Pad': [dict(type='Pad', size=(120, 120), pad_val=dict(img=0, masks=0))],
    'RandomShift': [dict(type='RandomShift', prob=1.0, max_shift_px=6)],
    'FilterAnnotations': [dict(type='FilterAnnotations', min_gt_bbox_wh=(8, 8), by_mask=True, min_gt_mask_area=30)],
    'CachedMosaic': [dict(type='CachedMosaic', img_scale=SIZE, max_cached_images=8), RESIZE],
    'CachedMixUp': [dict(type='CachedMixUp', img_scale=SIZE, max_cached_images=8), RESIZE],
    'Rotate': [dict(type='Rotate', prob=1.0, level=5)],
    'all of them': [
        dict(type='RandomResize', scale=SIZE, ratio_range=(0.7, 1.6), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(48, 48), recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='Pad', size=SIZE),
    ],
}


def _segmentation(annotation: dict, size_hw: tuple[int, int], rng: np.random.Generator) -> Any:
    """By turns: one ring, several, fractions and whole numbers, run lengths of both kinds, nothing to draw."""
    height, width = size_hw
    x, y, w, h = annotation['bbox']
    angles = np.sort(rng.uniform(0, 2 * np.pi, (3, int(rng.integers(3, 30)))), axis=1)
    rings = [
        np.stack([x + w * (0.5 + r * np.cos(a)), y + h * (0.5 + r * np.sin(a))], -1).reshape(-1).round(2).tolist()
        for r, a in zip((0.5, 0.3, 0.6), angles, strict=True)
    ]
    rle = mask_util.merge(mask_util.frPyObjects(rings, height, width))
    packed = {'size': [height, width], 'counts': rle['counts'].decode()}
    pixels = np.concatenate([[0], mask_util.decode(rle).T.reshape(-1), [2]])
    runs = np.diff(np.flatnonzero(np.diff(pixels)), prepend=0).tolist()
    forms = [
        rings[:1],
        rings,
        [[round(value) for value in rings[0]]],
        packed,
        {'size': [height, width], 'counts': runs},
        [[], rings[1]],
        [[]],
    ]
    return forms[annotation['id'] % len(forms)]


@pytest.fixture(scope='module')
def pair(tmp_path_factory) -> Pair:
    """Masks of every form that COCO's files hold, in both forms."""
    folder = tmp_path_factory.mktemp('masks')
    ann_file, rng = write_coco_files(folder, images=30), np.random.default_rng(5)
    document = json.loads(ann_file.read_text())
    sizes = {image['id']: (image['height'], image['width']) for image in document['images']}
    for annotation in document['annotations']:
        annotation['segmentation'] = _segmentation(annotation, sizes[annotation['image_id']], rng)
    return _both(folder, document)


def _both(folder: Path, document: dict) -> Pair:
    ann_file = folder / 'masks.json'
    ann_file.write_text(json.dumps(document))
    convert_coco(ann_file, folder / 'deeplake', images=folder / 'images')
    classes = tuple(category['name'] for category in document['categories'])
    return Pair(str(ann_file), str(folder / 'images'), str(folder / 'deeplake'), classes)


def seeded(read: Callable[[], Any]) -> Any:
    """The result of a read with all chance settled."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    return read()


def plain(value: Any) -> Any:
    """A sample as nested lists and bytes, bit for bit; without the paths of images."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if key != 'img_path'}
    if isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value)
        return array.dtype.str, array.shape, array.tobytes()
    if hasattr(value, 'all_items'):
        return {key: plain(item) for key, item in value.all_items() if key != 'img_path'}
    if hasattr(value, 'masks'):
        return type(value).__name__, value.height, value.width, plain(value.masks)
    if hasattr(value, 'tensor'):
        return plain(value.tensor)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def assert_equal_samples(files: Any, ours: Any) -> int:
    """Every sample of two datasets is the same in every bit; gives the number of masks."""
    assert len(ours) == len(files) > 0
    masks = 0
    for i in range(len(files)):
        expected, found = (seeded(lambda dataset=dataset, i=i: dataset[i]) for dataset in (files, ours))
        assert plain(found) == plain(expected)
        masks += len(expected['data_samples'].gt_instances.masks)
    return masks


@pytest.mark.parametrize('poly2mask', [True, False])
@pytest.mark.parametrize('steps', STEPS)
def test_samples_are_equal_through(pair, steps, poly2mask):
    options = dict(pipeline=[*load(poly2mask), *STEPS[steps], FINISH], filter_cfg=dict(filter_empty_gt=True))
    assert assert_equal_samples(pair.coco(**options), pair.deeplake(**options)) > 5


def test_samples_that_are_pasted_of_several_are_equal(pair):
    pasted = [
        DATASETS.build(
            dict(
                type='MultiImageMixDataset',
                dataset=dict(type=kind, **config, pipeline=[*load(), RESIZE], filter_cfg=dict(filter_empty_gt=True)),
                pipeline=[dict(type='CopyPaste', max_num_pasted=9), FINISH],
            )
        )
        for kind, config in (('CocoDataset', pair.coco_config()), ('DeepLakeDataset', pair.deeplake_config()))
    ]
    assert assert_equal_samples(*pasted) > assert_equal_samples(
        *(
            dataset(pipeline=[*load(), FINISH], filter_cfg=dict(filter_empty_gt=True))
            for dataset in (pair.coco, pair.deeplake)
        )
    )


@pytest.mark.parametrize('classes', [('bar',), ('disc', 'box')])
@pytest.mark.parametrize(
    'wrapper', [dict(type='RepeatDataset', times=2), dict(type='ClassBalancedDataset', oversample_thr=0.9)]
)
def test_a_reduced_class_list_in_a_wrapper_has_equal_samples(pair, wrapper, classes):
    changes = dict(metainfo=dict(classes=classes), pipeline=[*load(), FINISH], filter_cfg=dict(filter_empty_gt=True))
    wrapped = [
        DATASETS.build({**wrapper, 'dataset': dict(type=kind, **{**config, **changes})})
        for kind, config in (('CocoDataset', pair.coco_config()), ('DeepLakeDataset', pair.deeplake_config()))
    ]
    assert assert_equal_samples(*wrapped) > 5


def _without_masks(annotation: dict) -> dict:
    """By turns a mask, none, an empty one and one that is null."""
    kept = {key: value for key, value in annotation.items() if key != 'segmentation'}
    empty = [dict(segmentation=annotation['segmentation']), {}, dict(segmentation=[]), dict(segmentation=None)]
    return kept | empty[annotation['id'] % 4]


def test_objects_without_masks_are_equal_and_neither_dataset_can_load_them(pair, tmp_path):
    document = json.loads(Path(pair.ann_file).read_text())
    document['annotations'] = list(map(_without_masks, document['annotations']))
    (tmp_path / 'images').symlink_to(pair.image_folder)
    without = _both(tmp_path, document)
    files, ours = without.coco(pipeline=load()), without.deeplake(pipeline=load())
    refused = 0
    for i in range(len(files)):
        expected, found = files.get_data_info(i)['instances'], ours.get_data_info(i)['instances']
        assert found == expected and list(map(list, found)) == list(map(list, expected))
        if not all('mask' in instance for instance in expected):
            refused += 1
            with pytest.raises(KeyError, match='mask'):
                files[i]
            with pytest.raises(AnnotationError, match=r"Column 'masks', row \d+, object \d+: expected a mask"):
                ours[i]
    assert refused > 5


def test_the_fixture_holds_masks_of_every_form(pair):
    forms = set()
    for i in range(len(pair.deeplake())):
        for instance in pair.deeplake().get_data_info(i)['instances']:
            mask, crowd = instance['mask'], instance['ignore_flag']
            forms.add(
                (type(mask['counts']).__name__ if isinstance(mask, dict) else len(list(filter(None, mask))), crowd)
            )
    assert {('str', 0), ('str', 1), ('list', 0), (0, 0), (1, 0), (3, 0)} <= forms
