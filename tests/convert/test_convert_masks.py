"""Masks of COCO files: stored as the file holds them in few bytes, or refused with the id of their annotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import deeplake
import numpy as np
import pytest
from deeplake import types
from pycocotools import mask as coco_mask

from deeplake_mmdet.convert import convert_coco
from deeplake_mmdet.errors import ConversionError
from tests.support.masks import packed

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools
RING = [1.5, 2.25, 10.125, 2.5, 10.0, 9.75]
RLE = packed(np.eye(40, 60, dtype=bool))  # of image 42, which annotation 1001 is in
REFUSED = {
    'a polygon of two points': ([RING, [1, 2, 3, 4]], r'polygons of three points or more, but got one of 2'),
    'an odd number of coordinates': ([[*RING, 3]], r'pairs of x and y, but got one of 7 numbers'),
    'a flat list': (RING, r'list of rings .*but got 1\.5 in place of a ring'),
    'points': ([[[1, 2], [3, 4], [5, 6]]], r'list of rings of finite numbers.*but got \[1, 2\]'),
    'a text for a number': ([[*RING[:5], '9']], r"finite numbers.*but got '9'"),
    'NaN': ([[*RING[:5], float('nan')]], r'finite numbers.*but got nan'),
    'a point at which pycocotools crashes': ([[*RING[:5], 1e10]], r'at most 1000000 pixels off, but got 1'),
    'an RLE of another size': ({**RLE, 'size': [60, 40]}, r'of its image, \(40, 60\) .*, but got \(60, 40\)'),
    'cut run lengths': ({**RLE, 'counts': RLE['counts'][:-4]}, r'run lengths that fill 40 x 60 = 2400 pixels, but got'),
    'no run lengths': ({**RLE, 'counts': 'not an RLE'}, r"run lengths as counts, but got 'not an RLE': it holds char"),
    'a list that is too short': ({**RLE, 'counts': [0, 2399]}, r'fill 40 x 60 = 2400 pixels, but got 2399'),
    'negative run lengths': ({**RLE, 'counts': [-1, 2401]}, r'whole numbers, none of them negative'),
    'a text': ('[[1, 2]]', r"a list of rings, or an RLE of counts and size, but got '\[\[1, 2\]\]'"),
}


def set_mask(segmentation: Any, annotation: int = 0):
    def change(document):
        document['annotations'][annotation]['segmentation'] = segmentation

    return change


@pytest.mark.parametrize('flag', [{}, {'iscrowd': 1}, {'ignore': 1}])
@pytest.mark.parametrize('case', REFUSED)
def test_a_segmentation_is_refused_before_anything_is_written(case, flag, coco, tmp_path):
    segmentation, message = REFUSED[case]

    def change(document):
        set_mask(segmentation)(document)
        document['annotations'][0].update(flag)

    path, folder, _ = coco(change)
    with pytest.raises(ConversionError, match=rf'annotation 1001 has a segmentation that cannot be drawn: .*{message}'):
        convert_coco(path, tmp_path / 'out', images=folder)
    assert sorted(item.name for item in tmp_path.iterdir()) == ['images', path.name]


def test_an_rle_of_an_image_without_a_stated_size_is_compared_with_the_image(coco, tmp_path):
    path, folder, _ = coco(set_mask(packed(np.eye(50, 40, dtype=bool)), annotation=4))
    with pytest.raises(ConversionError, match=r'annotation 15 .*of its image, \(40, 50\) .*, but got \(50, 40\)'):
        convert_coco(path, tmp_path / 'out', images=folder)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('empty', [None, [], [[]]])
def test_an_empty_mask_is_kept_as_it_is(empty, coco, rows, tmp_path):
    path, folder, _ = coco(set_mask(empty, annotation=2))
    convert_coco(path, tmp_path / 'out', images=folder)
    assert json.loads(rows(tmp_path / 'out')[0]['masks'])[1] == empty


def _objects(rng: np.random.Generator, image: int) -> list[dict[str, Any]]:
    """10 to 20 outlines of 20 to 60 points, to a hundredth of a pixel, in an image of 640 x 480."""
    annotations = []
    for _ in range(int(rng.integers(10, 21))):
        points = int(rng.integers(20, 61))
        angles = np.sort(rng.uniform(0, 2 * np.pi, points))
        radii = rng.uniform(15, 90) * rng.uniform(0.8, 1.2, points)
        x, y = rng.uniform([100, 100], [540, 380])
        ring = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], -1).round(2).reshape(-1).tolist()
        annotations.append(
            {'image_id': image, 'category_id': 1, 'bbox': [0, 0, 9, 9], 'area': 81, 'segmentation': [ring]}
        )
    return annotations


def _bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob('*') if file.is_file())


@pytest.mark.parametrize('form', ['polygons', 'run lengths'])
def test_masks_take_a_fraction_of_the_bytes_that_bitmaps_take(tmp_path, form):
    images, rng = 40, np.random.default_rng(0)
    assert cv2.imwrite(str(tmp_path / 'one.png'), np.zeros((480, 640, 3), np.uint8))
    annotations = [annotation for image in range(images) for annotation in _objects(rng, image)]
    bitmaps: list[list[np.ndarray]] = [[] for _ in range(10)]
    for number, annotation in enumerate(annotations):
        annotation['id'] = number
        rle = coco_mask.merge(coco_mask.frPyObjects(annotation['segmentation'], 480, 640))
        if annotation['image_id'] < 10:
            bitmaps[annotation['image_id']].append(coco_mask.decode(rle))
        if form == 'run lengths':
            annotation['segmentation'] = {'size': [480, 640], 'counts': rle['counts'].decode()}
    document = {'images': [{'id': i, 'file_name': 'one.png', 'height': 480, 'width': 640} for i in range(images)]}
    document |= {'annotations': annotations, 'categories': [{'id': 1, 'name': 'a'}]}
    sizes = []
    for name, masks in (('with', True), ('without', False)):
        for annotation in annotations if not masks else ():
            del annotation['segmentation']
        (tmp_path / 'a.json').write_text(json.dumps(document))
        convert_coco(tmp_path / 'a.json', tmp_path / name, images=tmp_path)
        sizes.append(_bytes_of(tmp_path / name))
    dense = deeplake.create(str(tmp_path / 'dense'))
    dense.add_column('masks', types.BinaryMask(sample_compression='lz4'))
    dense.append({'masks': [np.stack(layers, axis=-1).astype(bool) for layers in bitmaps]})
    dense.commit('dense')
    assert (sizes[0] - sizes[1]) / images < 8000
    assert _bytes_of(tmp_path / 'dense') / 10 > 40_000
