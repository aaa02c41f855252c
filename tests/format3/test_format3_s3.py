"""Format 3 on S3: the same rows, bounded waiting, and no secret in any text."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.convert import convert_v3
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.errors import ConversionError, RevisionNotFoundError, SourceError
from deeplake_mmdet.source.handle import SourceHandle
from tests.format3.reading import differences, resolve
from tests.support.children import run_script
from tests.support.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, Request, S3Server


def upload(server: S3Server, folder: Path, name: str, drop: str = '\0') -> str:
    """Put a dataset into the bucket, without hidden tensors and files with `drop` in their path; gives its URL."""
    client = server.client
    for file in folder.rglob('*'):
        key = f'{name}/{file.relative_to(folder)}'
        if file.is_file() and drop not in key and '/_' not in key:
            client.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    return f's3://{BUCKET}/{name}'


@pytest.fixture(scope='module')
def remote(s3_server: S3Server, unpacked: Path) -> Iterator[str]:
    yield upload(s3_server, unpacked / 'history', 'format3')


def opened(server: S3Server, path: str, **pins: Any) -> SourceHandle:
    return resolve(path, deeplake_credentials={'creds': server.creds}, **pins)


def test_commits_branches_and_views_read_as_deep_lake_3_reads_them(
    s3: S3Server, remote: str, expected: dict[str, Any]
) -> None:
    history = expected['history']
    commit = next(iter(history['commits']))
    cases = [({'deeplake_commit_id': commit}, history['commits'][commit])]
    cases += [({'deeplake_branch': branch}, wanted) for branch, wanted in history['branches'].items()]
    cases += [({'deeplake_view_id': view}, history['views'][view]) for view in ('shuffled', 'copy')]
    for pins, wanted in cases:
        handle = opened(s3, remote, **pins)
        assert differences(handle, wanted) == []
    again = pickle.loads(pickle.dumps(handle))
    assert differences(again, wanted) == []
    assert SECRET_KEY.encode() not in pickle.dumps(handle)


def test_mistakes_are_named_as_they_are_locally(s3: S3Server, remote: str) -> None:
    with pytest.raises(RevisionNotFoundError, match=r"Known views: .*'even'.*Did you mean 'even'"):
        opened(s3, remote, deeplake_view_id='evn')
    with pytest.raises(RevisionNotFoundError, match=r"'zz', which is no commit of 's3://bucket/format3'"):
        opened(s3, remote, deeplake_commit_id='zz')


def test_credentials_of_the_environment_do(s3: S3Server, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    assert len(resolve(remote, deeplake_view_id='even')) == 3


def test_damage_is_found(s3: S3Server, unpacked: Path) -> None:
    path = upload(s3, unpacked / 'tiled', 'format3-cut', drop='/boxes/tensor_meta.json')
    with pytest.raises(SourceError, match=r"its file 'boxes/tensor_meta.json' is missing"):
        opened(s3, path, deeplake_commit_id='first')
    chunk = next((unpacked / 'tiled' / 'boxes' / 'chunks').iterdir())
    key = f'{remote_key(path)}/boxes/chunks/{chunk.name}'
    body = (unpacked / 'tiled' / 'boxes' / 'tensor_meta.json').read_bytes()
    s3.client.put_object(Bucket=BUCKET, Key=f'{remote_key(path)}/boxes/tensor_meta.json', Body=body)
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=chunk.read_bytes()[:-4])
    with pytest.raises(SourceError, match=r"of tensor 'boxes' is cut"):
        opened(s3, path, deeplake_commit_id='first').read('boxes', [0])


@pytest.mark.parametrize('where', ['/history', '/tiled', ''])
def test_a_copy_onto_data_of_format_3_is_refused_and_leaves_it_alone(
    s3: S3Server, unpacked: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    source = upload(s3, unpacked / 'history', 'format3-all/history')
    upload(s3, unpacked / 'tiled', 'format3-all/tiled')
    count = lambda: s3.client.list_objects_v2(Bucket=BUCKET, Prefix='format3-all')['KeyCount']  # noqa: E731
    before = count()
    destination = f's3://{BUCKET}/format3-all{where}'
    with pytest.raises(ConversionError, match=r'a dataset of format 3 is there|is there, and no Deep Lake dataset'):
        convert_v3(source, destination)
    if where:
        with pytest.raises(ConversionError, match=r'expected a free path, but got .* a dataset of format 3 is there'):
            Destination(destination)
    assert count() == before


def remote_key(path: str) -> str:
    return path.removeprefix(f's3://{BUCKET}/')


def is_format3_file(request: Request) -> bool:
    return request.method == 'GET' and 'format3/' in request.path


def test_a_refusal_is_reported_without_secrets(s3: S3Server, remote: str) -> None:
    with (
        s3.fault('400 Bad Request', f'No-{SECRET_KEY}-{ACCESS_KEY}', matches=is_format3_file),
        pytest.raises(SourceError, match=r'No-\*\*\*-\*\*\*'),
    ):
        opened(s3, remote)


def test_a_failure_of_a_read_that_passes_is_survived(s3: S3Server, remote: str) -> None:
    handle = opened(s3, remote, deeplake_commit_id='first')
    handle.read('number', [0])
    matches = lambda request: '/images/chunks/' in request.path  # noqa: E731
    with s3.fault('403 Forbidden', 'AccessDenied', times=1, matches=matches) as fault:
        assert len(handle.read('images', [0, 1])) == 2
    assert fault.struck == 1


SILENT = """
import os, sys, time
from pathlib import Path
import deeplake_mmdet.source.format3.files as files_module, deeplake_mmdet.source.format3.open as open_module
import deeplake_mmdet.source.handle as handle_module
from deeplake_mmdet.errors import DeepLakeMMDetError
from tests.format3.test_format3_s3 import opened, upload
from tests.support.s3_server import S3Server
for module in (files_module, open_module):
    assert hasattr(module, 'OPEN_DEADLINE_S')
    module.OPEN_DEADLINE_S = 1.0
handle_module.READ_DEADLINE_S = 1.0
step, folder = sys.argv[1:]
with S3Server() as server:
    path = upload(server, Path(folder), 'format3')
    matches = {'description': 'dataset_meta.json', 'read': '/images/chunks/'}[step]
    handle = opened(server, path, deeplake_commit_id='first') if step == 'read' else None
    with server.fault(None, matches=lambda r: matches in r.path) as fault:
        start = time.monotonic()
        try:
            handle.read('images', [0]) if handle else opened(server, path, deeplake_commit_id='first')
            said = 'no error'
        except DeepLakeMMDetError as error:
            said = f'{type(error).__name__}: {error}'
        print(fault.struck > 0, f'{time.monotonic() - start:.1f}', said, flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize('step', ['description', 'read'])
def test_a_server_that_never_answers_holds_nobody_up(unpacked: Path, step: str) -> None:
    ran = run_script(SILENT, step, str(unpacked / 'tiled'), timeout=100)
    assert ran.returncode == 0, ran.stderr
    struck, seconds, said = ran.stdout.splitlines()[-1].split(' ', 2)
    assert (struck, said.partition(':')[0]) == ('True', 'DeadlineError'), said
    assert float(seconds) < 8
