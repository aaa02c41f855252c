"""Bad input is refused with a message that names the file, what is wrong and what to do; nothing is left behind."""

from __future__ import annotations

import json
import re

import pytest

from deeplake_mmdet.convert import convert_coco, convert_voc
from deeplake_mmdet.errors import ConversionError


def set_in(*keys_and_value):
    """A change of a document: ``set_in('images', 0, 'id', 5)``."""
    *path, key, value = keys_and_value

    def change(document):
        for step in path:
            document = document[step]
        document[key] = value

    return change


def remove(*path_and_key):
    *path, key = path_and_key

    def change(document):
        for step in path:
            document = document[step]
        del document[key]

    return change


DOCUMENTS = {
    'no images': (remove('images'), r"a list of objects 'images', but got none"),
    'no annotations': (remove('annotations'), r"a list of objects 'annotations'.*an empty list of annotations"),
    'categories by name': (set_in('categories', {'a': 1}), r"a list of objects 'categories', but got dict"),
    'an image that is a number': (set_in('images', 1, 3), r"a list of objects 'images'"),
    'an empty file': (set_in('images', []), r'at least one image, but got an empty list'),
    'no category': (set_in('categories', []), r'at least one category, but got an empty list\. Add the classes'),
    'a duplicate image id': (set_in('images', 1, 'id', 42), r'image ids to be unique, but got 42 twice'),
    'an image id of text': (set_in('images', 1, 'id', '3'), r"an integer id for image number 1, but got '3'"),
    'an image id of 64 bits and more': (set_in('images', 1, 'id', 2**63), r'an integer id for image number 1'),
    'an id that crashes Deep Lake': (
        set_in('categories', 0, 'id', -(2**63)),
        r'an integer id for category number 0, but got -9223372036854775808',
    ),
    'a duplicate annotation id': (set_in('annotations', 2, 'id', 12), r'annotation ids to be unique, but got 12 twice'),
    'an annotation without id': (
        remove('annotations', 1, 'id'),
        r'an integer id for annotation number 1, but got None',
    ),
    'a duplicate category id': (set_in('categories', 2, 'id', 7), r'category ids to be unique, but got 7 twice'),
    'a duplicate class name': (
        set_in('categories', 2, 'name', 'train'),
        r"category 18 .*name of its own, but got 'train'",
    ),
    'a category without name': (
        remove('categories', 0, 'name'),
        r'category 90 to have a name of its own, but got None',
    ),
    'a supercategory that is no text': (
        set_in('categories', 0, 'supercategory', 3),
        r'category 90 .*supercategory.*got 3',
    ),
    'an undeclared category': (
        set_in('annotations', 0, 'category_id', 1),
        r'annotation 1001 .*category_id.*but got 1\. ',
    ),
    'an unknown image': (
        set_in('annotations', 0, 'image_id', 1),
        r'annotation 1001 .*image_id.*but got 1\. Add the image',
    ),
    'a bbox of three': (set_in('annotations', 0, 'bbox', [1, 2, 3]), r'annotation 1001 .*bbox of 4.*\[1, 2, 3\]'),
    'a bbox with NaN': (set_in('annotations', 0, 'bbox', [1, 2, 3, float('nan')]), r'bbox of 4 finite numbers.*nan'),
    'a bbox with infinity': (
        set_in('annotations', 0, 'bbox', [1, 2, float('inf'), 4]),
        r'bbox of 4 finite numbers.*inf',
    ),
    'a bbox of texts': (
        set_in('annotations', 0, 'bbox', ['1', 2, 3, 4]),
        r'annotation 1001 .*bbox of 4 finite numbers',
    ),
    'no bbox': (remove('annotations', 0, 'bbox'), r'annotation 1001 .*bbox of 4 finite numbers, but got None'),
    'no area': (
        remove('annotations', 0, 'area'),
        r'annotation 1001 .*finite area of 0 or more, but got None\. Evaluation needs it',
    ),
    'a mask of texts': (set_in('annotations', 0, 'segmentation', [['a']]), r'annotation 1001 .*list of rings'),
    'a mask with NaN': (
        set_in('annotations', 0, 'segmentation', [[float('nan')]]),
        r'annotation 1001 .*finite numbers',
    ),
    'an RLE without size': (
        set_in('annotations', 1, 'segmentation', {'counts': 'x'}),
        r'annotation 12 .*counts and size',
    ),
    'a height of 0': (set_in('images', 0, 'height', 0), r'image 42 to have a positive integer height, but got 0'),
    'a width of text': (set_in('images', 0, 'width', '60'), r"image 42 .*positive integer width, but got '60'"),
    'an absolute path': (set_in('images', 0, 'file_name', '/etc/passwd'), r"relative .*'/etc/passwd'.*Nothing outside"),
    'a path that climbs': (set_in('images', 0, 'file_name', 'sub/../../x.jpg'), r"relative .*'sub/\.\./\.\./x\.jpg'"),
    'a path that climbs on Windows': (set_in('images', 0, 'file_name', '..\\x.jpg'), r'relative to the folder'),
    'a drive': (
        set_in('images', 0, 'file_name', 'C:x.jpg'),
        r"relative to the folder of the images, but got 'C:x\.jpg'",
    ),
    'no file name': (remove('images', 0, 'file_name'), r"relative to the folder of the images, but got ''"),
    'a missing image': (
        set_in('images', 0, 'file_name', 'gone.jpg'),
        r'1 missing: .*gone\.jpg.*Put the files',
    ),
}


