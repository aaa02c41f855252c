"""Reading over S3: few requests, recovery from passing failures, and no secret in any message."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import QueryError, RevisionNotFoundError, SourceError, SourceNotFoundError
from deeplake_mmdet.source import handle as handle_module
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.children import digests, in_child, report
from tests.support.datasets import png, write_dataset
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, Request, S3Server

ROWS = 32


@pytest.fixture(scope='module')
def bucket(s3_server: S3Server) -> str:
    """A dataset of 32 rows with a view and a branch, read only by the tests."""
    path = 's3://bucket/shared'
    dataset = write_dataset(path, ROWS, creds=s3_server.creds)
    dataset.query('select * where number > 29').tag('end')
    dataset.branch('dev')
    return path


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle_module, 'READ_DEADLINE_S', 20.0)


def resolve(server: S3Server, path: str, creds: dict[str, str] | None = None, **pins: Any) -> SourceHandle:
    given = {'deeplake_path': path, 'deeplake_credentials': {'creds': server.creds if creds is None else creds}}
    return SourceHandle.resolve(DatasetSpec.from_config({**given, **pins}))


def is_get(request: Request) -> bool:
    return request.method == 'GET'


def is_data(request: Request) -> bool:
    """Whether a request reads a column's data."""
    return request.method == 'GET' and request.path.count('/') > 2 and '_deeplake_log' not in request.path


def everything_said(error: BaseException) -> str:
    """What a user can see of an error: the traceback with all its causes."""
    return ''.join(traceback.format_exception(error))


def assert_no_secret(text: str | bytes) -> None:
    text = text if isinstance(text, str) else text.decode('latin-1')
    assert SECRET_KEY not in text
    assert ACCESS_KEY not in text


def test_rows_columns_views_branches_and_queries_are_read(s3: S3Server, bucket: str) -> None:
    handle = resolve(s3, bucket)
    assert handle.read('images', [3, 1, 3]) == [png(3), png(1), png(3)]
    assert handle.read('number', [30, 2]) == [30, 2]
    assert [boxes.shape for boxes in handle.read('boxes', [0, 1, 2])] == [(0, 4), (1, 4), (2, 4)]
    view = resolve(s3, bucket, deeplake_view_id='end', deeplake_query='select * order by number desc')
    assert view.rows.tolist() == [1, 0]
    assert view.read('images', view.rows) == [png(31), png(30)]
    assert len(resolve(s3, f'{bucket}@end')) == 2
    assert resolve(s3, bucket, deeplake_branch='dev').read('images', [5]) == [png(5)]
    assert resolve(s3, bucket, deeplake_query='select images, boxes where number > 28').rows.tolist() == [29, 30, 31]


def test_mistakes_are_named_over_s3_as_they_are_locally(s3: S3Server, bucket: str) -> None:
    with pytest.raises(RevisionNotFoundError, match="Known views: 'end'"):
        resolve(s3, bucket, deeplake_view_id='ende')
    with pytest.raises(QueryError, match='syntax error'):
        resolve(s3, bucket, deeplake_query='select * wher number')


