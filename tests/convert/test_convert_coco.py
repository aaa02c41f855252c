"""COCO to Deep Lake: everything in the file comes back as it was, compared with the file itself."""

from __future__ import annotations

import json
import math

import cv2
import deeplake
import numpy as np
import pytest
from deeplake import types
from hypothesis import given, settings

from deeplake_mmdet.convert import convert_coco
from deeplake_mmdet.convert.coco import split_of
from deeplake_mmdet.errors import ConversionError
from tests.convert.convert_files import write_image
from tests.support.coco_documents import STYLES, by_id, coco_documents, document_of, write_coco

CELLS = [{'id': 1, 'name': 'cell'}]


def assert_equal_to_document(rows, document, folder):
    """Every image, every annotation and every number of ``document`` is in ``rows``, in its order, bit for bit."""
    labels = {category['id']: label for label, category in enumerate(document['categories'])}
    assert [int(row['img_id']) for row in rows] == [image['id'] for image in document['images']]
    for row, image in zip(rows, document['images'], strict=True):
        annotations = [a for a in document['annotations'] if a['image_id'] == image['id']]
        assert row['images'] == (folder / image['file_name']).read_bytes()
        assert row['file_name'] == image['file_name']
        assert row['boxes'].dtype == np.float64 and row['boxes'].shape == (len(annotations), 4)
        assert row['boxes'].tolist() == [[float(value) for value in a['bbox']] for a in annotations]
        assert row['categories'].tolist() == [labels[a['category_id']] for a in annotations]
        assert row['areas'].dtype == np.float64 and row['areas'].tolist() == [a['area'] for a in annotations]
        assert row['iscrowd'].tolist() == [a.get('iscrowd') or 0 for a in annotations]
        assert row['ann_ids'].tolist() == [a['id'] for a in annotations]
        if 'masks' in row:
            assert json.loads(row['masks']) == [a.get('segmentation') for a in annotations]
        if 'ignore' in row:
            assert row['ignore'].tolist() == [a.get('ignore') or 0 for a in annotations]


def metadata_of(metadata):
    """Deep Lake's metadata as a dict, lists included."""
    values = {key: metadata[key] for key in metadata.keys()}  # noqa: SIM118  no dict
    return {key: value if isinstance(value, str | dict) else list(value) for key, value in values.items()}


def test_everything_in_the_file_comes_back_as_it_was(coco, rows, tmp_path):
    path, folder, document = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    found = rows(tmp_path / 'out')
    assert_equal_to_document(found, document, folder)
    sizes = [(int(row['height']), int(row['width'])) for row in found]
    assert sizes == [(40, 60), (32, 32), (48, 64), (40, 50), (20, 30)]
    assert {row['split'] for row in found} == {'train'} and 'masks' in found[0] and 'ignore' in found[0]


def test_ints_in_masks_stay_ints_and_floats_stay_floats(coco, rows, tmp_path):
    path, folder, document = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    stored = json.loads(rows(tmp_path / 'out')[0]['masks'])[0]
    assert repr(stored) == repr(document['annotations'][0]['segmentation'])


