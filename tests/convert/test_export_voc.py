"""Deep Lake to PASCAL VOC: round trips of whole trees, and what MMDetection's own reader makes of what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.dom import minidom

import numpy as np
import pytest
from deeplake import types
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplake_mmdet.convert import convert_voc, export_voc
from deeplake_mmdet.errors import ConversionError
from tests.convert.convert_files import VOC_SIZE, voc_object, write_image
from tests.support.datasets import png

CLASSES = ['ant', 'cat & "dog"', 'ünï <x>']


def read_xml(path: Path) -> dict[str, Any]:
    """What an annotation says that a dataset keeps, by minidom."""

    def text(node: Any, tag: str) -> str:
        return node.getElementsByTagName(tag)[0].firstChild.data

    document = minidom.parse(str(path))
    return {
        'size': [int(text(document, tag)) for tag in ('width', 'height')],
        'objects': [
            (
                text(item, 'name'),
                *(float(text(item, tag)) for tag in ('xmin', 'ymin', 'xmax', 'ymax')),
                *(int(text(item, tag)) for tag in ('difficult', 'truncated')),
            )
            for item in document.getElementsByTagName('object')
        ],
    }


def read_tree(root: Path) -> tuple[dict[str, list[str]], dict[str, Any], dict[str, bytes]]:
    """The sorted ids of each split, and the annotation and the image of each id."""
    splits = {path.stem: sorted(path.read_text().splitlines()) for path in (root / 'ImageSets/Main').glob('*.txt')}
    ids = {image_id for listed in splits.values() for image_id in listed}
    return (
        splits,
        {image_id: read_xml(root / f'Annotations/{image_id}.xml') for image_id in ids},
        {image_id: (root / f'JPEGImages/{image_id}.jpg').read_bytes() for image_id in ids},
    )


@st.composite
def objects(draw):
    """The XML of one object in an image of 40 x 60 pixels."""
    left, right = sorted((draw(st.integers(1, 60)), draw(st.integers(1, 60))))
    top, bottom = sorted((draw(st.integers(1, 40)), draw(st.integers(1, 40))))
    flags = f'<difficult>{draw(st.integers(0, 1))}</difficult><truncated>{draw(st.integers(0, 1))}</truncated>'
    name = draw(st.sampled_from(CLASSES)).replace('&', '&amp;').replace('<', '&lt;')
    return voc_object(name, left, top, right, bottom, flags=flags)


IDS = ['a', 'b', 'c_d', 'sub/e']
TREES = st.tuples(
    st.dictionaries(st.sampled_from(IDS), st.lists(objects(), max_size=4), min_size=1),
    st.dictionaries(st.sampled_from(['train', 'val', 'trainval']), st.sets(st.sampled_from(IDS)), min_size=1),
)


def write_tree(root: Path, annotations: Mapping[str, list[str]], splits: Mapping[str, Any]) -> list[str]:
    """Writes a tree with those ids of the splits that are annotated; gives the splits that are not empty then."""
    for image_id, items in annotations.items():
        write_image(root / f'JPEGImages/{image_id}.jpg', 40, 60)
        path = root / f'Annotations/{image_id}.xml'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<annotation>{VOC_SIZE.format(40, 60)}{"".join(items)}</annotation>')
    (root / 'ImageSets/Main').mkdir(parents=True)
    lists = {split: sorted(set(ids) & set(annotations)) for split, ids in splits.items()}
    for split, ids in lists.items():
        if ids:
            (root / f'ImageSets/Main/{split}.txt').write_text('\n'.join(ids))
    return [split for split, ids in lists.items() if ids]


@settings(max_examples=25)
@given(tree=TREES)
def test_any_tree_comes_back_as_it_was(tree, tmp_path):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    splits = write_tree(folder / 'voc', *tree)
    if not splits:
        return
    convert_voc(folder / 'voc', folder / 'dataset', classes=CLASSES)
    report = export_voc(folder / 'dataset', folder / 'again', splits=splits)
    assert read_tree(folder / 'again') == read_tree(folder / 'voc')
    assert report.noted == {}


def test_everything_that_is_kept_of_a_tree_comes_back(voc, tmp_path):
    report = convert_voc(voc, tmp_path / 'dataset')
    export_voc(tmp_path / 'dataset', tmp_path / 'again', splits=list(report.views))
    again = read_xml(tmp_path / 'again/Annotations/a.xml')
    assert again == {'size': [60, 40], 'objects': [('dog', 1, 1, 30, 20, 1, 1), ('cat', 48, 8, 60, 40, 0, 0)]}
    for name in 'abcde':
        image = f'JPEGImages/{name}.jpg'
        assert (tmp_path / 'again' / image).read_bytes() == (voc / image).read_bytes()
    lists = {path.name: path.read_text() for path in (tmp_path / 'again/ImageSets/Main').iterdir()}
    assert lists == {'train.txt': 'd\na\n', 'val.txt': 'c\n', 'test.txt': 'e\nb\n', 'trainval.txt': 'd\na\nc\n'}
    text = (tmp_path / 'again/Annotations/b.xml').read_text()
    assert '<filename>b.jpg</filename>' in text and '<depth>3</depth>' in text


def test_mmdetection_reads_the_same_from_the_export_as_from_the_tree(voc, tmp_path):
    from mmdet.datasets import XMLDataset

    convert_voc(voc, tmp_path / 'dataset')
    report = export_voc(f'{tmp_path}/dataset@train', tmp_path / 'again')
    hint: dict[str, Any] = eval(f'dict({report.hint})')  # what the report says must work as it is
    assert hint.pop('type') == 'XMLDataset'
    source = XMLDataset(**(hint | {'data_root': str(voc)}))
    again = XMLDataset(**hint)

    def samples(dataset):
        found = [dataset.get_data_info(k) for k in range(len(dataset))]
        return {i['img_id']: (i['height'], i['width'], i['instances']) for i in found}

    assert samples(again) == samples(source) and len(again) == 2


def flags(*values):
    return np.array(values, 'uint8')


def three_boxes(make_dataset, *boxes, **more):
    """A dataset of one row of three boxes of left, top, width and height, and further columns by name."""
    return make_dataset(
        'd',
        1,
        types={'boxes': types.BoundingBox('float64', 'ltwh', 'pixel')} | {k: kind for k, (kind, _) in more.items()},
        values={'boxes': [np.array(boxes or [[1, 2, 3, 4]] * 3, 'float64')], 'categories': [flags(0, 1, 1)]}
        | {k: [value] for k, (_, value) in more.items()},
        metadata={'masks': {'format': 'coco_segmentation'}} if 'masks' in more else None,
    )


def test_boxes_between_pixels_stay_decimals_and_are_counted(make_dataset, tmp_path):
    report = export_voc(three_boxes(make_dataset, [1, 2, 3, 4], [0.5, 0, 2, 2], [1, 1, 1.25, 1]), tmp_path / 'e')
    found = read_xml(tmp_path / 'e/Annotations/main_000000.xml')['objects']
    assert [item[1:5] for item in found] == [(2, 3, 5, 7), (1.5, 1, 3.5, 3), (2, 2, 3.25, 3)]
    assert '<xmin>2</xmin>' in (tmp_path / 'e/Annotations/main_000000.xml').read_text()
    assert report.noted['boxes between pixels, written as decimals, which VOC tools truncate'] == 2


def test_crowds_and_ignored_objects_become_difficult_and_are_counted(make_dataset, tmp_path):
    array = types.Array('uint8', 1)
    more = dict(iscrowd=(array, flags(1, 0, 0)), ignore=(array, flags(0, 1, 0)), difficult=(array, flags(0, 1, 0)))
    report = export_voc(three_boxes(make_dataset, **more), tmp_path / 'e')
    assert [item[5:] for item in read_xml(tmp_path / 'e/Annotations/main_000000.xml')['objects']] == [
        (1, 0),
        (1, 0),
        (0, 0),
    ]
    assert report.noted['crowd regions and ignored objects, written as difficult'] == 1


def test_names_that_voc_tools_cannot_use_are_counted_and_masks_are_said_to_be_left_out(make_dataset, tmp_path):
    masks = (types.Text(), json.dumps([None] * 3))
    report = export_voc(three_boxes(make_dataset, masks=masks, file_name=(types.Text(), 'a b.png')), tmp_path / 'e')
    assert report.noted == {
        "images that are not called .jpg, which MMDetection's XMLDataset does not find": 1,
        'images with a space in their id, where VOC tools split the line': 1,
    }
    assert (tmp_path / 'e/ImageSets/Main/main.txt').read_text() == 'a b\n'
    assert (tmp_path / 'e/JPEGImages/a b.png').read_bytes() == png(0)
    assert 'images with a space in their id, where VOC tools split the line: 1 (a b.png)' in report.table()
    assert report.remarks == ['columns that are not written: number, masks']


def test_a_name_that_would_break_a_list_or_an_xml_file_is_refused(make_dataset, tmp_path):
    with pytest.raises(ConversionError, match=r"row 0 expected a name without control characters .* got 'a\\nb\.jpg'"):
        export_voc(three_boxes(make_dataset, file_name=(types.Text(), 'a\nb.jpg')), tmp_path / 'e')
    with pytest.raises(ConversionError, match=r"class expected a name .* without spaces around it, but got 'cat '"):
        export_voc(make_dataset('other', 1, classes=['cat ', 'dog']), tmp_path / 'e')
    assert not (tmp_path / 'e').exists()


def test_two_images_of_one_id_are_refused(make_dataset, tmp_path):
    path = make_dataset('d', 2, types={'file_name': types.Text()}, values={'file_name': ['a.png', 'JPEGImages/a.jpg']})
    with pytest.raises(ConversionError, match=r"row 1 expected a name of its own.*another image of the split is 'a'"):
        export_voc(path, tmp_path / 'e')


def test_an_image_that_is_another_one_in_another_split_is_refused(make_dataset, tmp_path):
    import deeplake

    path = make_dataset('d', 2, types={'file_name': types.Text()}, values={'file_name': ['a.png', 'a.png']})
    for row, name in enumerate(['train', 'val']):
        deeplake.open(path).query(f'select * where number = {row}').tag(name)
    with pytest.raises(ConversionError, match=r"split 'val', row 0 expected a file name of its own, but got 'a\.xml'"):
        export_voc(path, tmp_path / 'e', splits=['train', 'val'])
    assert not (tmp_path / 'e').exists()


def test_annotations_can_be_written_without_images(voc, tmp_path):
    convert_voc(voc, tmp_path / 'dataset')
    export_voc(tmp_path / 'dataset', tmp_path / 'e', images=False)
    assert not (tmp_path / 'e/JPEGImages').exists()
    assert read_xml(tmp_path / 'e/Annotations/b.xml') == {'size': [60, 41], 'objects': []}
    assert 'depth' not in (tmp_path / 'e/Annotations/b.xml').read_text()
