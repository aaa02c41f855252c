"""Oddities of an import: counted, named by file, class and annotation, dropped or refused as asked; and the table."""

from __future__ import annotations

import json
from pathlib import Path

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.convert import ConversionReport, convert_coco, convert_voc, convert_yolo
from deeplake_mmdet.convert.report import FRACTIONAL
from deeplake_mmdet.convert.views import View, id_view, split_view
from deeplake_mmdet.errors import ConversionError
from tests.convert.convert_files import write_image

BCCD = Path(__file__).parents[2].parent / 'shared/data/bccd'
needs_bccd = pytest.mark.skipif(not BCCD.is_dir(), reason='the BCCD photographs are not at ../shared/data/bccd')


def odd_boxes(document):
    """A box without width, one without height, one out of its image, and a good one, in this order."""
    document['annotations'] = [
        {'id': number, 'image_id': 42, 'category_id': 90 if number % 2 else 7, 'bbox': bbox, 'area': 5.5, 'iscrowd': 0}
        | {'segmentation': [[1, 1, 2 + number, 1, 2, 3]], 'ignore': number % 2}
        for number, bbox in enumerate([[3, 4, 0, 5], [9, 9, 4, 0], [55, 30, 9, 4], [1, 2, 3, 4]], start=10)
    ]


def test_boxes_without_area_are_named_by_file_class_and_annotation_and_kept(coco, rows, tmp_path):
    path, folder, _ = coco(odd_boxes)
    report = convert_coco(path, tmp_path / 'out', images=folder)
    assert report.oddities == {
        'boxes of zero area': ['a.jpg', 'a.jpg'],
        'boxes that reach out of their image': ['a.jpg'],
    }
    assert report.examples['boxes of zero area'] == [
        'a.jpg: train, annotation 10',
        'a.jpg: toothbrush, annotation 11',
    ]
    assert rows(tmp_path / 'out')[0]['ann_ids'].tolist() == [10, 11, 12, 13]
    assert '! 2 boxes of zero area\n    a.jpg: train, annotation 10\n    a.jpg: tooth' in report.table()


def test_or_dropped_from_every_column_and_still_named(coco, rows, tmp_path):
    path, folder, _ = coco(odd_boxes)
    report = convert_coco(path, tmp_path / 'out', images=folder, zero_area='drop')
    row = rows(tmp_path / 'out')[0]
    assert row['ann_ids'].tolist() == [12, 13] and row['boxes'].tolist()[1] == [1, 2, 3, 4]
    assert row['categories'].tolist() == [1, 0] and row['ignore'].tolist() == [0, 1]
    assert json.loads(row['masks']) == [[[1, 1, 2 + number, 1, 2, 3]] for number in (12, 13)]
    assert report.examples['boxes of zero area, dropped'][0] == 'a.jpg: train, annotation 10'
    assert report.boxes == {'toothbrush': 1, 'train': 1, 'never seen': 0}
    assert 'boxes of zero area' not in report.oddities


def test_an_image_may_lose_its_last_box(coco, rows, tmp_path):
    def only_empty(document):
        odd_boxes(document)
        document['annotations'] = document['annotations'][:1]

    path, folder, _ = coco(only_empty)
    report = convert_coco(path, tmp_path / 'out', images=folder, zero_area='drop')
    assert rows(tmp_path / 'out')[0]['boxes'].shape == (0, 4) and report.empty == 5


def test_fractional_boxes_are_judged_in_pixels(tmp_path, rows):
    write_image(tmp_path / 'images/train/a.jpg', 40, 80)
    (tmp_path / 'labels/train').mkdir(parents=True)
    lines = ['0 0.5 0.5 0 0.25', '0 0.5 0.5 0.5 0.5', '0 0.9 0.5 0.4 0.5']
    (tmp_path / 'labels/train/a.txt').write_text('\n'.join(lines))
    (tmp_path / 'data.yaml').write_text('train: images/train\nnames: [cell]\n')
    report = convert_yolo(tmp_path / 'data.yaml', tmp_path / 'out', zero_area='drop')
    assert report.examples == {
        'boxes of zero area, dropped': ['images/train/a.jpg: cell, object 1'],
        'boxes that reach out of their image': ['images/train/a.jpg: cell, object 2'],
    }
    assert report.sides.tolist() == pytest.approx([np.sqrt(40 * 20), np.sqrt(32 * 20)])
    assert len(rows(tmp_path / 'out')[0]['boxes']) == 2


@needs_bccd
@pytest.mark.parametrize(('choice', 'count'), [('keep', 4888), ('drop', 4886)])
def test_the_two_boxes_of_bccd_are_kept_or_dropped_and_named(choice, count, tmp_path):
    report = convert_voc(BCCD, tmp_path / 'out', zero_area=choice)
    kind = 'boxes of zero area' + (', dropped' if choice == 'drop' else '')
    assert report.examples == {
        kind: [
            'JPEGImages/BloodImage_00343.jpg: RBC, object 4',
            'JPEGImages/BloodImage_00338.jpg: RBC, object 13',
        ]
    }
    dataset = deeplake.open_read_only(str(tmp_path / 'out'))
    assert sum(len(boxes) for boxes in dataset['boxes'][:]) == count == report.boxes.total()


