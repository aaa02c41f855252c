"""The cached index is the one that would be read anew, and whatever could change it makes it another one."""

from __future__ import annotations

import shutil

import deeplake
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.annotations.cache import cached, key
from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.adopted import adopt, release
from tests.support.cached import assert_same, files, is_cached, read, read_anew, the_file
from tests.support.datasets import append_rows, rows, write_dataset
from tests.support.tiny import write_tiny


@pytest.fixture
def built(monkeypatch):
    """One item a time that annotations are read."""
    calls = []
    original = cached.build_index
    monkeypatch.setattr(cached, 'build_index', lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs))
    return calls


def write_rich(path):
    """A dataset with every column that an index takes from."""
    boxes = [np.array([[2, 3, 10, 12], [20, 5, 15, 30], [1, 1, 0, 4]])[:n] for n in (3, 0, 2, 1)]
    numbers = [np.arange(len(box)) for box in boxes]
    flags = types.Array('bool', 1)
    extra = {
        'img_id': (types.Text(), ['first', 'zweites', '三', 'Nr. 4']),
        'areas': (types.Array('float64', 1), [100.25 + n for n in numbers]),
        'iscrowd': (flags, [n % 2 == 1 for n in numbers]),
        'difficult': (flags, [n == 0 for n in numbers]),
        'ignore': (flags, [n == 2 for n in numbers]),
    }
    return write_tiny(path, boxes=boxes, labels=[n % 2 for n in numbers], extra=extra)


DATASETS = {
    'of every column': (write_rich, {}),
    'without boxes': (lambda path: write_tiny(path, boxes=[[], []]), {}),
    'of numbered images': (
        lambda path: write_tiny(path, extra={'img_id': ('int64', np.array([9, 4, 7, 1, 0, 3]))}),
        {},
    ),
    'with sizes of headers': (lambda path: write_tiny(path, sizes=False), {}),
    'of some classes': (write_tiny, {'classes': ('dog',)}),
    'of a query': (write_tiny, {'deeplake_query': 'select * where height > 3 limit 4'}),
    'of fractional boxes': (
        lambda path: write_tiny(path, boxes=[[[0.25, 0.5, 0.5, 0.25]]] * 3, box_format=('ccwh', 'fractional')),
        {},
    ),
}


@pytest.mark.parametrize('name', DATASETS)
def test_a_cached_index_is_the_one_that_is_read_anew(tmp_path, built, name):
    write, keys = DATASETS[name]
    path = write(tmp_path / 'ds')
    made, found = read(path, **keys), read(path, **keys)
    assert built == [1]
    expected, remarks = read_anew(path, **keys)
    for index, said in (made, found):
        assert is_cached(index)
        assert_same(index, expected)
        assert said == [*remarks, f'The annotations are cached: {the_file()}.']


def test_a_query_by_lot_is_cached_for_the_rows_that_were_drawn(make_dataset, built):
    path = make_dataset(count=200)
    query = 'select * order by random() limit 100'
    first, second = (read(path, deeplake_query=query)[0] for _ in range(2))
    assert first.rows.tolist() != second.rows.tolist()
    assert built == [1, 1]


def test_remarks_are_kept_with_the_annotations(tmp_path):
    path = write_tiny(tmp_path / 'ds', box_format=(None, None))
    remarks = read_anew(path)[1]
    assert 'declares no box format' in remarks[0]
    assert read(path)[1][:-1] == read(path)[1][:-1] == remarks


def test_annotations_that_contradict_themselves_are_refused_each_time(tmp_path):
    path = write_tiny(tmp_path / 'ds', labels=[[0]] * 6)
    for _ in range(2):
        with pytest.raises(AnnotationError, match='expected as many values'):
            read(path)
    assert files() == []


CHANGES = {
    'classes': {'classes': ('dog', 'cat')},
    'fewer classes': {'classes': ('cat',)},
    'another column of ids': {'deeplake_tensors': {'img_id': 'other_id'}},
    'no areas': {'deeplake_tensors': {'gt_areas': ''}},
    'a box format of the config': {'deeplake_bbox_format': {'mode': 'LTWH'}},
    'a query': {'deeplake_query': 'select * where other_id > 11'},
    'a query of as many rows': {'deeplake_query': 'select * order by other_id desc'},
    'what is done about unreadable images': {'more': {'on_error': 'skip'}},
}


@pytest.mark.parametrize('change', CHANGES)
def test_another_reading_is_another_index(tmp_path, change):
    extra = {
        'areas': (types.Array('float64', 1), [[5.0, 6.0]] * 6),
        'other_id': ('int64', np.arange(10, 16)),
    }
    path = write_tiny(tmp_path / 'ds', extra=extra)
    read(path)
    keys = CHANGES[change]
    found, _ = read(path, **keys)
    assert len(files()) == 2
    assert_same(found, read_anew(path, **{name: value for name, value in keys.items() if name != 'more'})[0])


def test_the_same_classes_asked_for_in_another_way_are_the_same_index(tmp_path, built):
    path = write_tiny(tmp_path / 'ds')
    for classes in (None, ('cat', 'dog'), ['cat', 'dog']):
        read(path, classes)
    assert built == [1]


