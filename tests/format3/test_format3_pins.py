"""Pins on format 3: each names exactly what it names, in every process, or is refused with what there is."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.errors import ConfigError, QueryError, RevisionChangedError, RevisionNotFoundError, SourceError
from deeplake_mmdet.source.format3.files import FIRST_COMMIT
from deeplake_mmdet.source.format3.history import Commit, History
from deeplake_mmdet.source.handle import SourceHandle
from tests.format3.reading import resolve
from tests.support.children import digests, in_child, report

COPY = Callable[[str], Path]


@pytest.fixture(scope='module')
def path(unpacked: Path) -> Path:
    return unpacked / 'history'


@pytest.fixture(scope='module')
def commits(expected: dict[str, Any]) -> dict[str, str]:
    """Commit ids by message."""
    return {item['message']: commit for commit, item in expected['history']['commits'].items()}


def numbers(handle: SourceHandle) -> list[int]:
    return [int(value[0]) for value in handle.read_column('number', 0, len(handle))]


def test_an_id_may_be_shortened_and_the_revision_holds_all_of_it(path: Path, commits: dict[str, str]) -> None:
    for message, rows in (('rows 0 to 3', 4), ('rows 4 and 5, row 1 changed', 6), ('row 0 removed', 5)):
        handle = resolve(path, deeplake_commit_id=commits[message][:8])
        assert (handle.revision.commit_id, len(handle)) == (commits[message], rows)
        assert resolve(f'{path}@{commits[message][:8]}').revision == handle.revision


def history(*ids: str) -> History:
    found = {text: Commit(text, 'main', None, 1.0, f'message of {text}') for text in (FIRST_COMMIT, *ids)}
    return History('data/x', found, {'main': FIRST_COMMIT})


def test_a_shortened_id_that_two_commits_have_lists_both() -> None:
    versions = history('ab12', 'ab34', 'cd56')
    with pytest.raises(RevisionNotFoundError, match=r"'ab', which begins the ids of 2 commits.*'ab12' .*'ab34' .*more"):
        versions.find('ab')
    assert (versions.find('ab1'), versions.find('c'), versions.find('first')) == ('ab12', 'cd56', FIRST_COMMIT)


def test_an_unknown_id_lists_the_commits() -> None:
    with pytest.raises(RevisionNotFoundError, match=r"'xyz', which is no commit of 'data/x'. Known commits: .*'ab12'"):
        history('ab12').find('xyz')


def test_a_clean_head_is_the_commit_before_it(path: Path, commits: dict[str, str]) -> None:
    handle = resolve(path, deeplake_branch='dev')
    assert handle.revision.commit_id == commits['rows 100 and 101']
    assert handle.remarks == ()


def test_a_head_that_is_not_committed_is_read_and_said_to_be_so(path: Path, commits: dict[str, str]) -> None:
    handle = resolve(path)
    assert numbers(handle) == [1, 2, 3, 4, 5, 6]
    assert handle.revision.commit_id not in commits.values()
    assert 'not committed' in handle.remarks[0]
    assert resolve(path, deeplake_commit_id=handle.revision.commit_id).revision == handle.revision


def test_branch_and_commit_must_be_of_one_history(path: Path, commits: dict[str, str]) -> None:
    early = resolve(path, deeplake_branch='dev', deeplake_commit_id=FIRST_COMMIT)
    assert (early.revision.branch, len(early)) == ('dev', 4)
    with pytest.raises(ConfigError, match=r"deeplake_branch='dev'.*contradicts deeplake_commit_id='.*row 0 removed"):
        resolve(path, deeplake_branch='dev', deeplake_commit_id=commits['row 0 removed'])


def test_view_and_commit_must_be_of_one_history(path: Path, commits: dict[str, str]) -> None:
    assert numbers(resolve(path, deeplake_view_id='early', deeplake_commit_id='first')) == [1, 2]
    for view, message in (('early', 'row 0 removed'), ('on_dev', 'rows 0 to 3'), ('copy', 'row 0 removed')):
        with pytest.raises(ConfigError, match=rf"contradicts deeplake_view_id='{view}', which shows commit .*"):
            resolve(path, deeplake_view_id=view, deeplake_commit_id=commits[message])


def test_view_and_branch_must_be_of_one_history(path: Path) -> None:
    assert resolve(path, deeplake_view_id='on_dev', deeplake_branch='dev').revision.branch == 'dev'
    with pytest.raises(ConfigError, match=r"deeplake_branch='main'. contradicts deeplake_view_id='on_dev'"):
        resolve(path, deeplake_view_id='on_dev', deeplake_branch='main')


def test_an_unknown_view_lists_the_views_and_the_closest(path: Path) -> None:
    with pytest.raises(RevisionNotFoundError, match=r"'evn', which .* Known views: .*'shuffled'.*Did you mean 'even'"):
        resolve(path, deeplake_view_id='evn')


def test_a_dataset_without_views_has_none(unpacked: Path) -> None:
    with pytest.raises(RevisionNotFoundError, match=r'Known views: none'):
        resolve(unpacked / 'columns', deeplake_view_id='even')


def test_a_view_of_another_dataset_is_refused(copied: COPY) -> None:
    path = copied('history')
    views = json.loads((path / 'queries.json').read_text())
    views[0] |= {'source-dataset': 'elsewhere', 'source-dataset-version': 'abc'}
    (path / 'queries.json').write_text(json.dumps(views))
    with pytest.raises(RevisionNotFoundError, match=r"shows commit 'abc' of 'elsewhere'.*belongs to another dataset"):
        resolve(path, deeplake_view_id=views[0]['id'])


def test_a_view_that_cuts_samples_is_refused(copied: COPY) -> None:
    path = copied('history')
    views = json.loads((path / 'queries.json').read_text())
    views[0]['source-dataset-index'].append({'start': 0, 'stop': 2, 'step': 1})
    (path / 'queries.json').write_text(json.dumps(views))
    with pytest.raises(SourceError, match=r'cuts pieces out of the samples.*optimize=True'):
        resolve(path, deeplake_view_id=views[0]['id'])


def test_an_unknown_name_behind_the_path_lists_branches_views_and_commits(path: Path) -> None:
    with pytest.raises(RevisionNotFoundError, match=r"'dve', which is no branch, view or commit .*Did you mean 'dev'"):
        resolve(f'{path}@dve')
    with pytest.raises(RevisionNotFoundError, match=r"deeplake_branch=. names 'dve'.*Did you mean 'dev'"):
        resolve(path, deeplake_branch='dve')


def test_two_different_names_for_one_pin_are_refused(path: Path) -> None:
    for ref, key in (('dev', 'branch'), ('even', 'view_id')):
        with pytest.raises(ConfigError, match=rf"ends in @{ref}, but deeplake_{key} is 'other'. Give one of them"):
            resolve(f'{path}@{ref}', **{f'deeplake_{key}': 'other'})


def test_a_query_selects_among_the_rows_of_a_view(path: Path) -> None:
    query = 'select * where number > 1'
    assert numbers(resolve(path, deeplake_view_id='even', deeplake_query=query)) == [2, 4]
    assert numbers(resolve(path, deeplake_view_id='shuffled', deeplake_query=query)) == [5, 3]
    assert numbers(resolve(path, deeplake_view_id='repeated', deeplake_query=query)) == [4, 4]
    assert numbers(resolve(path, deeplake_view_id='copy', deeplake_query=query)) == [5]
    assert numbers(resolve(path, deeplake_query=f'{query} order by number desc')) == [6, 5, 4, 3, 2]


def test_an_order_of_a_shuffled_view_by_a_query_is_refused(path: Path) -> None:
    with pytest.raises(QueryError, match=r"view 'shuffled', whose rows are shuffled"):
        resolve(path, deeplake_view_id='shuffled', deeplake_query='select * limit 1')
    assert numbers(resolve(path, deeplake_view_id='even', deeplake_query='select * limit 1')) == [0]


def test_the_identity_is_that_of_the_dataset_at_every_version_and_of_no_other(
    path: Path, unpacked: Path, commits: dict[str, str]
) -> None:
    pins: list[dict[str, str]] = [{}, {'deeplake_branch': 'dev'}, {'deeplake_view_id': 'even'}]
    pins += [{'deeplake_commit_id': commit} for commit in commits.values()]
    handles = [resolve(path, **pin) for pin in pins]
    (own,) = {handle.revision.dataset_id for handle in handles}
    assert own.startswith('format3-')
    assert {handle.revision.to_strings()['format'] for handle in handles} == {'3'}
    others = {resolve(unpacked / name).revision.dataset_id for name in ('columns', 'tiled', 'linked', 'stuck')}
    assert len({own, *others}) == 5


@pytest.mark.parametrize('method', ['fork', 'spawn'])
@pytest.mark.parametrize(
    'pins',
    [
        {'deeplake_commit_id': 'first'},
        {'deeplake_view_id': 'shuffled', 'deeplake_query': 'select * where number > 1'},
        {'deeplake_view_id': 'copy'},
    ],
)
def test_a_child_process_reads_the_same_rows_of_the_same_revision(
    path: Path, method: str, pins: dict[str, str]
) -> None:
    handle = resolve(path, **pins)
    here = digests(handle, 'images', handle.rows)
    assert in_child(method, report, handle, 'images', handle.rows) == (
        False,
        here,
        handle.rows.tolist(),
        handle.revision,
    )


def test_a_copy_refuses_another_dataset_at_the_same_path(copied: COPY, unpacked: Path) -> None:
    path = copied('history')
    first = pickle.dumps(resolve(path, deeplake_commit_id='first'))
    head = pickle.dumps(resolve(path))
    shutil.rmtree(path)
    shutil.copytree(unpacked / 'tiled', path)
    with pytest.raises(RevisionChangedError, match=r'The dataset changed .*: expected dataset format3-'):
        pickle.loads(first).read('boxes', [0])
    with pytest.raises(RevisionChangedError, match=r'is not what it was when it was resolved: .* is no commit'):
        pickle.loads(head).read('boxes', [0])


def test_a_saved_view_survives_a_stale_path_of_its_source(path: Path) -> None:
    views = {item['id']: item for item in json.loads((path / 'queries.json').read_text())}
    assert views['even']['source-dataset'] == 'history'
    assert np.array_equal(resolve(path, deeplake_view_id='even').rows, [0, 2, 4])
