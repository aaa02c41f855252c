"""YOLO to Deep Lake, compared with a reading of the files that shares no code with the converter."""

from __future__ import annotations

import json
from pathlib import Path

import deeplake
import numpy as np
import pytest
import yaml
from deeplake import types

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert import convert_yolo
from deeplake_mmdet.convert.yolo_labels import parse_labels
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from tests.support.yolo_files import pixel_boxes, read_lines, write_tree

BOX = [0, 0.5, 0.25, 0.123456789012345, 0.1]
POLYGON = [2, 0.1, 0.2, 0.30000000000000004, 0.2, 1 / 3, 0.9, 0.1, 0.7]
TREE = {
    'images/train/b.jpg': [BOX, [1, 0.0, 1.0, 0.0, 0.0]],
    'images/train/a.png': [],
    'images/train/deep/c.jpg': None,
    'images/val/a.jpg': [POLYGON, BOX],
    'images/test/d.jpg': [POLYGON],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / 'yolo', TREE)


def test_each_image_is_one_row_in_the_order_of_splits_and_names(tree, rows, tmp_path):
    report = convert_yolo(tree, tmp_path / 'out')
    found = rows(tmp_path / 'out')
    names = ['train/a.png', 'train/b.jpg', 'train/deep/c.jpg', 'val/a.jpg', 'test/d.jpg']
    assert [row['file_name'] for row in found] == [f'images/{name}' for name in names]
    assert [int(row['img_id']) for row in found] == [0, 1, 2, 3, 4]
    assert [row['split'] for row in found] == ['train', 'train', 'train', 'val', 'test']
    assert [(int(row['height']), int(row['width'])) for row in found] == [(40, 60)] * 5
    assert all(row['images'] == (tree.parent / row['file_name']).read_bytes() for row in found)
    assert report.views == {'train': 3, 'val': 1, 'test': 1}
    assert report.boxes == {'cat': 2, 'dog': 1, 'no': 2}


def test_the_numbers_of_the_files_are_stored_as_they_are(tree, rows, tmp_path):
    convert_yolo(tree, tmp_path / 'out')
    for row in rows(tmp_path / 'out'):
        lines = read_lines(tree.parent / row['file_name'])
        assert row['boxes'].dtype == np.float64 and row['boxes'].shape == (len(lines), 4)
        assert row['categories'].tolist() == [line[0] for line in lines]
        assert [box for box, line in zip(row['boxes'].tolist(), lines, strict=True) if len(line) == 5] == [
            line[1:] for line in lines if len(line) == 5
        ]
        assert json.loads(row['masks']) == [[line[1:]] if len(line) > 5 else None for line in lines]


def test_the_columns_say_what_they_hold(tree, tmp_path):
    convert_yolo(tree, tmp_path / 'out')
    dataset = deeplake.open_read_only(str(tmp_path / 'out'))
    assert dataset.schema['boxes'].dtype == types.BoundingBox('float64', 'ccwh', 'fractional')
    assert list(dataset['categories'].metadata['class_names']) == ['cat', 'dog', 'no']
    assert dataset['masks'].metadata['format'] == 'coco_segmentation_fractional'
    assert dataset.metadata['source'] == {'format': 'yolo', 'files': ['data.yaml']}
    assert [version.message for version in dataset.history][-1] == 'Convert YOLO splits train, val, test'


def test_a_dataset_of_boxes_has_no_column_of_masks(tmp_path):
    convert_yolo(write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [BOX]}), tmp_path / 'out')
    columns = {column.name for column in deeplake.open_read_only(str(tmp_path / 'out')).schema.columns}
    assert columns == {'images', 'img_id', 'height', 'width', 'file_name', 'split', 'boxes', 'categories'}