def test_another_program_does_not_meet_the_index_of_this_one(tmp_path, monkeypatch, built):
    path = write_tiny(tmp_path / 'ds')
    read(path)
    monkeypatch.setattr(key, '_PROGRAM', 'changed')
    read(path)
    assert built == [1, 1]


def test_a_new_commit_is_another_index_and_the_old_one_stays(make_dataset, built):
    path = make_dataset()
    before = read(path)[0]
    dataset = deeplake.open(path)
    old = dataset.version
    append_rows(dataset, [20, 21])
    assert len(read(path)[0]) == 10
    assert_same(read(path, deeplake_commit_id=old)[0], before)
    assert built == [1, 1]


def test_a_dataset_written_anew_at_its_path_is_another_one(tmp_path):
    for size in (10, 12):
        path = write_tiny(tmp_path / 'ds', boxes=[[[1, 1, size, size]]])
        assert read(path)[0].boxes.tolist() == [[1, 1, size, size]]
        deeplake.delete(path)


def test_a_view_that_is_saved_anew_under_its_name_is_another_one(make_dataset):
    path = make_dataset()
    for some in ([1, 2], [4, 5]):
        dataset = deeplake.open(path)
        dataset.query(f'select * where number in ({some[0]}, {some[1]})').tag('some')
        found, expected = read(path, deeplake_view_id='some'), read_anew(path, deeplake_view_id='some')
        assert is_cached(found[0])
        assert_same(found[0], expected[0])
        deeplake.open(path).tags['some'].delete()
    assert len(files()) == 2


def test_a_copy_that_is_written_further_in_another_way_is_another_dataset(make_dataset, tmp_path):
    path = make_dataset()
    shutil.copytree(path, tmp_path / 'copy')
    digests = []
    for name, row in ((path, 1), (tmp_path / 'copy', 2)):
        append_rows(deeplake.open(str(name)), [row])
        digests.append(read(str(name))[0].digest)
    assert len(set(digests)) == len(files()) == 2


def test_a_view_that_follows_the_head_is_not_cached(make_dataset):
    path = make_dataset()
    deeplake.open(path).query('select * order by random() limit 3').tag('moving', fixed_version=False)
    assert not is_cached(read(path, deeplake_view_id='moving')[0])
    assert files() == []


def test_data_in_memory_is_not_cached():
    kept = write_dataset('mem://cached', 4)
    assert not is_cached(read('mem://cached')[0])
    assert len(kept) == 4


def test_an_object_that_the_program_changed_is_not_cached(make_dataset):
    dataset = deeplake.open(make_dataset())
    dataset.append(rows([9]))
    keys = adopt(dataset)
    try:
        assert keys['deeplake_path'].startswith('opened://')
        path = keys.pop('deeplake_path')
        assert not is_cached(read(path, **keys)[0])
    finally:
        release(path)
        dataset.rollback()


def test_sizes_of_linked_images_are_not_cached(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / 'image.png'), np.zeros((40, 40, 3), np.uint8))
    path = str(tmp_path / 'ds')
    dataset = deeplake.create(path)
    dataset.add_column('images', types.Link(types.Image(sample_compression='png')))
    dataset.add_column('boxes', types.BoundingBox('float32', 'ltwh', 'pixel'))
    dataset.add_column('categories', types.ClassLabel(types.Array('uint32', 1)))
    dataset['categories'].metadata['class_names'] = ['cat']
    boxes, labels = [np.array([[1, 1, 9, 9]], np.float32)], [np.zeros(1, np.uint32)]
    dataset.append({'images': [str(tmp_path / 'image.png')], 'boxes': boxes, 'categories': labels})
    dataset.commit('links')

    def complete(sizes):
        sizes[:] = 40

    keys = {'deeplake_tensors': {'img': 'images'}, 'more': {'complete_sizes': complete}}
    assert not is_cached(read(path, **keys)[0])
    for name in ('height', 'width'):
        dataset.add_column(name, 'int32')
        dataset[name][0:1] = np.array([40], np.int32)
    dataset.commit('sizes')
    assert is_cached(read(path, **keys)[0])


def test_annotations_of_a_bucket_are_fetched_once_and_no_secret_is_kept(s3):
    write_dataset(s3.path, 8, creds=s3.creds)
    keys = {'deeplake_credentials': {'creds': s3.creds}}
    fetched, prefix = [], f'/{s3.path.removeprefix("s3://")}/'
    for _ in range(2):
        s3.requests.clear()
        index, _ = read(s3.path, **keys)
        paths = {request.path for request in s3.requests if request.path.startswith(prefix)}
        fetched.append([path for path in paths if '_deeplake_log' not in path])
    assert_same(index, read_anew(s3.path, **keys)[0])
    assert fetched[0]
    assert fetched[1] == [], 'only its log, for opening it'
    secrets = [value.encode() for name, value in s3.creds.items() if name.startswith('aws_')]
    for file in (the_file(), the_file().with_suffix('.lock')):
        assert not [secret for secret in secrets if secret in file.read_bytes()]


def test_the_cache_can_be_switched_off(tmp_path, monkeypatch, built):
    path = write_tiny(tmp_path / 'ds')
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE', 'off')
    for _ in range(2):
        index, remarks = read(path)
        assert not is_cached(index)
        assert remarks == []
    assert built == [1, 1]
