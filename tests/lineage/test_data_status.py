"""A record leads back to exactly the rows of its run, whatever pinned them; and says what became of them."""

from __future__ import annotations

import shutil

import cv2
import deeplake
import numpy as np
import pytest

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.lineage.data_status import data_status, dataset_config
from deeplake_mmdet.lineage.record import dataset_entry
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.datasets import append_rows, write_dataset
from tests.support.tiny import write_tiny

VIEW = 'select * where number % 2 == 0'


@pytest.fixture
def path(tmp_path):
    """main: rows 0 to 5, of which the even ones are the view; dev: two more."""
    path = str(tmp_path / 'data set')
    dataset = write_dataset(path, 6)
    dataset.query(VIEW).tag('even')
    dataset.branch('dev')
    append_rows(dataset.branches['dev'].open(), [100, 101])
    return path


def entry_of(path, **pins):
    dataset = DeepLakeDataset(deeplake_path=path, **pins)
    dataset.full_init()
    return dataset_entry('train_dataloader.dataset', dataset)


def samples(config):
    dataset = DeepLakeDataset(**config)
    return [dataset.get_data_info(i) for i in range(len(dataset))]


PINS = {
    'head': {},
    'view': dict(deeplake_view_id='even'),
    'query': dict(deeplake_query='select * where number > 2'),
    'query of a view': dict(deeplake_view_id='even', deeplake_query='select * where number > 2'),
    'order': dict(deeplake_query='select * order by number desc'),
    'branch': dict(deeplake_branch='dev'),
    'fewer classes': dict(metainfo=dict(classes=('b',))),
    'small boxes': dict(filter_cfg=dict(bbox_min_size=6)),
    'no crowd column': dict(deeplake_tensors=dict(gt_iscrowd='')),
}


@pytest.mark.parametrize('pins', PINS.values(), ids=PINS)
def test_exactly_the_same_rows_are_opened_after_the_branch_moved_on(path, pins):
    classes = DeepLakeDataset(deeplake_path=path).metainfo['classes']
    if 'metainfo' in pins:
        pins = dict(metainfo=dict(classes=classes[1:]))
    before = samples(dict(deeplake_path=path, **pins))
    entry = entry_of(path, **pins)
    assert str(data_status(entry)) == 'unchanged'
    dataset = deeplake.open(path)
    name = pins.get('deeplake_branch')
    head = append_rows(dataset.branches[name].open() if name else dataset, [200, 202])
    status = data_status(entry)
    assert (status.state, status.detail, status.head) == ('unchanged', '', head)
    assert 'the branch has moved on to' in str(status)
    assert samples(dataset_config(entry)) == before


def test_an_older_commit_is_opened(path):
    first = entry_of(path)
    second = append_rows(deeplake.open(path), [7])
    assert entry_of(path)['rows'] == 7
    assert entry_of(path, deeplake_commit_id=first['commit_id']) == first
    assert data_status(first).head == second


def test_a_deleted_view_is_gone(path):
    entry = entry_of(path, deeplake_view_id='even')
    deeplake.open(path).tags['even'].delete()
    status = data_status(entry)
    assert status.state == 'gone'
    assert "'even'" in status.detail


def test_a_deleted_dataset_is_gone(path):
    entry = entry_of(path)
    shutil.rmtree(path)
    assert data_status(entry).state == 'gone'


def test_data_that_cannot_be_reached_are_not_called_gone(path, monkeypatch):
    entry = entry_of(path)

    def refuse(*_):
        raise SourceError('could not connect to server')

    monkeypatch.setattr(SourceHandle, 'resolve', refuse)
    assert str(data_status(entry)) == 'unreadable: could not connect to server'


def test_data_whose_broken_images_were_skipped_are_read_the_same_way(tmp_path):
    noise = cv2.imencode('.png', np.zeros((40, 40, 3), np.uint8))[1].tobytes()
    path = write_tiny(tmp_path / 'ds', boxes=[[[2, 3, 4, 5]]] * 3, images=[noise, b'no image', noise], sizes=False)
    entry = entry_of(path, on_error='skip')
    assert entry['on_error'] == 'skip'
    assert str(data_status(entry)) == 'unchanged'
    assert data_status({**entry, 'on_error': 'raise'}).state == 'unreadable'


def test_another_dataset_in_its_place_is_another(path):
    entry = entry_of(path)
    shutil.rmtree(path)
    write_dataset(path, 6)
    status = data_status(entry)
    assert status.state in ('changed', 'gone')
    assert status.detail


def test_a_view_saved_anew_under_the_name_is_not_the_same(path):
    entry = entry_of(path, deeplake_view_id='even')
    dataset = deeplake.open(path)
    dataset.tags['even'].delete()
    dataset.query('select * where number % 2 == 1').tag('even')
    status = data_status(entry)
    assert status.state == 'changed'
    assert 'digest' in status.detail


def test_what_a_program_had_open_is_untold():
    assert data_status({'commit_id': '', 'view_id': 'opened://1'}).state == 'untold'