def test_credentials_of_the_environment_do(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    handle = resolve(s3, bucket, {})
    assert handle.read('images', [7]) == [png(7)]
    assert_no_secret(pickle.dumps(handle))


@pytest.mark.parametrize('method', ['fork', 'spawn', 'forkserver'])
def test_a_child_process_reads_with_the_credentials_of_its_parent(s3: S3Server, bucket: str, method: str) -> None:
    handle = resolve(s3, bucket)
    if method == 'forkserver':  # its server may be older than the credentials, and would not know them
        from multiprocessing import forkserver

        forkserver._forkserver._stop()
    here = digests(handle, 'images', [0, 9])
    assert in_child(method, report, handle, 'images', [0, 9])[:2] == (False, here)


@pytest.mark.parametrize('path', ['s3://no-such-bucket/x', 's3://bucket/no-such-dataset'])
def test_a_wrong_bucket_or_path_is_found_out_at_once(s3: S3Server, path: str) -> None:
    with pytest.raises(SourceNotFoundError, match=f"no Deep Lake dataset at '{path}'. Check the bucket"):
        resolve(s3, path)
    assert len(s3.requests) <= 4, 'nothing is tried again'


def test_a_wrong_key_is_refused_without_being_shown(s3: S3Server, bucket: str) -> None:
    creds = {**s3.creds, 'aws_access_key_id': 'AKIAWRONGKEY00000001'}
    with pytest.raises(SourceError, match=f'{bucket} could not be opened: .*Check .*deeplake_credentials') as caught:
        resolve(s3, bucket, creds)
    assert 'AKIAWRONGKEY00000001' not in everything_said(caught.value)
    assert_no_secret(everything_said(caught.value))


def test_secrets_that_the_server_repeats_are_scrubbed(s3: S3Server, bucket: str) -> None:
    opened = resolve(s3, bucket)
    closed = pickle.loads(pickle.dumps(opened))
    cases = [
        (is_data, lambda: opened.read('images', [0])),
        (is_get, lambda: closed.read('images', [0])),
        (is_get, lambda: resolve(s3, bucket)),
    ]
    for matches, failing in cases:
        with s3.fault('400 Bad Request', f'No-{SECRET_KEY}-{ACCESS_KEY}', matches=matches):
            with pytest.raises(SourceError, match=r'No-\*\*\*-\*\*\*') as caught:
                failing()
            assert_no_secret(everything_said(caught.value))


def test_a_wrong_signature_is_refused_without_secrets(s3: S3Server, bucket: str) -> None:
    with s3.fault('403 Forbidden', 'SignatureDoesNotMatch'), pytest.raises(SourceError) as caught:
        resolve(s3, bucket)
    assert_no_secret(everything_said(caught.value))


@pytest.mark.parametrize(('status', 'code'), [('403 Forbidden', 'AccessDenied'), ('404 Not Found', 'NoSuchKey')])
def test_a_failure_that_passes_is_survived_by_opening_anew(s3: S3Server, bucket: str, status: str, code: str) -> None:
    handle = resolve(s3, bucket)
    poisoned = handle.base()
    with s3.fault(status, code, times=1, matches=is_data) as fault:
        assert handle.read('images', [4, 20]) == [png(4), png(20)]
    assert fault.struck == 1
    assert handle.base() is not poisoned
    assert handle.revision.rows == ROWS


@pytest.fixture
def rotated(s3: S3Server) -> Iterator[dict[str, str]]:
    """Credentials that the server will accept, in the place of those before, once its key is that of them."""
    yield {**s3.creds, 'aws_access_key_id': 'AKIAROTATEDKEY000001'}
    s3.access_key = s3.creds['aws_access_key_id']


def test_credentials_of_a_file_are_read_again_when_they_have_expired(
    s3: S3Server, bucket: str, tmp_path: Path, rotated: dict[str, str]
) -> None:
    file = tmp_path / 'creds.json'
    file.write_text(json.dumps({'creds': s3.creds}))
    named = {'deeplake_path': bucket, 'deeplake_credentials': {'file': str(file)}}
    handle = SourceHandle.resolve(DatasetSpec.from_config(named))
    worker = pickle.loads(pickle.dumps(handle))
    assert handle.read('images', [4]) == [png(4)]
    s3.access_key = rotated['aws_access_key_id']
    with pytest.raises(SourceError) as caught:
        worker.read('images', [4])
    assert_no_secret(everything_said(caught.value))
    file.write_text(json.dumps({'creds': rotated}))
    assert worker.read('images', [4]) == [png(4)]
    assert handle.read('images', list(range(0, 24, 5))) == [png(row) for row in range(0, 24, 5)]


def test_a_slow_down_is_waited_out(s3: S3Server, bucket: str) -> None:
    handle = resolve(s3, bucket)
    with s3.fault('503 Slow Down', 'SlowDown', times=5, matches=is_data) as fault:
        assert handle.read('images', [6]) == [png(6)]
    assert fault.struck == 5


def test_a_failure_while_opening_anew_is_survived_too(s3: S3Server, bucket: str) -> None:
    handle = pickle.loads(pickle.dumps(resolve(s3, bucket)))
    with s3.fault('403 Forbidden', 'AccessDenied', times=2) as fault:
        assert handle.read('images', [8]) == [png(8)]
    assert fault.struck == 2


def test_a_failure_that_stays_is_reported_after_three_tries_and_says_what_was_read(s3: S3Server, bucket: str) -> None:
    handle = resolve(s3, bucket)
    with (
        s3.fault('403 Forbidden', 'AccessDenied', matches=is_data) as fault,
        pytest.raises(
            SourceError, match=r"Reading column 'images', row \[4, 20\] of s3://bucket/shared @ main:"
        ) as caught,
    ):
        handle.read('images', [4, 20])
    assert fault.struck == 3
    assert_no_secret(everything_said(caught.value))
    assert handle.read('images', [4]) == [png(4)], 'and once it has passed, all is well'


def test_a_deleted_data_object_names_column_and_row(s3: S3Server) -> None:
    write_dataset(s3.path, 4, creds=s3.creds)
    handle = pickle.loads(pickle.dumps(resolve(s3, s3.path)))
    prefix = s3.path.removeprefix('s3://bucket/')
    for item in s3.client.list_objects_v2(Bucket='bucket', Prefix=prefix)['Contents']:
        if '_deeplake_log' not in item['Key']:
            s3.client.delete_object(Bucket='bucket', Key=item['Key'])
    with pytest.raises(SourceError, match="Reading column 'images', row 2 of "):
        handle.read('images', [2])


def requests_of(server: S3Server, handle: SourceHandle, batches: list[list[int]]) -> int:
    server.requests.clear()
    for batch in batches:
        assert handle.read('images', batch) == [big(row) for row in batch]
    return len([request for request in server.requests if is_data(request)])


def big(row: int) -> bytes:
    return png(row, 220, 220)  # 145 kB: each in a block of its own


@pytest.fixture(scope='module')
def big_images(s3_server: S3Server) -> Iterator[str]:
    path = 's3://bucket/big'
    write_dataset(path, ROWS, creds=s3_server.creds, values={'images': [big(row) for row in range(ROWS)]})
    yield path


def test_a_batch_makes_no_more_requests_than_its_rows_one_by_one(s3: S3Server, big_images: str) -> None:
    rows = [row * 7 % ROWS for row in range(16)]
    batch = requests_of(s3, resolve(s3, big_images), [rows])
    single = requests_of(s3, resolve(s3, big_images), [[row] for row in rows])
    assert 0 < batch <= single <= 20


def test_rows_that_are_read_in_bulk_come_with_their_whole_file(s3: S3Server, big_images: str) -> None:
    def read(handle: SourceHandle, rows: list[int], **how: bool) -> int:
        s3.requests.clear()
        assert handle.read('images', rows, **how) == [big(row) for row in rows]
        return len([request for request in s3.requests if is_data(request)])

    single = read(resolve(s3, big_images), list(range(16)))
    handle = resolve(s3, big_images)
    assert read(handle, list(range(16)), bulk=True) <= 2 < single
    assert read(handle, list(range(16, ROWS)), bulk=True) == 0, 'it is there already'
    assert read(handle, [3, 1, 3, 30], bulk=True) >= 0, 'in any order, and twice'


def test_a_batch_is_read_at_once_and_single_rows_one_after_another(
    s3: S3Server, big_images: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row * 7 % ROWS for row in range(16)]
    monkeypatch.setattr(s3, 'delay_s', 0.1)
    at_once = []
    for batches in ([rows], [[row] for row in rows]):
        handle = resolve(s3, big_images)
        s3.most_at_once = 0
        assert requests_of(s3, handle, batches) >= 16
        at_once.append(s3.most_at_once)
    assert at_once[0] >= 8
    assert at_once[1] == 1


def test_small_images_share_their_requests(s3: S3Server, bucket: str) -> None:
    handle = resolve(s3, bucket)
    s3.requests.clear()
    assert handle.read('images', list(range(16))) == [png(row) for row in range(16)]
    assert len(s3.requests) <= 2


def test_opening_makes_few_requests(s3: S3Server, bucket: str) -> None:
    s3.requests.clear()
    resolve(s3, bucket)
    assert len(s3.requests) <= 15


def test_nothing_that_is_printed_or_sent_holds_a_secret(s3: S3Server, bucket: str) -> None:
    handle = resolve(s3, bucket)
    assert_no_secret(repr(handle) + str(handle.revision) + str(handle.revision.to_strings()) + repr(vars(handle)))
    assert_no_secret(pickle.dumps(handle))
    assert pickle.loads(pickle.dumps(handle)).read('images', [1]) == [png(1)]
