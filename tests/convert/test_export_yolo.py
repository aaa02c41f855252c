"""Deep Lake to YOLO: round trips of whole trees, and other datasets compared with a reading of what was written."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from deeplake import types
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplake_mmdet.convert import convert_yolo, export_yolo
from deeplake_mmdet.convert.export.joined_rings import joined
from deeplake_mmdet.errors import ConversionError
from tests.support.datasets import png
from tests.support.yolo_files import NAMES, pixel_boxes, read_tree, write_tree

FRACTIONS = st.floats(0, 1)


@st.composite
def boxes(draw):
    """A line of a box that lies in its image."""
    left, right = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    top, bottom = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    label = draw(st.integers(0, len(NAMES) - 1))
    return [label, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


@st.composite
def polygons(draw):
    """A line of a polygon that reaches out of its image a little at most."""
    points = draw(st.lists(st.tuples(st.floats(-0.01, 1.01), st.floats(-0.01, 1.01)), min_size=3, max_size=6))
    return [draw(st.integers(0, len(NAMES) - 1)), *(number for point in points for number in point)]


def trees(line):
    """Trees of up to six images with lines of one kind; some without a label file."""
    names = st.tuples(st.sampled_from(['train', 'val', 'test']), st.sampled_from(['a', 'b', 'deep/c']))
    lines = st.none() | st.lists(line, max_size=4)
    content = st.dictionaries(names.map(lambda pair: f'images/{"/".join(pair)}.jpg'), lines, min_size=1, max_size=6)
    return content


def round_trip(tree, tmp_path, **options):
    """A tree, and what an import and an export make of it."""
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    source = write_tree(folder / 'yolo', tree, size_hw=(17, 23))
    report = convert_yolo(source, folder / 'dataset')
    export_yolo(folder / 'dataset', folder / 'again', splits=list(report.views), **options)
    return source, folder / 'again/data.yaml'


@settings(max_examples=25)
@given(tree=trees(boxes()))
def test_any_tree_of_boxes_comes_back_number_for_number(tree, tmp_path):
    source, again = round_trip(tree, tmp_path)
    assert read_tree(again) == read_tree(source)


@settings(max_examples=25)
@given(tree=trees(polygons()))
def test_any_tree_of_polygons_comes_back_number_for_number(tree, tmp_path):
    has_polygons = any(tree.values())
    source, again = round_trip(tree, tmp_path, polygons=has_polygons)
    assert read_tree(again) == read_tree(source)


def test_image_files_come_back_byte_for_byte(tmp_path):
    tree = {'images/train/a.jpg': [], 'images/train/deep/b.png': None, 'images/val/a.jpg': []}
    source, again = round_trip(tree, tmp_path)
    for name in tree:
        assert (again.parent / name).read_bytes() == (source.parent / name).read_bytes()


TWO = [[0, 0.5, 0.5, 0.5, 0.5], [2, 0.25, 0.25, 0.75, 0.25, 0.75, 0.5]]


def test_a_box_among_polygons_is_written_as_its_rectangle_and_counted(tmp_path):
    convert_yolo(write_tree(tmp_path / 'yolo', {'images/train/a.jpg': TWO}), tmp_path / 'dataset')
    report = export_yolo(f'{tmp_path}/dataset@train', tmp_path / 'again', polygons=True)
    _, splits = read_tree(tmp_path / 'again/data.yaml')
    assert splits['train']['a.jpg'] == [[0, 0.25, 0.25, 0.75, 0.25, 0.75, 0.75, 0.25, 0.75], TWO[1]]
    assert report.noted == {'objects without a mask, written as the rectangle of their box': 1}


def test_masks_that_are_not_written_are_said_to_be_left_out(tmp_path):
    convert_yolo(write_tree(tmp_path / 'yolo', {'images/train/a.jpg': TWO}), tmp_path / 'dataset')
    report = export_yolo(f'{tmp_path}/dataset@train', tmp_path / 'again')
    _, splits = read_tree(tmp_path / 'again/data.yaml')
    assert splits['train']['a.jpg'] == [TWO[0], [2, 0.5, 0.375, 0.5, 0.25]]
    assert report.noted == {} and 'masks are left out: --polygons writes them' in report.remarks
    assert 'columns that are not written: img_id, masks' in report.remarks


def test_boxes_of_every_other_format_mean_the_same_pixels(make_dataset, tmp_path):
    values = {
        ('ltwh', 'pixel'): [[2, 4, 10, 5], [0, 0, 20, 16]],
        ('ltrb', 'pixel'): [[2, 4, 12, 9], [0, 0, 20, 16]],
        ('ccwh', 'pixel'): [[7, 6.5, 10, 5], [10, 8, 20, 16]],
        ('ltrb', 'fractional'): [[0.1, 0.25, 0.6, 0.5625], [0, 0, 1, 1]],
    }
    for number, (box_format, rows) in enumerate(values.items()):
        path = make_dataset(
            f'd{number}',
            1,
            types={'boxes': types.BoundingBox('float64', *box_format)},
            values={'boxes': [np.array(rows, 'float64')], 'categories': [np.array([0, 1], 'uint32')]},
        )
        export_yolo(path, tmp_path / f'e{number}', name='train')
        names, splits = read_tree(tmp_path / f'e{number}/data.yaml')
        assert names == ['cat', 'dog']
        lines = splits['train']['train_000000.png']
        assert [line[0] for line in lines] == [0, 1]
        np.testing.assert_allclose(pixel_boxes(lines, (16, 20)), [[2, 4, 12, 9], [0, 0, 20, 16]], atol=1e-6)


def boxes_of(*ltwh, **more):
    """The arguments of a dataset of one row with such boxes, all of class 0, and further columns."""
    columns = {name: column for name, (column, _) in more.items()}
    values = {name: [value] for name, (_, value) in more.items()}
    return dict(
        types={'boxes': types.BoundingBox('float64', 'ltwh', 'pixel'), **columns},
        values={
            'boxes': [np.array(ltwh, 'float64')],
            'categories': [np.zeros(len(ltwh), 'uint32')],
            **values,
        },
    )


def flags(*values):
    return types.Array('uint8', 1), np.array(values, 'uint8')


def test_objects_that_no_training_should_see_are_left_out_and_counted(make_dataset, tmp_path):
    ltwh = [[0, 0, 2, 2], [2, 0, 2, 2], [4, 0, 2, 2], [6, 0, 2, 2]]
    more = dict(iscrowd=flags(0, 1, 0, 0), difficult=flags(0, 0, 1, 0), ignore=flags(0, 0, 0, 1))
    report = export_yolo(make_dataset('d', 1, **boxes_of(*ltwh, **more)), tmp_path / 'e', name='train')
    _, splits = read_tree(tmp_path / 'e/data.yaml')
    assert splits['train']['train_000000.png'] == [[0, 0.05, 0.0625, 0.1, 0.125]]
    assert report.noted == {'crowd regions, difficult and ignored objects, left out': 3}
    assert report.objects == {'cat': 1, 'dog': 0}


def test_boxes_are_clipped_only_where_readers_would_refuse_their_numbers(make_dataset, tmp_path):
    ltwh = [[-4, 2, 8, 4], [15, 2, 15, 4], [0, -8, 20, 32], [30, 2, 4, 4], [1, 1, 2, 2]]
    many = [[1, 1, 2, 2]] * 60  # which keep the reading plausible
    report = export_yolo(make_dataset('d', 1, **boxes_of(*ltwh, *many)), tmp_path / 'e', name='train')
    _, splits = read_tree(tmp_path / 'e/data.yaml')
    found = pixel_boxes(splits['train']['train_000000.png'], (16, 20))
    np.testing.assert_allclose(found[:4], [[-4, 2, 4, 6], [15, 2, 20, 6], [0, 0, 20, 16], [1, 1, 3, 3]], atol=1e-9)
    assert report.noted == {
        'objects that reached out of their image, clipped to it': 2,
        'objects outside their image, left out': 1,
    }
    assert report.objects['cat'] == 64


def drawn(lines, size_hw=(16, 20)):
    """The pixels of each polygon, drawn large because YOLO tools draw between pixels."""
    scale = 8
    layers = []
    for _, *numbers in lines:
        mask = np.zeros((size_hw[0] * scale, size_hw[1] * scale), np.uint8)
        points = np.reshape(numbers, (-1, 2)) * [size_hw[1] * scale, size_hw[0] * scale]
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
        layers.append(mask)
    return layers


def masks_of(*masks):
    return types.Text(), json.dumps(masks)


def test_masks_of_every_kind_become_polygons_of_their_pixels(make_dataset, tmp_path):
    ring, other = [2, 2, 6, 2, 6, 6, 2, 6], [10, 4, 14, 4, 14, 10, 10, 10]
    bitmap = np.zeros((16, 20), np.uint8, order='F')
    bitmap[2:6, 2:6] = 1
    runs = [0 if bitmap[0, 0] else 2 * 16 + 2, 4, 12, 4, 12, 4, 12, 4]
    rle = {'size': [16, 20], 'counts': [*runs, 320 - sum(runs)]}
    masks = masks_of([ring], [ring, other], rle, [], None)
    five = [[2, 2, 4, 4], [2, 2, 12, 8], [2, 2, 4, 4], [2, 2, 4, 4], [2, 2, 4, 4]]
    path = make_dataset('d', 1, **boxes_of(*five, masks=masks), metadata={'masks': {'format': 'coco_segmentation'}})
    report = export_yolo(path, tmp_path / 'e', name='train', polygons=True)
    lines = read_tree(tmp_path / 'e/data.yaml')[1]['train']['train_000000.png']
    one, both, third, *rectangles = drawn(lines)
    assert np.array_equal(one, third) and all(np.array_equal(one, layer) for layer in rectangles)
    assert np.array_equal(one[16:49, 16:49], np.ones((33, 33))) and one.sum() == 33 * 33
    union = one | drawn([[0, *(np.reshape(other, (-1, 2)) / [20, 16]).reshape(-1)]])[0]
    assert 0 <= (both != union).sum() <= 8 * 8, 'a bridge of one line between the rings'
    assert report.noted == {
        'masks of several rings, joined into one polygon': 1,
        'objects without a mask, written as the rectangle of their box': 2,
    }


def test_joined_rings_keep_every_point_and_enclose_the_same():
    rings = [[0, 0, 4, 0, 4, 4, 0, 4], [6, 0, 9, 0, 9, 4, 6, 4], [0, 6, 4, 6, 4, 9]]
    whole = np.reshape(joined(rings), (-1, 2))
    assert {tuple(point) for point in whole.tolist()} == {
        tuple(ring[place : place + 2]) for ring in rings for place in range(0, len(ring), 2)
    }
    assert len(whole) == 4 + (4 + 2) + (3 + 2)
    x, y = whole.T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert area == 16 + 12 + 6
    far = [list(np.random.default_rng(k).random(400) + 10 * k) for k in range(3)]
    assert len(joined(far)) == 3 * 400 + 2 * 4


def test_polygons_of_a_dataset_without_masks_are_refused(make_dataset, tmp_path):
    with pytest.raises(ConversionError, match=r'polygons=\) expected a column of masks in .*--tensors gt_masks=NAME'):
        export_yolo(make_dataset(), tmp_path / 'e', polygons=True)
    assert not (tmp_path / 'e').exists()


def names(*texts):
    return dict(types={'file_name': types.Text()}, values={'file_name': list(texts)})


def test_images_are_named_as_in_the_dataset_without_folders_that_would_mislead_ultralytics(make_dataset, tmp_path):
    texts = ['images/train/a.png', 'train/images/b.png', 'JPEGImages/c.png', 'val/d.png', 'e.tar', 'f.JPG']
    report = export_yolo(make_dataset('d', 6, **names(*texts)), tmp_path / 'e', name='train')
    found = sorted(path.relative_to(tmp_path / 'e').as_posix() for path in (tmp_path / 'e').rglob('*.*'))
    below = ['a.png', 'b.png', 'c.png', 'e.tar.png', 'f.JPG', 'val/d.png']
    assert [name for name in found if name.startswith('images')] == [f'images/train/{name}' for name in below]
    assert [name for name in found if name.startswith('labels')] == [
        f'labels/train/{name.rsplit(".", 1)[0]}.txt' for name in below
    ]
    assert (tmp_path / 'e/images/train/val/d.png').read_bytes() == png(3)
    assert report.noted == {'images whose name got a suffix, by which Ultralytics finds them': 1}


@pytest.mark.parametrize('pair', [('a.png', 'images/a.png'), ('a.png', 'a.jpg')])
def test_two_images_that_would_share_their_labels_are_refused(pair, make_dataset, tmp_path):
    message = rf"split 'main', row 1 expected a name of its own, but got '{pair[1]}': another image of the split is 'a'"
    with pytest.raises(ConversionError, match=message):
        export_yolo(make_dataset('d', 2, **names(*pair)), tmp_path / 'e')
    assert not (tmp_path / 'e').exists()


def test_the_data_yaml_names_splits_and_classes(make_dataset, tmp_path):
    path = make_dataset('d', 2, classes=['no', 'über: "x"'])
    report = export_yolo(path, tmp_path / 'e')
    document = yaml.safe_load((tmp_path / 'e/data.yaml').read_text())
    assert document == {'main': 'images/main', 'nc': 2, 'names': {0: 'no', 1: 'über: "x"'}}
    assert any('with train and val, and this one has main' in remark for remark in report.remarks)
    assert report.hint == f'yolo train data={tmp_path}/e/data.yaml'


def test_views_of_other_classes_are_refused(make_dataset, tmp_path):
    import deeplake

    path = make_dataset('d', 4)
    dataset = deeplake.open(path)
    dataset.query('select * where number < 2').tag('train')
    dataset.branch('other')
    branch = dataset.branches['other'].open()
    branch['categories'].metadata['class_names'] = ['cat', 'cow']
    branch.commit('renamed')
    branch.query('select * where number > 1').tag('val')
    with pytest.raises(
        ConversionError, match=r"views of the same classes, but got \[\['cat', 'cow'\], \['cat', 'dog'\]\]"
    ):
        export_yolo(path, tmp_path / 'e', splits=['train', 'val'])
    assert not (tmp_path / 'e').exists()


def test_classes_choose_and_order_what_is_written(make_dataset, tmp_path):
    report = export_yolo(make_dataset(count=6), tmp_path / 'e', name='val', classes=['dog'])
    found, splits = read_tree(tmp_path / 'e/data.yaml')
    assert found == ['dog'] and [len(lines) for lines in splits['val'].values()] == [0, 0, 1, 0, 0, 1]
    assert report.left_out == 4 and report.objects == {'dog': 2}


def test_labels_can_be_written_without_images(make_dataset, tmp_path):
    export_yolo(make_dataset(count=3), tmp_path / 'e', name='val', images=False)
    found = {path.name for path in Path(tmp_path / 'e').rglob('*.*')}
    assert found == {'data.yaml', '.deeplake-export.json', *(f'val_00000{k}.txt' for k in range(3))}