@pytest.mark.parametrize('case', DOCUMENTS)
def test_a_coco_file_is_refused_with(case, coco, tmp_path):
    change, message = DOCUMENTS[case]
    path, folder, _ = coco(change)
    with pytest.raises(ConversionError, match=message) as error:
        convert_coco(path, tmp_path / 'out', images=folder)
    assert str(path) in str(error.value)
    assert sorted(item.name for item in tmp_path.iterdir()) == ['images', path.name]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'{"images": [{"id": 1,', r'instances_train\.json.*complete JSON document, but got .*line 1 column 22'),
        (
            b'{"images": "\xff\xfe"}',
            r'complete JSON document, but got no UTF-8 \(invalid start byte\): line 1 column 13 \(byte 12\)',
        ),
        (b'[' * 100_000, r'complete JSON document, but got maximum recursion depth'),
        (b'[]', r"a JSON object with a list of objects 'images', but got list"),
        (b'', r'complete JSON document.*get it again'),
    ],
)
def test_a_file_that_is_no_whole_json_document_is_refused_with_the_position(content, message, coco, tmp_path):
    path, folder, _ = coco()
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        convert_coco(path, tmp_path / 'out', images=folder)
    assert not (tmp_path / 'out').exists()


def test_a_missing_annotation_file_is_refused(tmp_path):
    with pytest.raises(ConversionError, match=r'gone\.json.*readable file, but got No such file.*Correct the path'):
        convert_coco(tmp_path / 'gone.json', tmp_path / 'out', images=tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', r"a\.jpg' to be an image .*starts with b''"),
        (b'<html>Not found</html>', r"a\.jpg' to be an image \(jpeg, png, .*starts with b'<html>No'"),
        (
            b'\x89PNG\r\n\x1a\n cut off',
            r"a\.jpg' to be an image, but got bytes that cannot be decoded\. Replace the file",
        ),
    ],
)
def test_a_file_that_is_no_image_is_refused(content, message, coco, tmp_path):
    path, folder, _ = coco()
    (folder / 'a.jpg').write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        convert_coco(path, tmp_path / 'out', images=folder)
    assert sorted(item.name for item in tmp_path.iterdir()) == ['images', path.name]


@pytest.mark.parametrize('name', ['main', 'a b', "it's", 'a/b', 'a@b', '', '-x'])
def test_a_split_name_that_some_tool_would_misread_is_refused(name, coco, tmp_path):
    path, folder, _ = coco()
    with pytest.raises(ConversionError, match=rf'\(split=\) expected a name .*but got {re.escape(repr(name))}'):
        convert_coco(path, tmp_path / 'out', images=folder, split=name)


def test_a_destination_that_is_no_dataset_is_never_replaced(coco, tmp_path):
    path, folder, _ = coco()
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/thesis.tex').write_text('years of work')
    for overwrite in (False, True):
        with pytest.raises(ConversionError, match=r'a free path, but got .*no Deep Lake dataset'):
            convert_coco(path, tmp_path / 'out', images=folder, overwrite=overwrite)
    assert (tmp_path / 'out/thesis.tex').read_text() == 'years of work'


def test_a_destination_that_could_not_be_read_again_is_refused(coco, tmp_path):
    path, folder, _ = coco()
    with pytest.raises(ConversionError, match=r'no @ in the path'):
        convert_coco(path, tmp_path / 'a@b', images=folder)
    assert not (tmp_path / 'a@b').exists()


def test_a_destination_under_a_file_is_refused(coco, tmp_path):
    path, folder, _ = coco()
    with pytest.raises(ConversionError, match=r'a folder that can be written, but got .*out'):
        convert_coco(path, path / 'out', images=folder)


def test_a_dataset_behind_a_link_is_replaced_where_it_is(coco, rows, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'real', images=folder)
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    convert_coco(path, tmp_path / 'link', images=folder, split='again', overwrite=True)
    assert rows(tmp_path / 'real')[0]['split'] == 'again' and (tmp_path / 'link').is_symlink()
    assert sorted(item.name for item in tmp_path.iterdir()) == ['images', path.name, 'link', 'real']


