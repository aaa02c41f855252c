"""The demo dataset: the same seed draws the same bytes, and its masks, areas and boxes tell the same story."""

from __future__ import annotations

import json

import cv2
import deeplake
import numpy as np
import pytest

from deeplake_mmdet.annotations.rings import mask_to_rings
from deeplake_mmdet.convert import make_demo
from deeplake_mmdet.convert.demo import _drop_hidden, draw_scene, visible_masks
from deeplake_mmdet.convert.demo_draw import Shape, coverage
from deeplake_mmdet.errors import ConversionError
from tests.support.masks import rasterise

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp('demo') / 'demo'
    return path, make_demo(path)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path, rows):
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        make_demo(tmp_path / name, seed=seed, train=9, val=3)
    first, again, other = (rows(tmp_path / name) for name in 'abc')
    assert [{k: np.asarray(v).tolist() for k, v in row.items()} for row in first] == [
        {k: np.asarray(v).tolist() for k, v in row.items()} for row in again
    ]
    assert all(one['images'] != two['images'] for one, two in zip(first, other, strict=True))


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path, rows):
    make_demo(tmp_path / 'few', train=3, val=2)
    make_demo(tmp_path / 'more', train=5, val=4)
    for view in ('train', 'val'):
        few, more = ([row['images'] for row in rows(tmp_path / name, view)] for name in ('few', 'more'))
        assert few == more[: len(few)]
    assert len({row['images'] for row in rows(tmp_path / 'more')}) == 9


def test_the_views_split_the_dataset(demo, rows):
    dataset = deeplake.open_read_only(str(demo[0]))
    names = {view: [row['file_name'] for row in rows(demo[0], view)] for view in ('train', 'val')}
    assert (len(names['train']), len(names['val'])) == (240, 60) and len(dataset) == 300
    assert len(set(names['train'] + names['val'])) == 300 and dataset['img_id'][:].tolist() == list(range(1, 301))


def test_classes_are_imbalanced_and_all_are_in_both_views(demo, rows):
    shares = np.array(list(demo[1].boxes.values())) / demo[1].boxes.total()
    assert 0.06 < shares.min() < 0.11 and shares.max() > 0.25
    for view in ('train', 'val'):
        assert {label for row in rows(demo[0], view) for label in row['categories'].tolist()} == set(range(5))


def test_some_images_are_empty_and_some_are_crowded(demo, rows):
    counts = np.array([len(row['boxes']) for row in rows(demo[0])])
    assert 0.05 < (counts == 0).mean() < 0.08 and counts.max() >= 9
    assert any((row['file_name'].startswith('val') and not len(row['boxes'])) for row in rows(demo[0]))


def test_sizes_range_from_small_to_large(demo, rows):
    sides = np.sqrt(np.concatenate([row['boxes'][:, 2] * row['boxes'][:, 3] for row in rows(demo[0])]))
    assert sides.min() < 18 and sides.max() > 90 and 30 < np.median(sides) < 60


def test_masks_rasterise_to_the_areas_and_fill_the_boxes(demo, rows):
    for row in rows(demo[0]):
        seen = np.zeros((256, 256), int)
        for rings, area, box in zip(json.loads(row['masks']), row['areas'], row['boxes'], strict=True):
            mask = rasterise(rings, 256, 256)
            assert mask.sum() == area >= 40
            ys, xs = np.nonzero(mask)
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()]
            seen += mask
        assert seen.max() <= 1, 'visible masks must not overlap'


def test_boxes_lie_within_their_images_and_nothing_is_odd(demo, rows):
    assert demo[1].oddities == {}
    for row in rows(demo[0]):
        assert (row['boxes'][:, :2] >= 0).all() and (row['boxes'][:, :2] + row['boxes'][:, 2:] <= 256).all()
        image = cv2.imdecode(np.frombuffer(row['images'], np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (256, 256, 3) and (int(row['height']), int(row['width'])) == (256, 256)


def test_some_objects_hide_a_part_of_others(demo, rows):
    overlaps = 0
    for row in rows(demo[0]):
        for i, a in enumerate(row['boxes']):
            for b in row['boxes'][:i]:
                low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
                overlaps += (high - low > 0).all() and (high - low).prod() > 0.3 * min(a[2:].prod(), b[2:].prod())
    assert overlaps > 30


@pytest.mark.parametrize('options', [{'seed': -1}, {'train': 0}, {'val': 1.5}])
def test_a_number_out_of_range_is_refused(tmp_path, options):
    name = next(iter(options))
    with pytest.raises(ConversionError, match=rf'make_demo\({name}=\) expected an int of at least \d, but got'):
        make_demo(tmp_path / 'd', **options)


def test_what_is_hardly_visible_is_not_drawn_and_what_it_hid_is_whole_again():
    def disc(diameter):
        return Shape('circle', (100.0, 100.0), diameter, 0.0, (0.0, 0.0, 0.0))

    shapes = [disc(100.0), disc(60.0), disc(58.0), disc(40.0)]  # the second shows 7 % of itself around the third
    kept, alphas = _drop_hidden(shapes, [coverage(shape, 256) for shape in shapes])
    assert kept == [shapes[0], shapes[2], shapes[3]]
    assert [len(mask_to_rings(mask)) for mask in visible_masks(alphas)] == [2, 2, 1]


def test_a_scene_shows_a_quarter_of_each_object_at_least():
    smallest = 1.0
    for position in range(3, 300, 7):
        _, shapes, masks = draw_scene(np.random.default_rng(position), position)
        smallest = min(
            [smallest, *(m.sum() / (coverage(s, 256) >= 0.5).sum() for s, m in zip(shapes, masks, strict=True))]
        )
    assert 0.25 <= smallest < 0.4
