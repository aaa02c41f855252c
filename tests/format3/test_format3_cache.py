"""Annotations of format 3 are cached where no later write can change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cached import assert_same, files, is_cached, read, read_anew

FIXED = [
    {'deeplake_branch': 'dev'},
    {'deeplake_view_id': 'shuffled'},
    {'deeplake_view_id': 'repeated'},
    {'deeplake_commit_id': 'first'},
    {'deeplake_branch': 'dev', 'deeplake_query': 'select * where number > 1'},
]


@pytest.mark.parametrize('keys', FIXED, ids=str)
def test_what_is_committed_is_cached(unpacked: Path, keys: dict[str, str]) -> None:
    path = str(unpacked / 'history')
    expected, remarks = read_anew(path, **keys)
    for _ in range(2):
        index, said = read(path, **keys)
        assert is_cached(index)
        assert_same(index, expected)
        assert said[:-1] == remarks
    assert len(files()) == 1


@pytest.mark.parametrize('keys', [{}, {'deeplake_view_id': 'copy'}], ids=['a head', 'a view with its own data'])
def test_what_may_change_under_its_name_is_not_cached(unpacked: Path, keys: dict[str, str]) -> None:
    index, remarks = read(str(unpacked / 'history'), **keys)
    assert not is_cached(index)
    assert files() == []
    assert remarks == read_anew(str(unpacked / 'history'), **keys)[1]