def test_columns_have_the_types_and_the_metadata_of_the_contract(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    dataset = deeplake.open_read_only(str(tmp_path / 'out'))
    found = {column.name: column.dtype for column in dataset.schema.columns}
    assert found['images'] == types.Image(dtype='uint8', sample_compression='jpeg')
    assert found['boxes'] == types.BoundingBox('float64', 'ltwh', 'pixel')
    assert found['categories'] == types.ClassLabel(types.Array('uint32', 1)) and found['masks'] == types.Text()
    metadata = dataset['categories'].metadata
    assert list(metadata['class_names']) == ['toothbrush', 'train', 'never seen']
    assert list(metadata['category_ids']) == [90, 7, 18]
    assert list(metadata['supercategories']) == ['indoor', '', 'animal']
    assert dataset['masks'].metadata['format'] == 'coco_segmentation'
    assert dataset.metadata['source'] == {'format': 'coco', 'files': ['instances_train.json']}
    assert [version.message for version in dataset.history][-1] == 'Convert COCO file instances_train.json'
    assert len([version.id for version in dataset.history]) == 2


def test_columns_that_would_hold_nothing_do_not_exist(coco, rows, tmp_path):
    def strip(document):
        for annotation in document['annotations']:
            annotation.pop('ignore', None)
            annotation['segmentation'] = [] if annotation['id'] != 12 else None

    path, folder, document = coco(strip)
    convert_coco(path, tmp_path / 'out', images=folder)
    found = rows(tmp_path / 'out')
    assert 'masks' not in found[0] and 'ignore' not in found[0]
    assert_equal_to_document(found, document, folder)


def test_the_view_is_named_by_the_split_and_holds_all_rows(coco, rows, tmp_path):
    path, folder, document = coco()
    report = convert_coco(path, tmp_path / 'out', images=folder, split='mini-val_2')
    assert_equal_to_document(rows(tmp_path / 'out', 'mini-val_2'), document, folder)
    assert report.views == {'mini-val_2': 5}


@pytest.mark.parametrize(
    ('name', 'split'),
    [
        ('instances_train2017', 'train'),
        ('VAL', 'val'),
        ('info_test', 'test'),
        ('trainval', 'all'),
        ('annotations', 'all'),
    ],
)
def test_the_default_split_is_what_the_name_of_the_file_says(name, split):
    assert split_of(f'some/train/{name}.json') == split


def test_the_report_counts_boxes_and_names_oddities(coco, tmp_path):
    def widen(document):
        document['annotations'][3]['bbox'] = [60.5, 4, 1, 0.5]
        document['annotations'][0]['bbox'] = [-1.5, 4, 1, 0.5]
        document['images'][1]['height'] = 31

    path, folder, _ = coco(widen)
    report = convert_coco(path, tmp_path / 'out', images=folder, sizes='measured')
    assert report.boxes == {'toothbrush': 3, 'train': 2, 'never seen': 0} and (report.rows, report.empty) == (5, 2)
    assert report.oddities == {
        'boxes of zero area': ['a.jpg'],
        'boxes that reach out of their image': ['a.jpg', 'a.jpg'],
        'images of another size than annotated, which was taken': ['sub/empty.jpg'],
    }
    for line in ('images  ', 'toothbrush', "view 'train'", '1 images of another size', 'sub/empty.jpg'):
        assert line in report.table()


@pytest.mark.parametrize(('suffixes', 'compression'), [(('png', 'png', 'jpg'), 'png'), (('png', 'jpg', 'jpg'), 'jpeg')])
def test_the_images_column_is_declared_by_the_majority_of_the_files(tmp_path, suffixes, compression, rows):
    images = [{'id': i, 'file_name': f'{i}.{suffix}'} for i, suffix in enumerate(suffixes)]
    for image in images:
        write_image(tmp_path / 'in' / image['file_name'], 20, 30)
    (tmp_path / 'a.json').write_text(json.dumps({'images': images, 'annotations': [], 'categories': CELLS}))
    convert_coco(tmp_path / 'a.json', tmp_path / 'out', images=tmp_path / 'in')
    dataset = deeplake.open_read_only(str(tmp_path / 'out'))
    assert dataset.schema['images'].dtype == types.Image(dtype='uint8', sample_compression=compression)
    assert rows(tmp_path / 'out')[2]['images'] == (tmp_path / 'in' / images[2]['file_name']).read_bytes()


@pytest.mark.parametrize(('depths', 'dtype'), [((16, 16), 'uint16'), ((16, 16, 8), 'uint8')])
def test_pixels_are_declared_as_16_bits_only_when_all_images_are_16_bit_png(tmp_path, depths, dtype):
    for number, depth in enumerate(depths):
        assert cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((20, 30), 200, f'uint{depth}'))
    images = [{'id': number, 'file_name': f'{number}.png'} for number in range(len(depths))]
    (tmp_path / 'a.json').write_text(json.dumps({'images': images, 'annotations': [], 'categories': CELLS}))
    convert_coco(tmp_path / 'a.json', tmp_path / 'out', images=tmp_path)
    stored = deeplake.open_read_only(str(tmp_path / 'out')).schema['images'].dtype
    assert stored == types.Image(dtype=dtype, sample_compression='png')


