"""What Deep Lake 4.7 loses when a large view is saved comes back; the first test fails when it loses no more."""

from __future__ import annotations

from pathlib import Path

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.source.meta_log import LARGE, restore_meta_log


@pytest.fixture
def dataset(tmp_path):
    """Ten rows of which five came by a merge, a branch, and two views."""
    path = str(tmp_path / 'dataset')
    made = deeplake.create(path)
    made.add_column('number', 'int64')
    made.append({'number': np.arange(5)})
    made.commit('first')
    made.branch('more')
    branch = made.branches['more'].open()
    branch.append({'number': np.arange(5, 10)})
    branch.commit('more')
    made.merge('more')
    made.query('select number where number < 3').tag('small')
    made.query('select number where number > 3').tag('other')
    return path


def save_large_view(path: str) -> None:
    deeplake.open(path).query('select number where number > 1').tag('large', ' ' * LARGE)


def what_there_is(path: str) -> tuple[int, list[str], list[str]]:
    found = deeplake.open_read_only(path)
    return len(found), sorted(found.branches.names()), sorted(found.tags.names())


def test_a_large_view_makes_deep_lake_forget_views_branches_and_merged_rows(dataset):
    save_large_view(dataset)
    assert what_there_is(dataset) == (5, ['main'], ['large'])


def test_all_of_it_comes_back(dataset):
    save_large_view(dataset)
    assert restore_meta_log(dataset, Credentials()) == ['0000000005o00000002.jsonl']
    assert what_there_is(dataset) == (10, ['main', 'more'], ['large', 'other', 'small'])
    opened = deeplake.open_read_only(dataset)
    views = [opened.tags[name].open() for name in ('small', 'other')]
    assert [view['number'][:].tolist() for view in views] == [[0, 1, 2], [4, 5, 6, 7, 8, 9]]


def test_what_is_older_than_the_last_large_view_is_safe_from_the_next_one(dataset):
    save_large_view(dataset)
    restore_meta_log(dataset, Credentials())
    deeplake.open(dataset).query('select number').tag('larger', ' ' * LARGE)
    assert what_there_is(dataset) == (10, ['main', 'more'], ['large', 'larger', 'other', 'small'])


def test_a_dataset_that_lost_nothing_is_left_alone(dataset):
    log = Path(dataset) / '_deeplake_log/_meta'
    before = {item.name: item.read_bytes() for item in log.iterdir()}
    assert restore_meta_log(dataset, Credentials()) == []
    assert {item.name: item.read_bytes() for item in log.iterdir()} == before


@pytest.mark.parametrize('content', [b'{"commit":{}}\n{"createTag":{"name":"kept"}}\n', b'\x04\x22\x4d\x18 compressed'])
def test_a_summary_that_tells_something_is_kept(dataset, content):
    summary = Path(dataset) / '_deeplake_log/_meta/0000000005o00000002.jsonl'
    summary.write_bytes(content)
    assert restore_meta_log(dataset, Credentials()) == [] and summary.exists()


def test_a_summary_whose_entries_are_gone_is_kept(dataset):
    summary = Path(dataset) / '_deeplake_log/_meta/0000000019o00000012.jsonl'
    summary.write_bytes(b'{"commit":{}}\n')
    assert restore_meta_log(dataset, Credentials()) == [] and summary.exists()


def test_a_cloud_that_shows_no_files_is_not_asked_for_them():
    assert restore_meta_log('al://nobody/nothing', Credentials()) == []