def test_training_sees_the_pixels_that_the_fractions_mean(tree, tmp_path):
    convert_yolo(tree, tmp_path / 'out')
    dataset = AnnotatedDataset({'deeplake_path': str(tmp_path / 'out')})
    assert dataset.index.classes == ('cat', 'dog', 'no')
    for image in range(len(dataset)):
        lines = read_lines(tree.parent / dataset.file_name(image))
        objects = slice(dataset.index.offsets[image], dataset.index.offsets[image + 1])
        expected = pixel_boxes(lines, (40, 60))
        np.testing.assert_allclose(dataset.index.xyxy(objects, image), expected, rtol=0, atol=1e-12)
        for mask, line in zip(dataset.masks.of(image), lines, strict=True):
            polygon = np.reshape(line[1:], (-1, 2)) * [60, 40] if len(line) > 5 else None
            assert mask == (None if polygon is None else [polygon.reshape(-1).tolist()])


def test_oddities_are_named(tmp_path):
    tree = {'images/train/a.jpg': [BOX, BOX, POLYGON], 'images/train/b.jpg': None, 'images/train/c.jpg': []}
    report = convert_yolo(write_tree(tmp_path / 'yolo', tree), tmp_path / 'out')
    assert report.oddities == {
        'images without a label file, taken as background': ['images/train/b.jpg'],
        'label lines that repeat another one': ['images/train/a.jpg'],
        'lines of a box among polygons, read as a box': ['images/train/a.jpg', 'images/train/a.jpg'],
    }


def test_boxes_without_area_are_dropped_with_their_masks_where_that_is_asked_for(tmp_path, rows):
    flat, box, line = [1, 0.5, 0.5, 0.0, 0.1], [2, 0.5, 0.5, 0.1, 0.1], [0, 0.1, 0.2, 0.1, 0.3, 0.1, 0.4]
    tree = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [flat, POLYGON, line, box]})
    report = convert_yolo(tree, tmp_path / 'out', zero_area='drop')
    (row,) = rows(tmp_path / 'out')
    assert row['categories'].tolist() == [2, 2] and json.loads(row['masks']) == [[POLYGON[1:]], None]
    assert row['boxes'].tolist()[1] == box[1:] and len(row['boxes']) == 2
    assert report.oddities['boxes of zero area, dropped'] == ['images/train/a.jpg'] * 2


def test_a_second_dataset_is_added_with_views_and_ids_of_its_own(tmp_path, rows):
    convert_yolo(write_tree(tmp_path / 'one', {'images/train/a.jpg': [POLYGON]}), tmp_path / 'out')
    more = write_tree(tmp_path / 'two', {'images/val/b.jpg': [BOX], 'images/test/c.jpg': []})
    convert_yolo(more, tmp_path / 'out', append=True)
    assert [int(row['img_id']) for row in rows(tmp_path / 'out')] == [0, 1, 2]
    assert [row['file_name'] for row in rows(tmp_path / 'out', 'val')] == ['images/val/b.jpg']
    assert [json.loads(row['masks']) for row in rows(tmp_path / 'out')] == [[[POLYGON[1:]]], [None], []]


def test_the_command_converts_and_takes_a_root_and_splits(tree, tmp_path, capsys):
    moved = tmp_path / 'elsewhere.yaml'
    tree.rename(moved)
    arguments = ['convert', 'yolo', str(moved), str(tmp_path / 'out'), '--root', str(tree.parent), '--split', 'val']
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "view 'val'" in printed and 'lines of a box among polygons, read as a box' in printed


def test_an_image_of_several_splits_is_stored_once(tree, rows, tmp_path):
    document = yaml.safe_load(tree.read_text()) | {'val': ['images/val', 'images/train/deep']}
    tree.write_text(yaml.safe_dump(document))
    report = convert_yolo(tree, tmp_path / 'out')
    assert len(rows(tmp_path / 'out')) == 5 and report.views == {'train': 3, 'val': 2, 'test': 1}
    names = [row['file_name'] for row in rows(tmp_path / 'out', 'val')]
    assert names == ['images/train/deep/c.jpg', 'images/val/a.jpg']


def test_only_the_chosen_splits_are_stored(tree, rows, tmp_path):
    assert convert_yolo(tree, tmp_path / 'out', splits=['test']).views == {'test': 1}
    assert [row['file_name'] for row in rows(tmp_path / 'out')] == ['images/test/d.jpg']