def test_an_unmeasured_image_gets_the_size_that_training_sees(tmp_path, rows):
    from PIL import Image

    rotated = Image.new('RGB', (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated.save(tmp_path / 'r.jpg', exif=exif)
    document = {
        'images': [{'id': 1, 'file_name': 'r.jpg'}],
        'annotations': [],
        'categories': [{'id': 1, 'name': 'cell'}],
    }
    (tmp_path / 'a.json').write_text(json.dumps(document))
    convert_coco(tmp_path / 'a.json', tmp_path / 'out', images=tmp_path)
    row = rows(tmp_path / 'out')[0]
    assert (int(row['height']), int(row['width'])) == (30, 20)
    for size, oddities in (
        ((30, 20), {}),
        ((20, 30), {'images of another size than annotated, which was taken': ['r.jpg']}),
    ):
        document['images'][0] |= dict(zip(('height', 'width'), size, strict=True))
        (tmp_path / 'a.json').write_text(json.dumps(document))
        report = convert_coco(tmp_path / 'a.json', tmp_path / 'out', images=tmp_path, overwrite=True, sizes='measured')
        assert report.oddities == oddities


def test_an_existing_dataset_is_replaced_only_when_asked_and_only_by_a_whole_one(coco, rows, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    with pytest.raises(ConversionError, match=r'expected a free path, but got .*out.*--overwrite'):
        convert_coco(path, tmp_path / 'out', images=folder)
    convert_coco(path, tmp_path / 'out', images=folder, split='again', overwrite=True)
    assert rows(tmp_path / 'out')[0]['split'] == 'again'
    (folder / 'sub/crowd.jpg').write_bytes(b'\xff\xd8\xff cut off')
    with pytest.raises(ConversionError, match=r'crowd\.jpg.* cannot be decoded'):
        convert_coco(path, tmp_path / 'out', images=folder, split='third', overwrite=True)
    assert rows(tmp_path / 'out')[0]['split'] == 'again'
    assert sorted(item.name for item in tmp_path.iterdir()) == ['images', 'instances_train.json', 'out']


def test_several_files_make_one_dataset_with_a_view_each(coco, rows, tmp_path):
    def add(number):
        def change(document):
            document['info'] = {'number': number}
            for entry in (*document['images'], *document['annotations']):
                entry['id'] += number
            for entry in document['annotations']:
                entry['image_id'] += number
                entry.pop('ignore' if number else 'nothing', None)

        return change

    documents = {}
    for number, split in ((0, 'train'), (10**6, 'val')):
        path, folder, documents[split] = coco(add(number))
        report = convert_coco(path, tmp_path / 'out', images=folder, split=split, append=bool(number))
        assert report.views == {split: 5}
    for split, document in documents.items():
        assert_equal_to_document(rows(tmp_path / 'out', split), document, folder)
    metadata = metadata_of(deeplake.open_read_only(str(tmp_path / 'out')).metadata)
    assert [metadata[f'coco:{split}'] for split in documents] == [
        '{"info":{"number":0}}',
        '{"info":{"number":1000000}}',
    ]
    assert len(rows(tmp_path / 'out')) == 10


@settings(max_examples=25)
@given(document=coco_documents(), style=STYLES)
def test_any_valid_file_is_in_the_columns_and_the_metadata(document, style, tmp_path, rows):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    path = write_coco(document, folder, **style)
    convert_coco(path, folder / 'out', images=folder / 'images')
    found = rows(folder / 'out', 'all')
    assert_equal_to_document(found, document, folder / 'images')
    dataset = deeplake.open_read_only(str(folder / 'out'))
    top_level = dataset.metadata['coco:all'] if 'coco:all' in metadata_of(dataset.metadata) else '{}'
    assert by_id(document_of(metadata_of(dataset['categories'].metadata), top_level, found)) == by_id(document)
    signs = [math.copysign(1, v) for row in found for box in row['boxes'].tolist() for v in box]
    groups = {image['id']: [] for image in document['images']}
    for annotation in document['annotations']:
        groups[annotation['image_id']] += annotation['bbox']
    assert signs == [math.copysign(1, v) for group in groups.values() for v in group]
