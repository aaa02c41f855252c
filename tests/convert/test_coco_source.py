"""A COCO file as a source of rows: every value of any file is in one, however small a part of the file is in memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplake_mmdet.convert import json_window
from deeplake_mmdet.convert.coco_source import CocoSource
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.schema import image_columns, image_values
from deeplake_mmdet.errors import ConversionError
from tests.support.coco_documents import SIZE_HW, STYLES, by_id, coco_documents, document_of, write_coco

SETTINGS = settings(max_examples=100)
RING = [1, 2, 3.5, 4, 5, 6.25]


def rows_of(source):
    """The rows of a source, every value checked by its column."""
    columns = source.columns(image_columns())
    for position in range(len(source)):
        entry = source.entry(position)
        size_hw = (entry.height or SIZE_HW[0], entry.width or SIZE_HW[1])
        values = source.values(position, size_hw, ConversionReport('', source.class_names))
        row = image_values(b'picture', entry.img_id, size_hw, entry.file_name, entry.split) | values
        for column in columns:
            column.check(row[column.name])
        yield {column.name: row[column.name] for column in columns}


def read(path, size=2**17):
    """The columns and the document of a file, read with windows of a size."""
    json_window.SIZE, before = size, json_window.SIZE
    try:
        with CocoSource(path, path.parent / 'images', 'train') as source:
            columns = {column.name: column for column in source.columns(image_columns())}
            labels, top_level = columns['categories'].metadata, source.metadata.get('coco:train', '{}')
            return columns, document_of(labels, top_level, rows_of(source))
    finally:
        json_window.SIZE = before


@SETTINGS
@given(document=coco_documents(), style=STYLES, size=st.sampled_from([1, 50, 2**17]))
def test_any_file_is_in_the_rows_and_the_metadata(document, style, size, tmp_path):
    path = write_coco(document, tmp_path, **style)
    assert by_id(read(path, size)[1]) == by_id(document)


def small(**annotation):
    """A document of one image and one annotation, changed."""
    plain = {'id': 5, 'image_id': 1, 'category_id': 2, 'bbox': [1, 2, 3, 4], 'area': 12, 'iscrowd': 0}
    return {
        'images': [{'id': 1, 'file_name': 'a.png', 'height': 20, 'width': 30}],
        'annotations': [{key: value for key, value in (plain | annotation).items() if value != 'gone'}],
        'categories': [{'id': 2, 'name': 'c', 'supercategory': 's'}],
    }


@pytest.mark.parametrize(
    ('annotation', 'more'),
    [
        ({}, set()),
        ({'segmentation': [RING]}, {'masks'}),
        ({'segmentation': []}, {'annotation_fields'}),
        ({'segmentation': None}, {'annotation_fields'}),
        ({'segmentation': [[]]}, {'masks'}),
        ({'keypoints': [1, 2, 2], 'num_keypoints': 1}, {'keypoints', 'annotation_fields'}),
        ({'keypoints': []}, {'annotation_fields'}),
        ({'ignore': 1}, {'ignore'}),
        ({'ignore': 0}, {'annotation_fields'}),
        ({'iscrowd': True}, {'annotation_fields'}),
        ({'iscrowd': 'gone'}, {'annotation_fields'}),
        ({'score': 0.5}, {'annotation_fields'}),
        ({'attributes': {'segmentation': [RING]}, 'segmentation': [RING]}, {'masks', 'annotation_fields'}),
    ],
)
def test_a_column_is_there_for_what_is_in_the_file_and_no_other(annotation, more, tmp_path):
    document = small(**annotation)
    columns, found = read(write_coco(document, tmp_path))
    plain = {'images', 'img_id', 'height', 'width', 'file_name', 'split', 'boxes', 'categories', 'areas', 'ann_ids'}
    assert columns.keys() == plain | {'iscrowd'} | more
    assert by_id(found) == by_id(document)


def test_masks_are_the_texts_of_the_file_without_white_space(tmp_path):
    path = write_coco(small(segmentation=[RING, [1e-07, 2, 3, 4, 5, 6]]), tmp_path, indent=2)
    with CocoSource(path, tmp_path / 'images', 'train') as source:
        assert next(rows_of(source))['masks'] == '[[[1,2,3.5,4,5,6.25],[1e-07,2,3,4,5,6]]]'


def test_run_lengths_are_compared_with_the_size_of_an_image_that_states_none(tmp_path):
    document = small(segmentation={'size': [20, 30], 'counts': [0, 600]})
    del document['images'][0]['height']
    with CocoSource(write_coco(document, tmp_path), tmp_path / 'images', 'train') as source:
        report = ConversionReport('', source.class_names)
        assert json.loads(source.values(0, (20, 30), report)['masks']) == [{'size': [20, 30], 'counts': [0, 600]}]
        with pytest.raises(ConversionError, match=r'annotation 5 .*of its image, \(30, 20\) .*, but got \(20, 30\)'):
            source.values(0, (30, 20), report)


def test_a_file_that_changes_between_two_rows_is_refused(tmp_path):
    path = write_coco(small(), tmp_path)
    with CocoSource(path, tmp_path / 'images', 'train') as source:
        path.write_text(path.read_text() + ' ')
        with pytest.raises(ConversionError, match=r'a\.json.* a file that stays as it is .* Convert it again'):
            source.values(0, (20, 30), ConversionReport('', source.class_names))


def test_images_behind_a_url_are_located_below_it(tmp_path):
    with CocoSource(write_coco(small(), tmp_path), 's3://bucket/folder/', 'train') as source:
        assert source.entry(0).location == 's3://bucket/folder/a.png'
    document = small()
    document['images'][0]['file_name'] = '../a.png'
    with pytest.raises(ConversionError, match=r"relative to the folder of the images, but got '\.\./a\.png'"):
        CocoSource(write_coco(document, tmp_path / 'deep'), 's3://bucket/folder/', 'train')


def test_the_fingerprint_tells_files_folders_and_splits_apart(tmp_path):
    def fingerprint(path, images, split):
        with CocoSource(path, images, split) as source:
            return source.fingerprint

    one, other = write_coco(small(), tmp_path), write_coco(small(area=1), tmp_path / 'other')
    same = write_coco(small(), tmp_path / 'same')
    asked = [(one, 'i', 'train'), (other, 'i', 'train'), (one, 'j', 'train'), (one, 'i', 'val')]
    assert len({fingerprint(*arguments) for arguments in asked}) == 4
    assert fingerprint(same, 'i', 'train') == fingerprint(one, 'i', 'train')
