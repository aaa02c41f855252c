"""What a COCO file must not say is refused before anything else is looked at, by the id of its entry."""

from __future__ import annotations

import json

import pytest

from deeplake_mmdet.convert.coco_source import CocoSource
from deeplake_mmdet.errors import ConversionError
from tests.support.coco_documents import write_coco

RING = [1, 2, 3.5, 4, 5, 6.25]
ANNOTATION = {'id': 5, 'image_id': 1, 'category_id': 2, 'bbox': [1, 2, 3, 4], 'area': 12, 'iscrowd': 0}
NAN, INFINITY = float('nan'), float('inf')


def document(**changes):
    """A file of two images and two annotations, the second of which is changed; and its other lists."""
    other = {'id': 6, 'image_id': 1} | {key: ANNOTATION[key] for key in ('category_id', 'bbox', 'area')}
    images = [{'id': 1, 'file_name': 'a.png', 'height': 20, 'width': 30}, {'id': 3, 'file_name': 'b.png'}]
    plain = {'annotations': [ANNOTATION, other], 'images': images, 'categories': [{'id': 2, 'name': 'c'}]}
    return {**plain, **changes}


def changed(**annotation):
    found = document()
    found['annotations'][1] = found['annotations'][1] | annotation
    return found


def with_image(**image):
    found = document()
    found['images'][1] = found['images'][1] | image
    return found


def with_category(**category):
    return document(categories=[{'id': 2, 'name': 'c', **category}])


