"""A process that is killed while it writes leaves a dataset that opens, and a branch with all results or none.

In a folder and in a bucket, which knows no locks: there, of two at once, the first to commit wins.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from deeplake_mmdet.errors import ConversionError
from tests.support.children import ROOT
from tests.support.datasets import write_dataset
from tests.support.s3_server import S3Server
from tests.writeback.scored import GROUP, assert_right, branches, columns_of, digest, messages, opened, write

ROWS, PAUSE_S = 8, 0.01


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dataset on S3, whose keys all processes have in their environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    write_dataset(s3.path, ROWS, creds=s3.creds)
    return s3.path


def start(path: str, salt: str, pause_s: float = PAUSE_S, stderr: int | None = None) -> subprocess.Popen[str]:
    """Begin to write; waits until nothing but the writing is left to do."""
    command = [sys.executable, '-m', 'tests.writeback.write_in_process', path, salt, str(pause_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == 'ready\n'
    return process


def check_killed(path: str, moments: int) -> set[bool]:
    """Kill writes at random moments, on a branch with earlier results or without; gives whether they committed."""
    main, rng, had, salt = digest(path), random.Random(0), '', ''
    begin = time.monotonic()
    write(opened(path), branch='measured')
    latest = 1.3 * (time.monotonic() - begin) + ROWS * PAUSE_S
    outcomes = set()
    for number in range(moments):
        process = start(path, f'k{number}')
        time.sleep(rng.uniform(0, latest))
        process.kill()
        process.communicate(timeout=60)
        assert digest(path) == main
        there = 'scores' in branches(path)
        committed = there and messages(path, 'scores')[-1] == f'k{number}'
        salt = f'k{number}' if committed else had
        if salt:
            assert_right(path, set(range(ROWS)), salt=salt)
        else:
            assert not there or not any(name.startswith(GROUP) for name in columns_of(path, 'scores'))
        had = salt
        outcomes.add(committed)
    write(opened(path), salt='after')
    assert_right(path, set(range(ROWS)), salt='after')
    return outcomes


def test_a_write_that_is_killed_is_seen_in_whole_or_not_at_all(make_dataset: Callable[..., str]):
    check_killed(make_dataset(count=ROWS), 3)


def test_so_it_is_in_a_bucket(bucket: str):
    check_killed(bucket, 3)


@pytest.mark.slow
def test_a_write_that_is_killed_at_twenty_moments_is_seen_in_whole_or_not_at_all(make_dataset: Callable[..., str]):
    assert check_killed(make_dataset(count=ROWS), 20) == {True, False}


@pytest.mark.slow
def test_so_it_is_at_twenty_moments_in_a_bucket(bucket: str):
    assert check_killed(bucket, 20) == {True, False}


def test_of_two_processes_at_once_one_is_told_of_the_other(make_dataset: Callable[..., str]):
    path = make_dataset(count=ROWS)
    process = start(path, 'first', 0.2)
    time.sleep(0.5)
    with pytest.raises(ConversionError, match=rf'the process {process.pid} is writing to'):
        write(opened(path), salt='second')
    assert process.communicate(timeout=60)[0] == 'done\n'
    assert_right(path, set(range(ROWS)), salt='first')


def test_of_two_processes_at_once_in_a_bucket_the_first_to_commit_wins_and_the_other_is_told(bucket: str):
    main = digest(bucket)
    process = start(bucket, 'late', 0.5, stderr=subprocess.PIPE)
    while 'scores' not in branches(bucket):
        time.sleep(0.05)
    write(opened(bucket), salt='early')
    assert process.poll() is None
    assert "Another process committed to branch 'scores'" in process.communicate(timeout=120)[1]
    assert messages(bucket, 'scores')[1:] == ['scored']
    assert_right(bucket, set(range(ROWS)), salt='early')
    assert digest(bucket) == main
    write(opened(bucket), salt='late')
    assert_right(bucket, set(range(ROWS)), salt='late')
