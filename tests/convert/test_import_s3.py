"""Imports to an S3 server: nobody sees a part of one, it goes on after a kill, and nothing else is ever removed."""

from __future__ import annotations

import json
import threading
from functools import partial

import deeplake
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.convert import convert_coco
from deeplake_mmdet.errors import ConversionError, SourceError
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.importing import contents, start
from tests.support.s3_server import BUCKET


@pytest.fixture
def job(coco, s3):
    """Runs an import to the server in a process of its own; gives its exit code, what it said, and its complaint."""

    def run(change=lambda document: None, die_at='', **options):
        path, folder, _ = coco(change)
        process = start(path, folder, s3.path, die_at=die_at, **{'credentials': {'creds': s3.creds}, **options})
        said, complaint = process.communicate(timeout=180)
        return process.returncode, said, complaint

    return run


def opened(s3, **pins):
    config = {'deeplake_path': s3.path, 'deeplake_credentials': {'creds': s3.creds}, **pins}
    return SourceHandle.resolve(DatasetSpec.from_config(config))


def keys(s3):
    found = s3.client.list_objects_v2(Bucket=BUCKET, Prefix=s3.path.removeprefix(f's3://{BUCKET}/'))
    return [item['Key'] for item in found.get('Contents', [])]


@pytest.mark.parametrize('moment', ['commit 3+', 'merge+', 'delete'])
def test_a_killed_import_is_no_dataset_until_it_was_resumed(moment, job, s3, coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'local', images=folder)
    assert job(die_at=moment)[0] == -9
    head = deeplake.open_read_only(s3.path, creds=s3.creds)
    if moment == 'commit 3+':
        assert len(head) == 0
        with pytest.raises(SourceError, match=r'holds an unfinished import.*run the same command'):
            opened(s3)
    else:
        assert len(head) == 5
    code, said, complaint = job()
    assert code == 0, complaint
    assert json.loads(said.splitlines()[1])['first'] > 0
    assert contents(s3.path, s3.creds) == contents(str(tmp_path / 'local'))
    assert len(opened(s3, deeplake_view_id='train')) == 5


def other_ids(document):
    for image in document['images']:
        image['id'] += 10**6
    for annotation in document['annotations']:
        annotation['image_id'] += 10**6


def test_rows_that_are_being_added_are_not_seen_before_all_are_there(job, s3):
    assert job()[0] == 0
    assert job(other_ids, append=True, split='val', die_at='commit 3+')[0] == -9
    assert len(opened(s3)) == 5
    with pytest.raises(SourceError, match='holds an unfinished import'):
        opened(s3, deeplake_branch='unfinished-import')
    assert job(other_ids, append=True, split='val')[0] == 0
    assert len(opened(s3)) == 10
    assert [len(opened(s3, deeplake_view_id=name)) for name in ('train', 'val')] == [5, 5]


def odd_late(document):
    document['annotations'] = [entry for entry in document['annotations'] if entry['id'] != 13]
    document['annotations'][-1]['bbox'][2] = 0


def test_a_failed_import_leaves_nothing_and_takes_nothing_else_with_it(job, s3):
    def add(request):
        if request.path.endswith('.lz4') and not added:
            key = f'{s3.path[len(BUCKET) + 6 :]}/mine.jpg'
            added.append(threading.Thread(target=partial(s3.client.put_object, Bucket=BUCKET, Key=key, Body=b'x')))
            added[0].start()
        return False

    added: list[threading.Thread] = []
    with s3.fault(None, matches=add):
        code, _, complaint = job(odd_late, strict=True)
    assert code == 1 and 'boxes of zero area: unmeasured.png' in complaint and added
    assert [key.rpartition('/')[2] for key in keys(s3)] == ['mine.jpg']


def test_a_prefix_that_holds_anything_is_no_place_for_a_dataset(job, s3):
    s3.client.put_object(Bucket=BUCKET, Key=f'{s3.path[len(BUCKET) + 6 :]}/images/a.jpg', Body=b'x')
    code, _, complaint = job()
    assert code == 1 and "'images/a.jpg' is there, and no Deep Lake dataset" in complaint
    assert len(keys(s3)) == 1


def test_a_finished_dataset_on_s3_is_neither_overwritten_nor_removed(job, s3):
    assert job()[0] == 0
    before = keys(s3)
    for options in ({}, {'overwrite': True}, {'restart': True}):
        code, _, complaint = job(**options)
        assert code == 1 and 'only local folders can be overwritten' in complaint
    assert set(before) <= set(keys(s3)) and len(opened(s3)) == 5


def test_an_unfinished_import_on_s3_is_given_up_when_it_is_asked_for(job, s3):
    assert job(die_at='merge')[0] == -9
    code, _, complaint = job(split='other')
    assert code == 1 and 'there is one of other files' in complaint
    code, said, complaint = job(split='other', restart=True)
    assert code == 0 and json.loads(said.splitlines()[1])['first'] == 0, complaint
    assert list(contents(s3.path, s3.creds)['views']) == ['other']


def test_a_storage_that_fails_is_named_without_a_secret_and_what_is_there_stays(job, s3):
    def late(request):
        return request.method == 'PUT' and request.path.endswith('.lz4') and len(s3.requests) > 150

    with s3.fault('403 Forbidden', 'AccessDenied', matches=late):
        code, _, complaint = job()
    assert code == 1 and 'could not use the storage' in complaint, complaint
    assert s3.creds['aws_secret_access_key'] not in complaint
    assert 'images are kept: run the same command again' in complaint
    code, _, complaint = job()
    assert code == 0 and len(opened(s3)) == 5, complaint


def test_wrong_credentials_are_said_at_once(s3, coco):
    path, folder, _ = coco()
    creds = {**s3.creds, 'aws_access_key_id': 'AKIAWRONG'}
    with pytest.raises(ConversionError, match='could not use the storage'):
        convert_coco(path, s3.path, images=folder, credentials={'creds': creds})
