"""Deep Lake to COCO: whole files come back equal, and CocoDataset reads in them what DeepLakeDataset reads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest
from deeplake import types
from hypothesis import given, settings

from deeplake_mmdet.convert import convert_coco, convert_voc, convert_yolo, export_coco
from deeplake_mmdet.errors import AnnotationError, ConversionError
from tests.support.coco_documents import by_id, coco_documents, write_coco
from tests.support.datasets import png
from tests.support.yolo_files import pixel_boxes, read_lines, write_tree


def written(folder: Path, split: str = 'train') -> dict[str, Any]:
    return json.loads((folder / f'annotations/instances_{split}.json').read_text())


@settings(max_examples=60)
@given(document=coco_documents())
def test_any_file_comes_back_equal(document, tmp_path):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    path = write_coco(document, folder)
    convert_coco(path, folder / 'dataset', images=folder / 'images')
    export_coco(f'{folder}/dataset@all', folder / 'again')
    assert by_id(written(folder / 'again', 'all')) == by_id(document)
    for image in document['images']:
        name = image['file_name']
        assert (folder / 'again/all' / name).read_bytes() == (folder / 'images' / name).read_bytes()


def enrich(document: dict[str, Any]) -> None:
    document['info'] = {'year': 2017, 'url': 'http://x'}
    document['licenses'] = [{'id': 3, 'name': 'BY'}]
    document['images'][0] |= {'license': 3, 'coco_url': 'http://x/a.jpg'}
    document['annotations'][0] |= {'keypoints': [1, 2, 2, 0, 0, 0], 'num_keypoints': 1, 'score': 0.5}
    document['categories'][0] |= {'keypoints': ['a', 'b'], 'skeleton': [[1, 2]]}


def test_a_file_with_everything_comes_back_and_nothing_is_noted(coco, tmp_path):
    path, folder, document = coco(enrich)
    convert_coco(path, tmp_path / 'dataset', images=folder)
    report = export_coco(f'{tmp_path}/dataset@train', tmp_path / 'again')
    again = written(tmp_path / 'again')
    assert by_id(again) == by_id(document) and list(again)[:2] == ['info', 'licenses']
    masks = {entry['id']: entry.get('segmentation') for entry in again['annotations']}
    assert repr(masks[1001]) == repr(document['annotations'][0]['segmentation']), 'ints stay ints, floats floats'
    assert report.noted == {} and report.remarks == [] and report.left_out == 0
    assert report.images == {'train': 5} and report.objects == {'toothbrush': 3, 'train': 2, 'never seen': 0}


def samples(dataset: Any) -> dict[Any, Any]:
    """What a dataset of MMDetection gives to its pipeline, by image id."""
    infos = [dataset.get_data_info(number) for number in range(len(dataset))]
    keys = ('height', 'width', 'instances')
    return {info['img_id']: {key: info[key] for key in keys} for info in infos}


def test_coco_dataset_reads_what_deep_lake_dataset_reads(voc, tmp_path):
    """Of a VOC tree, whose difficult objects both must ignore."""
    from mmdet.datasets import CocoDataset

    from deeplake_mmdet import DeepLakeDataset

    convert_voc(voc, tmp_path / 'dataset')
    report = export_coco(f'{tmp_path}/dataset@train', tmp_path / 'e')
    hint: dict[str, Any] = eval(f'dict({report.hint})')  # what the report says must work as it is
    assert hint.pop('type') == 'CocoDataset'
    ours = DeepLakeDataset(deeplake_path=f'{tmp_path}/dataset@train')
    classes = ours.metainfo['classes']
    theirs = CocoDataset(**hint, metainfo=dict(classes=classes))
    expected = samples(ours)
    assert samples(theirs) == expected and len(expected) == 2
    assert [item['ignore_flag'] for info in expected.values() for item in info['instances']] == [0, 1, 0]
    assert Path(theirs.get_data_info(0)['img_path']).read_bytes() == (voc / 'JPEGImages/d.jpg').read_bytes()
    assert report.noted == {'difficult objects, written as crowd regions': 1}
    flags = [(entry['difficult'], entry['truncated']) for entry in written(tmp_path / 'e')['annotations']]
    assert flags == [(0, 0), (1, 1), (0, 0)]


def test_fractions_become_pixels(tmp_path):
    lines = [[0, 0.5, 0.25, 0.125, 0.1], [2, 0.1, 0.2, 0.3, 0.2, 1 / 3, 0.9]]
    tree = write_tree(tmp_path / 'yolo', {'images/train/a.jpg': lines, 'images/train/b.jpg': []})
    convert_yolo(tree, tmp_path / 'dataset')
    export_coco(f'{tmp_path}/dataset@train', tmp_path / 'e')
    found = written(tmp_path / 'e')['annotations']
    boxes = np.array([entry['bbox'] for entry in found])
    boxes[:, 2:] += boxes[:, :2]
    expected = pixel_boxes(read_lines(tmp_path / 'yolo/images/train/a.jpg'), (40, 60))
    np.testing.assert_allclose(boxes, expected, atol=1e-12)
    polygon = np.reshape(lines[1][1:], (-1, 2)) * [60, 40]
    assert [entry.get('segmentation') for entry in found] == [None, [polygon.reshape(-1).tolist()]]
    assert [entry['category_id'] for entry in found] == [0, 2]


def test_what_a_dataset_has_no_columns_for_is_made_up_from_its_rows(make_dataset, tmp_path):
    export_coco(make_dataset(count=3), tmp_path / 'e')
    assert written(tmp_path / 'e', 'main') == {
        'images': [{'id': row, 'file_name': f'main_{row:06}.png', 'height': 16, 'width': 20} for row in range(3)],
        'annotations': [
            {'id': 1, 'image_id': 1, 'category_id': 0, 'bbox': [1, 2, 5, 7], 'area': 35, 'iscrowd': 0},
            {'id': 2, 'image_id': 2, 'category_id': 0, 'bbox': [1, 2, 5, 8], 'area': 40, 'iscrowd': 0},
            {'id': 3, 'image_id': 2, 'category_id': 1, 'bbox': [2, 2, 5, 8], 'area': 40, 'iscrowd': 0},
        ],
        'categories': [{'id': 0, 'name': 'cat'}, {'id': 1, 'name': 'dog'}],
    }


def test_a_class_subset_keeps_ids_and_fields(coco, tmp_path):
    path, folder, document = coco(enrich)
    convert_coco(path, tmp_path / 'dataset', images=folder)
    report = export_coco(f'{tmp_path}/dataset@train', tmp_path / 'e', classes=['toothbrush'], images=False)
    again = written(tmp_path / 'e')
    kept = [entry for entry in document['annotations'] if entry['category_id'] == 90]
    assert again['categories'] == document['categories'][:1] and report.left_out == 2
    assert by_id(again)['annotations'] == sorted(kept, key=lambda entry: entry['id'])
    assert len(again['images']) == 5


def two_files(coco, tmp_path, change):
    """A dataset of two files, whose images and annotations have ids of their own, with a view of each."""
    path, folder, document = coco(enrich)
    convert_coco(path, tmp_path / 'dataset', images=folder)
    for number, entry in enumerate(document['images']):
        number += 500
        for annotation in document['annotations']:
            if annotation['image_id'] == entry['id']:
                annotation |= {'image_id': number, 'id': annotation['id'] + 7}
        entry['id'] = number
    change(document)
    (tmp_path / 'instances_val.json').write_text(json.dumps(document))
    convert_coco(tmp_path / 'instances_val.json', tmp_path / 'dataset', images=folder, append=True)
    return document


def test_each_split_gets_the_info_of_its_own_file_and_both_what_they_agree_on(coco, tmp_path):
    document = two_files(coco, tmp_path, lambda document: document['info'].update(year=2018))
    report = export_coco(tmp_path / 'dataset', tmp_path / 'e', splits=['train', 'val'], images=False)
    assert written(tmp_path / 'e', 'train')['info']['year'] == 2017 and report.remarks == []
    assert by_id(written(tmp_path / 'e', 'val')) == by_id(document)
    report = export_coco(tmp_path / 'dataset', tmp_path / 'both', images=False)
    both = written(tmp_path / 'both', 'main')
    assert 'info' not in both and both['licenses'] == document['licenses']
    assert report.remarks == ['info of train, val differ, and are left out']


def test_annotation_ids_that_repeat_are_refused(make_dataset, tmp_path):
    ids = [np.zeros(n % 3, 'int64') for n in range(3)]
    path = make_dataset('d', 3, types={'ann_ids': types.Array('int64', 1)}, values={'ann_ids': ids})
    with pytest.raises(ConversionError, match=r"each id once in the column 'ann_ids' of .*, but got 0 twice.*--splits"):
        export_coco(path, tmp_path / 'e')
    assert not (tmp_path / 'e').exists()


MALFORMED = {
    'annotation_fields': (
        '[{}]',
        r"row 0: expected a JSON list of 0 entries, one a box, in 'annotation_fields', but got",
    ),
    'keypoints': ('{', r"expected a JSON list of 0 entries, one a box, in 'keypoints', but got '\{'"),
    'image_fields': ('[1]', r"split 'main', row 0: expected a JSON object in 'image_fields', but got '\[1\]'"),
}


@pytest.mark.parametrize('column', MALFORMED)
def test_a_column_that_does_not_hold_what_it_says_is_refused(column, make_dataset, tmp_path):
    text, message = MALFORMED[column]
    form = 'coco_keypoints' if column == 'keypoints' else 'coco_fields'
    columns = dict(types={column: types.Text()}, values={column: [text] * 3}, metadata={column: {'format': form}})
    with pytest.raises(AnnotationError, match=message):
        export_coco(make_dataset('d', 3, **columns), tmp_path / 'e')
    assert not (tmp_path / 'e').exists()


def test_columns_that_coco_has_no_place_for_are_named(make_dataset, tmp_path):
    """Among them some that are called as ours are, and hold something else."""
    columns = {
        'keypoints': (types.Array('float32', 3), np.zeros((0, 17, 3), 'float32')),
        'image_fields': (types.Text(), 'no JSON'),
        'ann_ids': (types.Text(), 'none'),
        'truncated': ('int32', np.int32(3)),
    }
    path = make_dataset(
        'd',
        3,
        types={name: kind for name, (kind, _) in columns.items()},
        values={
            name: np.array([value] * 3) if name == 'truncated' else [value] * 3 for name, (_, value) in columns.items()
        },
    )
    report = export_coco(path, tmp_path / 'e')
    assert report.remarks == ['columns that are not written: number, keypoints, image_fields, ann_ids, truncated']
    assert [set(entry) for entry in written(tmp_path / 'e', 'main')['annotations']] == [
        {'id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd'}
    ] * 3


def test_a_column_of_another_number_of_values_is_refused(make_dataset, tmp_path):
    values = [np.zeros(1, 'uint8')] * 3
    path = make_dataset('d', 3, types={'truncated': types.Array('uint8', 1)}, values={'truncated': values})
    with pytest.raises(AnnotationError, match=r"Column 'truncated', row 0: expected one number a box"):
        export_coco(path, tmp_path / 'e')


def test_the_layout_of_fiftyone_has_sizes_and_one_folder_a_split(coco, tmp_path):
    path, folder, document = coco()
    convert_coco(path, tmp_path / 'dataset', images=folder)
    report = export_coco(f'{tmp_path}/dataset@train', tmp_path / 'e', layout='fiftyone')
    labels = json.loads((tmp_path / 'e/labels.json').read_text())
    assert {(entry['height'], entry['width']) for entry in labels['images'] if entry['id'] == 7} == {(40, 50)}
    assert by_id(labels)['annotations'] == by_id(document)['annotations']
    for image in labels['images']:
        assert (tmp_path / 'e/data' / image['file_name']).read_bytes() == (folder / image['file_name']).read_bytes()
    assert report.hint == f"fiftyone.Dataset.from_dir('{tmp_path}/e', fiftyone.types.COCODetectionDataset)"
    export_coco(tmp_path / 'dataset', tmp_path / 'n', layout='fiftyone', splits=['train'], images=False)
    assert json.loads((tmp_path / 'n/train/labels.json').read_text()) == labels


def test_a_png_that_is_turned_on_its_side_is_refused_where_its_size_is_not_said(make_dataset, tmp_path):
    from PIL import Image

    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (20, 16)).save(file, 'PNG', exif=exif)
    values = {'images': [png(0), file.getvalue()], 'file_name': ['a.png', 'b.png']}
    path = make_dataset('d', 2, types={'file_name': types.Text()}, values=values)
    with pytest.raises(OSError, match=r'row 1, is turned on its side by its EXIF orientation'):
        export_coco(path, tmp_path / 'e', images=False)


def test_pixels_without_a_file_are_written_as_one_that_decodes_to_them(make_dataset, tmp_path):
    import cv2

    from tests.support.datasets import pixels

    path = make_dataset('d', 2, types={'images': types.Array('uint8', 3)}, values={'images': [pixels(0), pixels(1)]})
    dataset = deeplake.open_read_only(path)
    assert 'images' in {column.name for column in dataset.schema.columns}
    export_coco({'deeplake_path': path, 'deeplake_tensors': {'img': 'images'}}, tmp_path / 'e')
    for row in range(2):
        found = cv2.imread(str(tmp_path / f'e/main/main_{row:06}.bmp'), cv2.IMREAD_COLOR)
        assert np.array_equal(found[:, :, ::-1], pixels(row))