@pytest.mark.parametrize(
    'names', [['cat', 'dog', 'no'], {2: 'no', 0: 'cat', 1: 'dog'}, {'0': 'cat', '1': 'dog', '2': 'no'}]
)
def test_names_are_a_list_or_a_dict_by_number(names, tmp_path):
    path = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [POLYGON]}, names=names)
    assert convert_yolo(path, tmp_path / 'out').boxes == {'cat': 0, 'dog': 0, 'no': 1}


def test_classes_without_names_are_numbered(tmp_path):
    path = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [BOX]}, names=None, nc=2, train='images/train')
    path.write_text(path.read_text().replace('names: null\n', ''))
    assert convert_yolo(path, tmp_path / 'out').boxes == {'class_0': 1, 'class_1': 0}


def test_a_split_can_be_a_list_file_whose_lines_are_relative_to_it(tree, rows, tmp_path):
    (tree.parent / 'lists').mkdir()
    absolute = tree.parent / 'images/val/a.jpg'
    (tree.parent / 'lists/few.txt').write_text(f'./../images/train/b.jpg\n\n../images/test/d.jpg\n{absolute}\n')
    tree.write_text('names: [cat, dog, "no"]\ntrain: lists/few.txt\n')
    convert_yolo(tree, tmp_path / 'out')
    found = [row['file_name'] for row in rows(tmp_path / 'out')]
    assert found == ['images/test/d.jpg', 'images/train/b.jpg', 'images/val/a.jpg']


def test_labels_lie_where_the_last_folder_of_images_becomes_one_of_labels(tmp_path, rows):
    root = tmp_path / 'images/of mine'
    write_tree(root, {'images/train/a.jpg': [BOX]})
    (root / 'train').mkdir()
    (root / 'images').rename(root / 'train/images')
    (root / 'labels').rename(root / 'train/labels')
    (root / 'train/images/train/.hidden.jpg').write_bytes(b'')
    (root / 'data.yaml').write_text('names: [cat]\ntrain: ../train/images\nvalidation: ../train/images/train\n')
    report = convert_yolo(root / 'data.yaml', tmp_path / 'out')
    assert report.views == {'train': 1, 'val': 1} and report.boxes == {'cat': 1}


@pytest.mark.parametrize('path', ['../elsewhere', None])
def test_path_may_lead_anywhere_and_a_given_root_takes_its_place(path, tmp_path):
    write_tree(tmp_path / 'elsewhere', {'images/train/a.jpg': [BOX]})
    (tmp_path / 'config').mkdir()
    yaml_file = tmp_path / 'config/my.yaml'
    said = '/of/another/machine' if path is None else path
    yaml_file.write_text(f'path: {said}\ntrain: images/train\nnames: [cat]\n')
    root = tmp_path / 'elsewhere' if path is None else None
    assert convert_yolo(yaml_file, tmp_path / 'out', root=root).rows == 1


