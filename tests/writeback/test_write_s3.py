"""Results are written to S3 as to a folder, and storage that may only be read is refused before the model runs."""

from __future__ import annotations

from typing import Any

import pytest

from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.writeback.target import Target
from tests.support.datasets import write_dataset
from tests.support.s3_server import SECRET_KEY, S3Server
from tests.writeback.scored import GROUP, assert_right, branches, digest, opened, write


@pytest.fixture
def keys(s3: S3Server) -> dict[str, Any]:
    write_dataset(s3.path, 10, creds=s3.creds)
    return {'path': s3.path, 'credentials': {'creds': s3.creds}}


def test_results_of_a_view_and_of_a_second_run_are_right_in_a_bucket(s3: S3Server, keys: dict[str, Any]):
    before = digest(s3.path, creds=s3.creds)
    write(opened(**keys))
    write(opened(**keys), run='b', salt='b')
    write(opened(**keys, query='select * order by number desc limit 4'), salt='2')
    assert_right(s3.path, {6, 7, 8, 9}, salt='2', creds=s3.creds)
    assert_right(s3.path, set(range(10)), prefix=f'{GROUP}b/', salt='b', creds=s3.creds)
    assert digest(s3.path, creds=s3.creds) == before


def test_a_bucket_that_may_only_be_read_is_refused_at_once(s3: S3Server, keys: dict[str, Any]):
    source = opened(**keys)
    with (
        s3.fault('403 Forbidden', 'AccessDenied', matches=lambda request: request.method in ('PUT', 'POST')),
        pytest.raises(SourceError, match=r'first try to write to the storage of s3://.* failed.*--to PATH') as error,
    ):
        Target.of(source, None, branch='scores')
    assert SECRET_KEY not in str(error.value)


def test_trying_whether_a_bucket_can_be_written_leaves_no_branch_there(s3: S3Server, keys: dict[str, Any]):
    Target.of(opened(**keys), None, branch='scores')
    assert branches(s3.path, creds=s3.creds) == ['main']


def test_storage_that_fails_while_writing_leaves_main_and_a_branch_that_can_be_written(s3, keys: dict[str, Any]):
    target_source = opened(**keys)
    before = digest(s3.path, creds=s3.creds)

    target = Target.of(target_source, None, branch='scores')
    puts = s3.fault('403 Forbidden', 'AccessDenied', matches=lambda request: request.method in ('PUT', 'POST'))
    with puts, pytest.raises(SourceError, match='failed'):
        target.write([], classes=(), columns=('loss',), message='m', facts={})
    assert digest(s3.path, creds=s3.creds) == before
    write(opened(**keys))
    assert_right(s3.path, set(range(10)), creds=s3.creds)
