"""Rows added to a finished dataset: all or none of them, under ids, classes and columns that fit what is there."""

from __future__ import annotations

import cv2
import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.convert import convert_coco, convert_voc, convert_yolo
from deeplake_mmdet.convert.clock import Clock
from deeplake_mmdet.errors import ConversionError, SourceError
from deeplake_mmdet.source.handle import SourceHandle
from tests.convert.convert_files import write_image
from tests.support.importing import contents


def moved(document, by=10**6):
    """Gives images and annotations of a document other ids."""
    for image in document['images']:
        image['id'] += by
    for annotation in document['annotations']:
        annotation['id'] += by
        annotation['image_id'] += by


def changed(*changes):
    def change(document):
        moved(document)
        for each in changes:
            each(document)

    return change


@pytest.fixture
def first(coco, tmp_path):
    """A dataset of the split 'train'."""
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    return tmp_path / 'out'


def add(coco, dst, change=moved, **options):
    path, folder, _ = coco(change)
    return convert_coco(path, dst, images=folder, **{'split': 'val', 'append': True, **options})


def test_both_splits_are_there_each_with_its_view_and_its_rows_as_they_were(coco, first, rows, tmp_path):
    before = contents(str(first))
    report = add(coco, first)
    after = contents(str(first))
    assert after['rows'][:5] == before['rows'] and len(after['rows']) == 10
    assert [row['img_id'] - 10**6 for row in after['rows'][5:]] == before['views']['train']
    assert after['views'] == {'train': before['views']['train'], 'val': [i + 10**6 for i in before['views']['train']]}
    assert (report.rows, report.views) == (5, {'val': 5})
    assert after['commits'] == [*before['commits'], 'Convert COCO file instances_train.json']
    assert after['branches'] == ['main'] and after['types'] == before['types']
    assert [row['split'] for row in rows(first, 'val')] == ['val'] * 5


def test_metadata_of_both_files_are_kept(coco, first):
    add(coco, first)
    assert deeplake.open_read_only(str(first)).metadata['source'] == {
        'format': 'coco',
        'files': ['instances_train.json'],
    }


def test_images_without_ids_of_their_own_go_on_counting(voc, rows, tmp_path):
    convert_voc(voc, tmp_path / 'out', splits=['train'], classes=['ant', 'cat', 'dog'])
    convert_voc(voc, tmp_path / 'out', splits=['test', 'val'], classes=['ant', 'cat', 'dog'], append=True)
    found = rows(tmp_path / 'out')
    assert [int(row['img_id']) for row in found] == [0, 1, 2, 3, 4]
    assert [row['file_name'][11] for row in found] == ['d', 'a', 'c', 'e', 'b']
    views = {name: [row['file_name'][11] for row in rows(tmp_path / 'out', name)] for name in ('train', 'val', 'test')}
    assert views == {'train': ['d', 'a'], 'val': ['c'], 'test': ['e', 'b']}


def test_a_view_by_ids_selects_the_added_rows_only(voc, rows, tmp_path):
    convert_voc(voc, tmp_path / 'out', splits=['test'], classes=['ant', 'cat', 'dog'])
    options = {'splits': ['train', 'val', 'trainval'], 'classes': ['ant', 'cat', 'dog']}
    report = convert_voc(voc, tmp_path / 'out', append=True, **options)
    assert [row['file_name'][11] for row in rows(tmp_path / 'out', 'trainval')] == ['d', 'a', 'c']
    assert report.views == {'train': 2, 'val': 1, 'trainval': 3}


def no_ignore(document):
    document['annotations'][3].pop('ignore')


def test_a_flag_that_the_added_file_never_sets_is_zero(coco, first, rows):
    add(coco, first, changed(no_ignore))
    assert [row['ignore'].tolist() for row in rows(first, 'val')] == [[0, 0, 0], [], [0], [0], []]


def no_masks(document):
    for annotation in document['annotations']:
        annotation.pop('segmentation', None)


def test_masks_that_the_added_file_has_none_of_are_null(coco, first, rows):
    add(coco, first, changed(no_masks))
    assert [row['masks'] for row in rows(first, 'val')] == ['[null,null,null]', '[]', '[null]', '[null]', '[]']


def rename(document):
    document['categories'][0]['name'] = 'hairbrush'


def renumber(document):
    document['categories'][2]['id'] = 19


def keypoints(document):
    document['annotations'][0]['keypoints'] = [1, 2, 2]


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (moved, {'split': 'train'}, r"views of other names .*got 'train'.*--split.*taken are \['train'\]"),
        (lambda document: None, {}, r'ids of images that are not there yet .*got 42 again'),
        (changed(rename), {}, r"class_names \['hairbrush', .*'categories' .*got \['toothbrush'"),
        (changed(renumber), {}, r"category_ids \[90, 7, 19\] .*'categories' .*got \[90, 7, 18\]"),
        (changed(keypoints), {}, r"the column 'keypoints' .*got only \['images', 'img_id'"),
        (moved, {'link': True}, r'links to images .*but got images\. Import with --link where'),
        (moved, {'overwrite': True}, r'overwrite=, append=\) expected one of them, but got both'),
    ],
)
def test_what_does_not_fit_is_refused_by_name_before_anything_is_written(change, options, message, coco, first):
    before = contents(str(first))
    with pytest.raises(ConversionError, match=message):
        add(coco, first, change, **options)
    assert contents(str(first)) == before
    assert not list(first.parent.glob('.out*'))


