"""Views, commits and branches as lists: what Deep Lake itself says, in words."""

from __future__ import annotations

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.errors import ConfigError, RevisionNotFoundError, SourceNotFoundError
from deeplake_mmdet.versions import delete_view, list_branches, list_commits, list_views
from deeplake_mmdet.versions.history import _changes
from deeplake_mmdet.versions.text_table import text_table


@pytest.fixture
def history(street: str) -> str:
    """main: an edit. dev, made from the commit before: two rows less. Views on both, one that follows the head."""
    dataset = deeplake.open(street)
    dataset.branch('dev')
    dataset['boxes'][3] = np.zeros((0, 4))
    dataset['areas'][3] = np.zeros(0)
    dataset.commit('row 3 has nothing')
    dataset.query('select * where img_id > 99').tag('late', 'ids of three digits')
    dataset.query('select * where img_id > 99').tag('moving', fixed_version=False)
    dataset.tag('release')
    dev = dataset.branches['dev'].open()
    dev.delete(5)
    dev.delete(0)
    dev.commit('two rows less')
    dev.query('select * where img_id < 30').tag('on_dev')
    return street


def test_views_of_all_branches_are_listed_with_their_version(history: str) -> None:
    handle = deeplake.open_read_only(history)
    main, dev = (handle.branches[name].open().version for name in ('main', 'dev'))
    found = {view.name: view for view in list_views(history)}
    assert {name: (view.rows, view.version) for name, view in found.items()} == {
        'all': (24, f'main:{found["all"].commit_id}'),
        'late': (14, f'main:{main}'),
        'moving': (14, 'main:head'),
        'on_dev': (2, f'dev:{dev}'),
        'release': (24, f'main:{main}'),
    }
    assert (found['late'].query, found['late'].message) == ('select * where img_id > 99', 'ids of three digits')
    assert found['release'].query == ''
    assert list(found) == sorted(found)


def test_a_view_is_deleted_and_its_rows_stay(history: str) -> None:
    assert delete_view(history, 'late').rows == 14
    assert 'late' not in [view.name for view in list_views(history)]
    assert len(deeplake.open_read_only(history)) == 24
    with pytest.raises(RevisionNotFoundError, match=r"'lat', which is no view of .*'all', 'moving'"):
        delete_view(history, 'lat')


def test_commits_are_listed_the_newest_first_with_what_they_did(history: str) -> None:
    newest, *_, created = list_commits(history)
    assert (newest.message, newest.changes) == ('row 3 has nothing', '1 row updated in each of 2 columns')
    assert (created.message, created.changes) == ('Dataset created', '')
    handle = deeplake.open_read_only(history)
    assert [commit.id for commit in list_commits(history)] == [entry.id for entry in handle.history][::-1]
    dev = list_commits(f'{history}@dev')
    assert [(commit.message, commit.changes) for commit in dev[:1]] == [('two rows less', '2 rows deleted')]
    assert list_commits(history, 'dev') == dev


def test_branches_are_listed_with_what_they_were_made_from(history: str) -> None:
    main, dev = list_branches(history)
    commits = list_commits(history)
    assert (main.name, main.base, main.commit_id, main.rows) == ('main', '', commits[0].id, 24)
    assert (dev.name, dev.base, dev.rows, dev.message) == ('dev', f'main:{commits[1].id}', 22, 'two rows less')


def test_unknown_names_and_places_are_refused(history: str) -> None:
    with pytest.raises(RevisionNotFoundError, match=r"'dve', which is no branch of .*Did you mean 'dev'"):
        list_commits(history, 'dve')
    with pytest.raises(RevisionNotFoundError, match="'late', which is no branch of"):
        list_commits(f'{history}@late')
    with pytest.raises(SourceNotFoundError, match='found no Deep Lake dataset'):
        list_views(f'{history}x')
    with pytest.raises(ConfigError, match='is an object that a program has open'):
        list_branches('opened://abc')


@pytest.mark.parametrize(
    ('operations', 'said'),
    [
        (['Appended 8 rows to column 1', 'Appended 8 rows to column 2'], '8 rows appended'),
        (['Updated 2 rows in column 1', 'Updated 3 rows in column 2'], '2 to 3 rows updated in each of 2 columns'),
        (['Updated 1 rows in column 1', 'Deleted 2 rows'], '2 rows deleted; 1 row updated in 1 column'),
        (["Created column 'a b' (int64)", 'Set metadata on column 7'], 'columns created: a b; metadata set'),
        (['Something new'], 'Something new'),
        ([], ''),
    ],
)
def test_what_a_commit_did_is_said_once_for_all_columns(operations: list[str], said: str) -> None:
    assert _changes(operations) == said


def test_a_table_fits_its_width_and_shows_all_without_one() -> None:
    header, rows = ('name', 'rows', 'query'), [('a', 5, 'x' * 60), ('longer', None, 'two\nlines'), ('b', 1.25, 'y')]
    table = text_table(header, rows, width=40).splitlines()
    assert max(map(len, table)) == 40
    assert table[1] == 'a          5  ' + 'x' * 25 + '…'
    assert table[2] == 'longer     –  two lines'
    assert table[3].split() == ['b', '1.2', 'y']
    assert 'x' * 60 in text_table(header, rows)
    assert text_table(header, []) == 'name  rows  query'