def test_a_destination_that_holds_the_source_is_never_replaced(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    path = path.rename(tmp_path / 'out/inside.json')
    with pytest.raises(ConversionError, match=r'a folder of its own, but got .*it holds .*inside\.json'):
        convert_coco(path, tmp_path / 'out', images=folder, overwrite=True)
    assert json.loads(path.read_text())


TREES = {
    'a truncated XML file': (
        'Annotations/a.xml',
        '<annotation><object>',
        r'a complete XML document in .*a\.xml.*line 1',
    ),
    'no annotation': ('Annotations/a.xml', None, r'an annotation in .*a\.xml.*No such file.*--split'),
    'a corner missing': (
        'Annotations/a.xml',
        '<a><object><name>x</name><bndbox><xmin>1</xmin></bndbox></object></a>',
        r"4 finite numbers in every object in .*a\.xml.*'xmin': '1', 'ymin': ''",
    ),
    'a corner of NaN': (
        'Annotations/a.xml',
        '<a><object><name>x</name><bndbox><xmin>nan</xmin><ymin>1</ymin>'
        '<xmax>2</xmax><ymax>3</ymax></bndbox></object></a>',
        r"4 finite numbers .*'xmin': 'nan'",
    ),
    'a box of negative size': (
        'Annotations/a.xml',
        '<a><object><name>x</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>2</xmax><ymax>3</ymax></bndbox></object></a>',
        r"xmin and ymin to be the smaller ones .*a\.xml.*'xmin': '9'",
    ),
    'an object without name': (
        'Annotations/a.xml',
        '<a><object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object></a>',
        r'a name in every object in .*a\.xml',
    ),
    'an odd size': (
        'Annotations/a.xml',
        '<annotation><size><height>many</height></size></annotation>',
        r"positive integer height .*'many'",
    ),
    'another format': (
        'Annotations/a.xml',
        '<annotations><image id="0"><box label="x"/></image></annotations>',
        r"the objects in <annotation> in .*a\.xml', but got <annotations>\. Give the files of PASCAL VOC",
    ),
    'a namespace': ('Annotations/a.xml', '<annotation xmlns="x"><object/></annotation>', r'but got <\{x\}annotation>'),
    'another encoding': (
        'Annotations/a.xml',
        '<?xml version="1.0" encoding="GBK"?><annotation/>',
        r'multi-byte encodings are not supported.*save it as UTF-8',
    ),
    'a list of which a line is flagged': (
        'ImageSets/Main/val.txt',
        'c\nd  1\n',
        r"plain image ids in .*val\.txt', but got 'd  1'",
    ),
    'no image': ('JPEGImages/a.jpg', None, r'5 image files, but got 1 missing: .*JPEGImages/a\.jpg'),
    'an id twice': ('ImageSets/Main/val.txt', 'c\nc\n', r"each image id once in .*val\.txt.*'c' twice"),
    'an id that climbs': ('ImageSets/Main/val.txt', '../c\n', r"plain image ids in .*val\.txt.*'\.\./c'"),
    'an absolute id': ('ImageSets/Main/val.txt', '/c\n', r"plain image ids in .*val\.txt.*'/c'"),
}


@pytest.mark.parametrize('case', TREES)
def test_a_voc_tree_is_refused_with(case, voc, tmp_path):
    file, content, message = TREES[case]
    (voc / file).unlink()
    if content is not None:
        (voc / file).write_text(content)
    with pytest.raises(ConversionError, match=message):
        convert_voc(voc, tmp_path / 'out')
    assert [item.name for item in tmp_path.iterdir()] == ['VOC']


def test_a_flag_that_is_no_flag_is_refused(voc, tmp_path):
    path = voc / 'Annotations/a.xml'
    path.write_text(path.read_text().replace('<difficult>1<', '<difficult>yes<'))
    with pytest.raises(ConversionError, match=r"0 or 1 as difficult in .*a\.xml.*'yes'"):
        convert_voc(voc, tmp_path / 'out')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'classes': ['dog', 'cat']}, r"only objects of the classes .* in .*d\.xml', but got 'ant'\. Add the class"),
        ({'classes': ['dog', 'dog']}, r"\(classes=\) expected different names, but got \['dog', 'dog'\]"),
        ({'classes': []}, r'\(classes=\) expected different names, but got \[\]'),
        (
            {'splits': ['tset']},
            r'a list of image ids in .*tset\.txt.*Choose a split that is there: dog_train, test, train',
        ),
        ({'splits': ['dog_train']}, r"plain image ids in .*dog_train\.txt.*'a  1'"),
        ({'splits': []}, r'files that list image ids in .*Main'),
    ],
)
def test_a_voc_option_is_refused_with_the_choices(options, message, voc, tmp_path):
    with pytest.raises(ConversionError, match=message):
        convert_voc(voc, tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


def test_a_tree_without_any_object_asks_for_the_classes(voc, rows, tmp_path):
    for path in (voc / 'Annotations').iterdir():
        path.write_text('<annotation/>')
    with pytest.raises(ConversionError, match=r'at least one object, but got none .*--classes'):
        convert_voc(voc, tmp_path / 'out')
    convert_voc(voc, tmp_path / 'out', classes=['dog'])
    assert len(rows(tmp_path / 'out')) == 5
