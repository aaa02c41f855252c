"""PASCAL VOC to Deep Lake, compared with a parse of the XML files that shares no code with the converter."""

from __future__ import annotations

from pathlib import Path
from xml.dom import minidom

import deeplake
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.convert import convert_voc

BCCD = Path(__file__).parents[2].parent / 'shared/data/bccd'
needs_bccd = pytest.mark.skipif(not BCCD.is_dir(), reason='the BCCD photographs are not at ../shared/data/bccd')


def test_each_image_is_one_row_in_the_order_of_the_splits(voc, rows, tmp_path):
    convert_voc(voc, tmp_path / 'out')
    found = rows(tmp_path / 'out')
    assert [row['file_name'] for row in found] == [f'JPEGImages/{name}.jpg' for name in 'daceb']
    assert [int(row['img_id']) for row in found] == [0, 1, 2, 3, 4]
    assert [row['split'] for row in found] == ['train', 'train', 'val', 'test', 'test']
    assert all(row['images'] == (voc / row['file_name']).read_bytes() for row in found)


def test_boxes_count_from_zero_and_are_truncated_as_mmdetection_does(voc, rows, tmp_path):
    report = convert_voc(voc, tmp_path / 'out')
    row = rows(tmp_path / 'out')[1]
    assert row['boxes'].dtype == np.float32 and row['boxes'].tolist() == [[0, 0, 29, 19], [47, 7, 59, 39]]
    assert row['areas'].dtype == np.float64 and row['areas'].tolist() == [29 * 19, 12 * 32]
    assert row['difficult'].tolist() == [1, 0] and row['truncated'].tolist() == [1, 0]
    assert report.oddities == {
        'boxes with fractional corners, truncated': ['JPEGImages/a.jpg'],
        'boxes of zero area': ['JPEGImages/c.jpg'],
    }


def test_a_size_that_the_file_leaves_out_is_measured(voc, rows, tmp_path):
    convert_voc(voc, tmp_path / 'out')
    sizes = [(int(row['height']), int(row['width'])) for row in rows(tmp_path / 'out')]
    assert sizes == [(43, 60), (40, 60), (42, 60), (44, 60), (41, 60)]


def test_a_view_holds_the_rows_of_its_split_and_overlapping_splits_share_rows(voc, rows, tmp_path):
    report = convert_voc(voc, tmp_path / 'out')
    views = {name: [row['file_name'][11] for row in rows(tmp_path / 'out', name)] for name in report.views}
    assert views == {'train': ['d', 'a'], 'val': ['c'], 'test': ['e', 'b'], 'trainval': ['d', 'a', 'c']}
    assert report.views == {'train': 2, 'val': 1, 'test': 2, 'trainval': 3}


def test_only_the_chosen_splits_are_stored(voc, rows, tmp_path):
    report = convert_voc(voc, tmp_path / 'out', splits=['trainval', 'val'])
    assert [row['file_name'][11] for row in rows(tmp_path / 'out')] == ['c', 'a', 'd']
    assert report.views == {'val': 1, 'trainval': 3}


def test_a_split_with_a_space_in_an_id_is_a_split_and_one_of_flags_is_none(voc, rows, tmp_path):
    (voc / 'JPEGImages/b.jpg').rename(voc / 'JPEGImages/photo 1.jpg')
    (voc / 'Annotations/b.xml').rename(voc / 'Annotations/photo 1.xml')
    (voc / 'ImageSets/Main/test.txt').write_text('photo 1\n')
    report = convert_voc(voc, tmp_path / 'out')
    assert list(report.views) == ['train', 'val', 'test', 'trainval']
    assert [row['file_name'] for row in rows(tmp_path / 'out', 'test')] == ['JPEGImages/photo 1.jpg']


def test_classes_are_sorted_by_name_unless_they_are_given(voc, rows, tmp_path):
    convert_voc(voc, tmp_path / 'out')
    assert list(deeplake.open_read_only(str(tmp_path / 'out'))['categories'].metadata['class_names']) == [
        'ant',
        'cat',
        'dog',
    ]
    assert rows(tmp_path / 'out')[1]['categories'].tolist() == [2, 1]
    report = convert_voc(voc, tmp_path / 'given', classes=['dog', 'ant', 'cat', 'eel'])
    assert rows(tmp_path / 'given')[1]['categories'].tolist() == [0, 2]
    assert report.boxes == {'dog': 2, 'ant': 1, 'cat': 2, 'eel': 0}


def test_the_columns_have_the_types_of_the_contract(voc, tmp_path):
    convert_voc(voc, tmp_path / 'out')
    dataset = deeplake.open_read_only(str(tmp_path / 'out'))
    assert dataset.schema['boxes'].dtype == types.BoundingBox('float32', 'ltrb', 'pixel')
    assert {'masks', 'iscrowd', 'ann_ids'}.isdisjoint(column.name for column in dataset.schema.columns)
    assert dataset.metadata['source'] == {
        'format': 'voc',
        'files': ['train.txt', 'val.txt', 'test.txt', 'trainval.txt'],
    }


@pytest.fixture(scope='module')
def bccd(tmp_path_factory):
    path = tmp_path_factory.mktemp('bccd') / 'bccd'
    return path, convert_voc(BCCD, path)


def objects_of(xml: Path) -> list[tuple[str, list[int]]]:
    """Class and corners of each object, by minidom."""
    found = []
    for item in minidom.parse(str(xml)).getElementsByTagName('object'):

        def text(tag, item=item):
            return item.getElementsByTagName(tag)[0].firstChild.data

        found.append((text('name'), [int(text(tag)) for tag in ('xmin', 'ymin', 'xmax', 'ymax')]))
    return found


@needs_bccd
def test_every_box_and_byte_of_bccd_is_stored(bccd, rows):
    found = rows(bccd[0])
    names = ['Platelets', 'RBC', 'WBC']
    for row in found:
        stem = Path(row['file_name']).stem
        objects = objects_of(BCCD / 'Annotations' / f'{stem}.xml')
        assert [
            (names[label], (box + 1).tolist()) for label, box in zip(row['categories'], row['boxes'], strict=True)
        ] == objects
        assert row['images'] == (BCCD / 'JPEGImages' / f'{stem}.jpg').read_bytes()
        assert (int(row['height']), int(row['width'])) == (480, 640)
    assert len(found) == 364 and sum(len(row['boxes']) for row in found) == 4888


@needs_bccd
@pytest.mark.parametrize(('split', 'count'), [('train', 205), ('val', 87), ('trainval', 292), ('test', 72)])
def test_a_view_of_bccd_has_the_names_of_its_split(bccd, rows, split, count):
    stems = [Path(row['file_name']).stem for row in rows(bccd[0], split)]
    listed = (BCCD / f'ImageSets/Main/{split}.txt').read_text().split()
    assert len(stems) == count and set(stems) == set(listed)
    if split != 'trainval':
        assert stems == listed


@needs_bccd
def test_the_two_boxes_of_bccd_without_area_are_named(bccd):
    assert sorted(bccd[1].oddities) == ['boxes of zero area']
    assert {Path(name).stem for name in bccd[1].oddities['boxes of zero area']} == {
        'BloodImage_00338',
        'BloodImage_00343',
    }
    assert bccd[1].boxes == {'Platelets': 361, 'RBC': 4155, 'WBC': 372}