def test_nothing_can_be_added_to_nothing(coco, tmp_path):
    with pytest.raises(
        ConversionError, match=r"a dataset to add to, but got '.*out': there is none\. Leave out --append"
    ):
        add(coco, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_nothing_can_be_added_to_what_no_import_made(coco, make_dataset):
    with pytest.raises(ConversionError, match=r'expected the column img_id .*Only what an import made'):
        add(coco, make_dataset('bare'))


def test_boxes_of_another_form_are_told_from_those_that_are_there(first, tmp_path):
    write_image(tmp_path / 'images/val/a.jpg', 40, 80)
    (tmp_path / 'data.yaml').write_text('val: images/val\nnames: [cell]\n')
    with pytest.raises(ConversionError, match=r"'boxes' to be .*, CCWH fractional in .*, but got .*, LTWH pixel\."):
        convert_yolo(tmp_path / 'data.yaml', first, append=True)


def test_images_of_other_pixels_are_refused(coco, first, tmp_path):
    path, folder, document = coco(moved)
    for image in document['images']:
        pixels = np.zeros((image.get('height', 40), image.get('width', 50)), np.uint16)
        (folder / image['file_name']).write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    with pytest.raises(ConversionError, match=r'images of uint16 pixels .*dtype=uint8'):
        convert_coco(path, first, images=folder, split='val', append=True)


def test_others_read_the_old_rows_while_an_interrupted_import_waits_to_go_on(coco, first, monkeypatch):
    monkeypatch.setattr(Clock, 'is_due', lambda clock: True)

    def interrupt(done, total):
        if done == 4:
            raise KeyboardInterrupt

    before = contents(str(first))
    with pytest.raises(KeyboardInterrupt, match='3 of 5 images are kept'):
        add(coco, first, progress=interrupt)
    assert contents(str(first)) == before | {'branches': ['main', 'unfinished-import']}
    spec = {'deeplake_path': str(first)}
    assert len(SourceHandle.resolve(DatasetSpec.from_config(spec))) == 5
    with pytest.raises(SourceError, match='holds an unfinished import'):
        SourceHandle.resolve(DatasetSpec.from_config(spec | {'deeplake_branch': 'unfinished-import'}))
    with pytest.raises(SourceError, match='holds an unfinished import'):
        SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': f'{first}@unfinished-import'}))
    with pytest.raises(ConversionError, match=r'there is one of other files.*--restart'):
        add(coco, first, split='test')
    assert add(coco, first).resumed_at == 3
    assert contents(str(first))['views']['val'] == [i + 10**6 for i in before['views']['train']]
    assert contents(str(first))['branches'] == ['main']


def test_an_unfinished_addition_can_be_given_up(coco, first, monkeypatch):
    monkeypatch.setattr(Clock, 'is_due', lambda clock: True)

    def interrupt(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(coco, first, progress=interrupt)
    report = add(coco, first, split='test', restart=True)
    assert (report.resumed_at, list(contents(str(first))['views'])) == (None, ['test', 'train'])


def test_bad_annotations_leave_the_dataset_as_it_was(coco, first):
    before = contents(str(first))
    with pytest.raises(ConversionError, match='boxes of zero area'):
        add(coco, first, strict=True)
    assert contents(str(first)) == before


def test_a_row_that_others_commit_meanwhile_is_kept(coco, first):
    def commit(done, total):
        if done == 2:
            dataset = deeplake.open(str(first))
            row = {column.name: [dataset[column.name][0]] for column in dataset.schema.columns}
            dataset.append(row | {'images': [dataset['images'].get_bytes(0)], 'img_id': np.array([-5])})
            dataset.commit('theirs')

    add(coco, first, progress=commit)
    found = contents(str(first))
    assert sorted(row['img_id'] for row in found['rows'])[0] == -5 and len(found['rows']) == 11
    assert len(found['views']['val']) == 5


@pytest.mark.parametrize(
    ('ids', 'view', 'message'),
    [([10**6 + 42], None, r'got .*: 1000042 is there since.*--restart'), ([], 'val', r"got .*: 'val' is there since")],
)
def test_what_others_commit_meanwhile_must_not_collide(ids, view, message, coco, first):
    def commit(done, total):
        if done == 4:
            dataset = deeplake.open(str(first))
            for img_id in ids:
                row = {column.name: [dataset[column.name][0]] for column in dataset.schema.columns}
                dataset.append(row | {'images': [dataset['images'].get_bytes(0)], 'img_id': np.array([img_id])})
                dataset.commit('theirs')
            if view:
                dataset.query('select * limit 1').tag(view)

    with pytest.raises(ConversionError, match=message):
        add(coco, first, progress=commit)
    assert len(contents(str(first))['rows']) == 5 + len(ids)


def test_small_images_of_another_folder_are_added_too(coco, first, tmp_path):
    path, _, document = coco(moved)
    for image in document['images']:
        write_image(tmp_path / 'other' / image['file_name'], image.get('height', 40), image.get('width', 50))
    assert convert_coco(path, first, images=tmp_path / 'other', split='val', append=True).rows == 5