DOCUMENTS = {
    'no YAML': ('names: [cat\ntrain: x', r"a YAML document in '.*data\.yaml', line 2, but got expected ',' or ']'"),
    'a list': ('[1]', r'the keys train, val and names in .*, but got a list'),
    'no split': ('names: [cat]', r"at least one of train, val and test in .*, but got the keys \['names'\]"),
    'no names': ('train: images/train', r'a list or dict of class names as names in .*, but got None'),
    'a name that YAML reads as false': (
        'train: images/train\nnames: [cat, no]',
        r"names in .*, but got \['cat', False\]\. Put names such as no and on into quotes",
    ),
    'a name twice': ('train: images/train\nnames: [a, a]', r"names that differ in .*, but got \['a', 'a'\]"),
    'a gap': ('train: images/train\nnames: {0: a, 2: b}', r'names numbered from 0 to 1 in .*, but got \[0, 2\]'),
    'a number by word': ('train: images/train\nnames: {zero: a}', r"names numbered from 0 to 0 .*\['zero'\]"),
    'another nc': ('train: images/train\nnames: [a]\nnc: 2', r'nc to be 1, the number of names in .*, but got 2'),
    'no number as nc': ('train: images/train\nnc: many', r"a number of classes as nc in .*, but got 'many'"),
    'keypoints': ('train: images/train\nnames: [a]\nkpt_shape: [17, 3]', r"boxes or polygons .* keypoints \('kpt_sh"),
    'a number as split': ('train: 5\nnames: [a]', r'several of them as train in .*, but got 5\. Its keys are train'),
    'a missing folder': ('train: images/gone\nnames: [a]', r"as train .*/images/gone', which does not exist"),
    'an empty folder': ('train: labels\nnames: [a]', r"images in train in .*, but got none in \['labels'\]"),
    'a path that is none': ('path: gone\ntrain: x\nnames: [a]', r"a folder as path .*/gone', which is none.*--root"),
    'a path that is no text': ('path: 5\ntrain: x\nnames: [a]', r'a text as path in .*, but got 5'),
    'a folder outside': ('train: ../out\nnames: [a]', r"train below the folder of the dataset, .*got '\.\./out'"),
    'an absolute folder outside': ('train: /etc\nnames: [a]', r"below the folder .*, but got '/etc'\. Nothing outside"),
    'a folder that climbs': (
        'train: images/../../out\nnames: [a]',
        r"but got 'images/\.\./\.\./out'\. Nothing outside",
    ),
    'a folder twice': ('train: [images, images/train]\nnames: [a]', r'each image of train once in .*a\.jpg. again'),
}


@pytest.mark.parametrize('case', DOCUMENTS)
def test_a_data_yaml_is_refused_with(case, tmp_path):
    text, message = DOCUMENTS[case]
    write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [BOX]}).write_text(text)
    (tmp_path / 'out').mkdir()
    with pytest.raises(ValueError, match=message) as error:
        convert_yolo(tmp_path / 'yolo/data.yaml', tmp_path / 'new')
    assert 'convert_yolo(data_yaml=)' in str(error.value) and not (tmp_path / 'new').exists()


def test_a_data_yaml_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a YAML document in '.*gone\.yaml', but got No such file.*Correct the path"):
        convert_yolo(tmp_path / 'gone.yaml', tmp_path / 'new')


LISTS = {
    'a path that climbs': ('../../x.jpg', r"below '.*yolo' in '.*few\.txt', line 2, but got '\.\./\.\./x\.jpg'"),
    'an absolute path': ('/etc/x.jpg', r"line 2, but got '/etc/x\.jpg'\. Nothing outside the folder"),
    'no image': ('../data.yaml', r"an image file below .*, but got '\.\./data\.yaml'"),
    'an image twice': (
        '../images/./train/a.jpg',
        r"each image of train once in '.*few\.txt', line 2, but got .* again",
    ),
}


@pytest.mark.parametrize('case', LISTS)
def test_a_list_of_images_is_refused_with(case, tmp_path):
    line, message = LISTS[case]
    path = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [BOX]}, train='lists/few.txt')
    (tmp_path / 'yolo/lists').mkdir()
    (tmp_path / 'yolo/lists/few.txt').write_text(f'../images/train/a.jpg\n{line}\n')
    with pytest.raises(ValueError, match=message):
        convert_yolo(path, tmp_path / 'new')


def test_labels_outside_the_dataset_are_refused(tmp_path):
    root = tmp_path / 'images/mine'
    write_tree(root, {'train/a.jpg': None}, train='train')
    with pytest.raises(
        ValueError, match=r"the labels of 'train/a\.jpg' below .*, but got '.*/labels/mine/train/a\.txt'"
    ):
        convert_yolo(root / 'data.yaml', tmp_path / 'new')


@pytest.mark.parametrize('folder', ['images/train', 'labels/train'])
def test_a_link_that_leads_out_of_the_dataset_is_refused(folder, tmp_path):
    path = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [BOX]})
    (tmp_path / 'yolo' / folder).rename(tmp_path / 'away')
    (tmp_path / 'yolo' / folder).symlink_to(tmp_path / 'away')
    with pytest.raises(ValueError, match=rf"'{folder}/a\.[a-z]+', which a symbolic link leads out of it"):
        convert_yolo(path, tmp_path / 'new')