REFUSED = {
    'a negative width': (
        changed(bbox=[9, 9, -3, 4]),
        r'annotation 6 to have a bbox of left, top, width and height, but got a negative size, \[9, 9, -3, 4\]\. .*up',
    ),
    'a negative height': (changed(bbox=[9, 9, 3, -0.5]), r'annotation 6 .*a negative size, \[9, 9, 3, -0\.5\]'),
    'a number that no float64 holds': (changed(bbox=[2**53 + 1, 0, 1, 1]), r'annotation 6 .*bbox of 4 finite numbers'),
    'a number of thousands of bits': (changed(area=2**2000), r'annotation 6 .*finite area of 0 or more'),
    'a negative area': (
        changed(area=-1),
        r'annotation 6 to have a finite area of 0 or more, but got -1\. .*area of its',
    ),
    'an area of NaN': (changed(area=NAN), r'annotation 6 .*finite area of 0 or more, but got nan'),
    'a true area': (changed(area=True), r'annotation 6 .*finite area of 0 or more, but got True'),
    'no area': (document(annotations=[{**ANNOTATION, 'area': None}]), r'annotation 5 .*finite area .*but got None'),
    'a crowd of 2': (changed(iscrowd=2), r'annotation 6 to have iscrowd 0 or 1, but got 2'),
    'a crowd of text': (changed(iscrowd='0'), r"annotation 6 to have iscrowd 0 or 1, but got '0'"),
    'a crowd of a list': (changed(iscrowd=[]), r'annotation 6 to have iscrowd 0 or 1, but got \[\]'),
    'an odd ignore': (changed(ignore=0.5), r'annotation 6 to have ignore 0 or 1, but got 0\.5'),
    'two numbers a keypoint': (changed(keypoints=[1, 2]), r'annotation 6 .*keypoints .* x, y, v, .*but got \[1, 2\]'),
    'a keypoint of NaN': (changed(keypoints=[1, 2, NAN]), r'annotation 6 .*keypoints of finite numbers'),
    'keypoints of text': (changed(keypoints='abc'), r"annotation 6 .*keypoints .*but got 'abc'"),
    'NaN in another field': (
        changed(score=[NAN]),
        r'annotation 6 to hold what JSON can say, but got Out of range float',
    ),
    'infinity in another field': (
        with_image(date=-INFINITY),
        r'image 3 to hold what JSON can say, but got Out of range',
    ),
    'infinity of a category': (with_category(color=INFINITY), r'category 2 to hold what JSON can say'),
    'NaN on top': (document(info={'year': NAN}), r'each top-level key to hold what JSON can say'),
    'an image id of many bits': (
        changed(image_id=2**63),
        r"annotation 6 to have the image_id of an entry of 'images', but got 9223",
    ),
    'half a character as a file name': (
        with_image(file_name='\ud800.png'),
        r"image 3 .*valid text, but got '\\ud800\.png'",
    ),
    'half a character as a class': (with_category(name='\ud800'), r"category 2 .*name of its own, but got '\\ud800'"),
    'half a character as a supercategory': (
        with_category(supercategory='\ud800'),
        r'category 2 .*text as supercategory',
    ),
    'run lengths of another image': (
        changed(segmentation={'size': [30, 20], 'counts': [0, 600]}),
        r'annotation 6 has a segmentation that cannot be drawn: .*of its image, \(20, 30\) .*, but got \(30, 20\)',
    ),
    'run lengths of a size of many bits': (
        changed(segmentation={'size': [2**70, 0], 'counts': [0]}),
        r'annotation 6 has a segmentation .*of its image, \(20, 30\)',
    ),
    'a name that leads out, behind many that do not': (
        with_image(file_name='x/../../b.png'),
        r'relative to the folder',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_a_file_is_refused_with(case, tmp_path):
    whole, message = REFUSED[case]
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(whole))
    with pytest.raises(ConversionError, match=message) as error:
        CocoSource(path, tmp_path, 'train')
    assert str(error.value).startswith(f'convert_coco(ann_file={str(path)!r})')


@pytest.mark.parametrize('field', ['"score": 1e999', '"score": {"deep": [-1e999]}'])
def test_a_number_too_large_for_a_float_is_refused_and_not_kept_as_infinity(field, tmp_path):
    path = write_coco(document(), tmp_path)
    path.write_text(path.read_text().replace('"iscrowd": 0', f'"iscrowd": 0, {field}'))
    with pytest.raises(ConversionError, match=r'annotation 5 to hold what JSON can say, but got Out of range'):
        CocoSource(path, tmp_path, 'train')


def test_fields_too_deep_to_be_written_again_are_refused(tmp_path):
    path = write_coco(document(), tmp_path)
    deep = '[' * 900 + ']' * 900
    path.write_text(path.read_text().replace('"iscrowd": 0', f'"iscrowd": 0, "score": {deep}'))
    try:
        CocoSource(path, tmp_path, 'train')
    except ConversionError as error:
        assert 'recursion' in str(error)


@pytest.mark.parametrize('name', ['images', 'annotations', 'categories'])
def test_a_key_that_is_given_twice_is_refused_with_its_place(name, tmp_path):
    path = write_coco(document(), tmp_path)
    text = path.read_text()
    place = text.index('{"id"', text.index(name))
    path.write_text(text[: place + 1] + '"id": 7, ' + text[place + 1 :])
    with pytest.raises(ConversionError, match=rf"the key 'id' twice in one object: line 1 .*\(byte {place}\)"):
        CocoSource(path, tmp_path, 'train')


def test_a_fault_is_found_behind_thousands_of_annotations(tmp_path):
    many = [ANNOTATION | {'id': number, 'segmentation': [RING]} for number in range(5000)]
    many[4321] = many[4321] | {'segmentation': [RING[:5]]}
    path = write_coco(document(annotations=many), tmp_path)
    with pytest.raises(
        ConversionError, match=r'annotation 4321 has a segmentation .*pairs of x and y, but got one of 5'
    ):
        CocoSource(path, tmp_path, 'train')
    many[4321] = many[4321] | {'segmentation': [RING], 'id': 17}
    write_coco(document(annotations=many), tmp_path)
    with pytest.raises(ConversionError, match=r'annotation ids to be unique, but got 17 twice'):
        CocoSource(path, tmp_path, 'train')