ODD = {
    'zero area': (lambda boxes: boxes[:1], r'boxes of zero area: a\.jpg: train, annotation 10'),
    'outside': (lambda boxes: boxes[2:3], r'boxes that reach out of their image: a\.jpg: train, annotation 12'),
}


@pytest.mark.parametrize('name', ODD)
def test_strictness_makes_an_error_of_it_and_leaves_nothing(name, coco, tmp_path):
    choose, message = ODD[name]

    def change(document):
        odd_boxes(document)
        document['annotations'] = choose(document['annotations'])

    path, folder, _ = coco(change)
    with pytest.raises(ConversionError, match=rf'strict=True\) expected nothing odd, but got {message}.*--strict'):
        convert_coco(path, tmp_path / 'out', images=folder, strict=True)
    assert not list(tmp_path.glob('*out*'))


def test_strictness_knows_what_a_format_finds_odd(voc, tmp_path):
    (voc / 'ImageSets/Main/val.txt').unlink()
    with pytest.raises(ConversionError, match=rf'nothing odd, but got {FRACTIONAL}: JPEGImages/a\.jpg'):
        convert_voc(voc, tmp_path / 'out', splits=['train'], strict=True)


def test_strictness_leaves_alone_what_other_options_decide(coco, tmp_path):
    def change(document):
        odd_boxes(document)
        document['annotations'] = document['annotations'][::3]
        document['images'][1]['height'] = 99

    path, folder, _ = coco(change)
    (folder / 'sub/crowd.jpg').unlink()
    options = {'zero_area': 'drop', 'on_error': 'skip', 'sizes': 'measured'}
    report = convert_coco(path, tmp_path / 'out', images=folder, strict=True, **options)
    assert sorted(report.oddities) == [
        'boxes of zero area, dropped',
        'images of another size than annotated, which was taken',
        'images that are missing, left out',
    ]


def test_the_table_says_what_went_in():
    report = ConversionReport('p', ['cat', 'dog'], views={'train': 3})
    boxes = np.array([[0, 0, 10, 10], [0, 0, 50, 50], [0, 0, 100, 100.0]])
    report.count('a.jpg', boxes, np.array([0, 0, 1]), (200, 300))
    for width in (640, 640, 320, 800, 1024):
        report.count('b.jpg', np.zeros((0, 4)), np.zeros(0, int), (480, width))
    for number in range(8):
        report.note('images in sepia', f'{number}.jpg')
    assert report.table().splitlines() == [
        'images         6',
        'without boxes  5',
        'image sizes    640 x 480 (2), 300 x 200 (1), 320 x 480 (1), '
        'and 2 others: width 300 to 1024, height 200 to 480',
        'boxes          3',
        '  cat          2',
        '  dog          1',
        'box areas      1 small, 1 medium, 1 large (below 32², to 96², above)',
        'box sides      10 to 100 pixels, median 50',
        "view 'train'   3 images",
        '! 8 images in sepia',
        *(f'    {number}.jpg' for number in range(5)),
        '    and 3 more',
    ]


def test_sizes_are_those_of_the_objects_as_coco_counts_them():
    report = ConversionReport('p', ['a'])
    boxes, areas = np.array([[0, 0, 40, 40.0]] * 4), np.array([1023.9, 1024, 9216, 9216.1])
    report.count('a.jpg', boxes, np.zeros(4, int), (99, 99), areas=areas)
    assert report.box_sizes == {'small': 1, 'medium': 2, 'large': 1}


@pytest.mark.parametrize(
    ('ids', 'text'),
    [
        ([3, 1, 2, 2], '(img_id >= 1 and img_id <= 3)'),
        ([1, 5, 6], '(img_id >= 1 and img_id <= 1) or (img_id >= 5 and img_id <= 6)'),
        (range(0, 60, 2), f'img_id in ({",".join(map(str, range(0, 60, 2)))})'),
    ],
)
def test_a_view_of_ids_names_runs_or_lists_them(ids, text):
    view = id_view(list(ids))
    assert view == View(f'select * where {text}', len(set(ids)), tuple(sorted(set(ids))))
    assert view.moved(100).img_ids == tuple(i + 100 for i in sorted(set(ids))) and view.moved(0) is view


def test_a_view_of_ids_selects_them_whatever_they_are(tmp_path):
    dataset = deeplake.create(str(tmp_path / 'd'))
    dataset.add_column('img_id', 'int64')
    dataset.append({'img_id': np.arange(-50, 200)})
    chance = np.random.default_rng(1)
    for count in (1, 2, 10, 40, 250):
        ids = chance.choice(np.arange(-50, 200), count, replace=False)
        assert dataset.query(id_view(ids.tolist()).query)['img_id'][:].tolist() == sorted(ids.tolist())


def test_a_saved_view_names_its_columns_so_that_deep_lake_keeps_a_query(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    tag = deeplake.open_read_only(str(tmp_path / 'out')).tags['train']
    assert tag.query.startswith('select "images", "img_id", ') and tag.query.endswith('where "split" == \'train\'')
    assert tag.message.strip() == '5 rows'
    assert split_view('a', 1).naming(['x']) == 'select "x" where "split" == \'a\''
    assert View('select y from (select * where z)', 1).naming(['x']) == 'select y from (select * where z)'