LINES = {
    'four columns': ('0 0.5 0.5 0.1', r'got 4 columns'),
    'a confidence': ('0 0.5 0.5 0.1 0.1 0.9', r'a class and a box .* or a class and a polygon .*, but got 6 columns'),
    'half a point': ('0 0.1 0.1 0.2 0.1 0.2 0.2 0.3', r'got 8 columns'),
    'a word': ('cat 0.5 0.5 0.1 0.1', r"finite numbers in .*, but got 'cat 0\.5 0\.5 0\.1 0\.1'"),
    'an underscore': ('0 0.5 0.5 0_1 0.1', r'finite numbers'),
    'NaN': ('0 0.5 nan 0.1 0.1', r"finite numbers .*'0 0\.5 nan 0\.1 0\.1'"),
    'infinity': ('0 0.5 0.5 inf 0.1', r'finite numbers'),
    'a class too many': (
        '3 0.5 0.5 0.1 0.1',
        r'a class from 0 to 2 .*, but got 3\. The data\.yaml has 3 classes, cat,',
    ),
    'a negative class': ('-1 0.5 0.5 0.1 0.1', r'a class from 0 to 2 .*, but got -1'),
    'half a class': ('0.5 0.5 0.5 0.1 0.1', r'a class from 0 to 2 .*, but got 0\.5'),
    'pixels': ('0 30 20 10 10', r'fractions from 0 to 1 of .*, but got 30\.0\. Divide pixels'),
    'a point outside': ('0 -0.2 0.1 0.2 0.1 0.2 0.2', r'fractions from 0 to 1 of .*, but got -0\.2'),
    'a negative width': (
        '0 0.5 0.5 -0.005 0.1',
        r'a width and a height that are not negative .*, but got -0\.005 0\.1',
    ),
}


@pytest.mark.parametrize('case', LINES)
def test_a_line_of_labels_is_refused_with_its_number(case, tmp_path):
    line, message = LINES[case]
    path = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [BOX]})
    label = tmp_path / 'yolo/labels/train/a.txt'
    label.write_text(f'{label.read_text()}\n{line}\n')
    with pytest.raises(ValueError, match=message) as error:
        convert_yolo(path, tmp_path / 'new')
    assert f"in '{label}', line 3, " in str(error.value) and not (tmp_path / 'new').exists()


def test_a_label_file_that_is_no_text_is_refused(tmp_path):
    path = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': [BOX]})
    (tmp_path / 'yolo/labels/train/a.txt').write_bytes(b'0 \xff\xfe')
    with pytest.raises(ValueError, match=r"a readable label file in '.*a\.txt', but got .*utf-8.*Correct the file"):
        convert_yolo(path, tmp_path / 'new')


def test_what_ultralytics_grants_beyond_the_image_is_read(tmp_path):
    found = parse_labels('0.0 1.005 -0.0 1.01 1e-3\r\n\r\n2 -.01 0 1 1.01 0 1', 'a.txt', ('a', 'b', 'c'))
    assert found.labels.tolist() == [0, 2]
    assert found.boxes.tolist() == [[1.005, 0, 1.01, 0.001], [0.495, 0.505, 1.01, 1.01]]
    assert found.polygons == [None, [-0.01, 0, 1, 1.01, 0, 1]]


def test_the_fingerprint_knows_labels_names_and_images_apart(tree):
    from deeplake_mmdet.convert.yolo import YoloSource

    seen = {YoloSource(tree).fingerprint}
    assert YoloSource(tree).fingerprint in seen
    label = tree.parent / 'labels/train/b.txt'
    changes = [
        lambda: label.write_text(label.read_text() + '0 0.5 0.5 0.1 0.1\n'),
        lambda: tree.write_text(tree.read_text().replace('cat', 'cow')),
        lambda: (tree.parent / 'images/val/a.jpg').rename(tree.parent / 'images/val/z.jpg'),
        lambda: (tree.parent / 'labels/train/a.txt').unlink(),
    ]
    for change in changes:
        change()
        fingerprint = YoloSource(tree).fingerprint
        assert fingerprint not in seen
        seen.add(fingerprint)
