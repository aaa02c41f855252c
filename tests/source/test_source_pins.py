"""Pins: each names exactly the rows it names, now and after later commits; a pin that cannot be honoured is refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deeplake
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import (
    ConfigError,
    RevisionChangedError,
    RevisionNotFoundError,
    SourceError,
    SourceNotFoundError,
)
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.datasets import append_rows, png, write_dataset


def resolve(path: str, **pins: Any) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, **pins}))


def numbers(handle: SourceHandle) -> list[int]:
    """The numbers of the selected rows; what columns give and what single reads give must agree."""
    by_column = [int(n) for n in handle.selection()['number'][:]]
    assert [int(n) for n in handle.read('number', list(handle.rows))] == by_column
    assert handle.read('images', list(handle.rows)) == [png(n) for n in by_column]
    return by_column


def again(handle: SourceHandle) -> SourceHandle:
    """A copy as a worker gets it: it opens the dataset anew."""
    return pickle.loads(pickle.dumps(handle))


@dataclass(frozen=True)
class History:
    """A dataset of two branches, with the ids of its commits."""

    path: str
    first: str
    second: str
    dev: str


@pytest.fixture
def history(tmp_path: Path) -> History:
    """main: rows 0-3, then 4-5. dev, from the first commit: rows 0-3, 100. Views: even rows, on each branch."""
    path = str(tmp_path / 'dataset')
    main = write_dataset(path, 4)
    first = main.version
    main.branch('dev')
    main.query('select * where number % 2 == 0').tag('even')
    main.query('select * where number > 1').tag('following', fixed_version=False)
    second = append_rows(main, [4, 5])
    dev = main.branches['dev'].open()
    on_dev = append_rows(dev, [100])
    dev.query('select * where number >= 3').tag('dev_end')
    return History(path, first, second, on_dev)


def grow(history: History) -> None:
    """What others do later: append, delete, and commit on both branches."""
    main = deeplake.open(history.path)
    main.delete(0)
    append_rows(main, [6, 7])
    append_rows(main.branches['dev'].open(), [101])


def test_without_a_pin_the_head_of_main_is_read(history: History) -> None:
    handle = resolve(history.path)
    assert numbers(handle) == [0, 1, 2, 3, 4, 5]
    assert (handle.revision.branch, handle.revision.commit_id) == ('main', history.second)


def test_a_commit_gives_the_rows_of_that_time(history: History) -> None:
    assert numbers(resolve(history.path, deeplake_commit_id=history.first)) == [0, 1, 2, 3]
    assert numbers(resolve(history.path, deeplake_commit_id=history.second)) == [0, 1, 2, 3, 4, 5]


def test_a_commit_id_means_the_commit_of_its_branch(history: History) -> None:
    assert history.dev == history.first, 'ids are counters: the same one names different commits on two branches'
    handle = resolve(history.path, deeplake_branch='dev', deeplake_commit_id=history.dev)
    assert numbers(handle) == [0, 1, 2, 3, 100]
    assert handle.revision.branch == 'dev'


@pytest.mark.parametrize('pins', [{'deeplake_branch': 'dev'}, {'at': '@dev'}, {'at': '@dev', 'deeplake_branch': 'dev'}])
def test_a_branch_gives_its_head(history: History, pins: dict[str, str]) -> None:
    handle = resolve(history.path + pins.pop('at', ''), **pins)
    assert numbers(handle) == [0, 1, 2, 3, 100]
    assert handle.revision.branch == 'dev'


@pytest.mark.parametrize('name', ['main', ''])
def test_main_can_be_named(history: History, name: str) -> None:
    assert numbers(resolve(history.path, deeplake_branch=name)) == [0, 1, 2, 3, 4, 5]
    assert numbers(resolve(f'{history.path}@{name}')) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize('pins', [{'deeplake_view_id': 'even'}, {'at': '@even'}])
def test_a_view_gives_its_rows_and_no_others(history: History, pins: dict[str, str]) -> None:
    handle = resolve(history.path + pins.pop('at', ''), **pins)
    assert numbers(handle) == [0, 2]
    assert (handle.revision.view_id, handle.revision.commit_id) == ('even', history.first)
    assert handle.revision.uri == history.path


def test_a_view_knows_the_branch_that_it_was_saved_on(history: History) -> None:
    for pins in ({}, {'deeplake_branch': 'dev'}, {'deeplake_branch': 'dev', 'deeplake_commit_id': history.dev}):
        handle = resolve(history.path, deeplake_view_id='dev_end', **pins)
        assert numbers(handle) == [3, 100]
        assert handle.revision.branch == 'dev'


def test_a_plain_tag_knows_its_branch_too(history: History) -> None:
    main = deeplake.open(history.path)
    dev = main.branches['dev'].open()
    dev.tag('release')
    handle = resolve(history.path, deeplake_view_id='release')
    assert numbers(handle) == [0, 1, 2, 3, 100]
    assert (handle.revision.branch, handle.revision.commit_id) == ('dev', history.dev)


def test_a_view_of_another_branch_than_the_one_asked_for_is_refused(history: History) -> None:
    with pytest.raises(ConfigError, match=r"deeplake_branch='dev'.*'even', which was saved on branch 'main'"):
        resolve(history.path, deeplake_branch='dev', deeplake_view_id='even')


def test_a_view_of_another_commit_than_the_one_asked_for_is_refused(history: History) -> None:
    assert numbers(resolve(history.path, deeplake_view_id='even', deeplake_commit_id=history.first)) == [0, 2]
    with pytest.raises(
        ConfigError, match=f"{history.second}.*contradicts.*'even', which shows commit '{history.first}'"
    ):
        resolve(history.path, deeplake_view_id='even', deeplake_commit_id=history.second)


@pytest.mark.parametrize('at', ['@dev', '@even'])
def test_two_different_names_for_one_pin_are_refused(history: History, at: str) -> None:
    key = 'deeplake_branch' if at == '@dev' else 'deeplake_view_id'
    with pytest.raises(ConfigError, match=f"ends in {at}, but {key} is 'other'. Give one of them"):
        resolve(history.path + at, **{key: 'other'})


def test_rows_stay_the_same_when_others_commit(history: History) -> None:
    pins = [
        {},
        {'deeplake_commit_id': history.first},
        {'deeplake_branch': 'dev'},
        {'deeplake_view_id': 'even'},
        {'deeplake_view_id': 'dev_end'},
        {'deeplake_query': 'select * where number > 2 order by number desc'},
    ]
    handles = [resolve(history.path, **pin) for pin in pins]
    before = [numbers(handle) for handle in handles]
    grow(history)
    assert [numbers(handle) for handle in handles] == before, 'handles that were open'
    assert [numbers(again(handle)) for handle in handles] == before, 'copies that open the dataset anew'
    fixed = [resolve(history.path, **pin) for pin in pins[1:2] + pins[3:5]]
    assert [numbers(handle) for handle in fixed] == before[1:2] + before[3:5], 'pins resolved anew'
    assert numbers(resolve(history.path))[-1] == 7, 'and the head has moved'


def test_a_view_that_follows_the_head_is_not_silently_another_one_in_a_worker(history: History) -> None:
    handle = resolve(history.path, deeplake_view_id='following')
    assert numbers(handle) == numbers(again(handle)) == [2, 3, 4, 5]
    assert handle.revision.commit_id == history.second
    grow(history)
    with pytest.raises(RevisionChangedError, match=r'following.*the head'):
        again(handle).read('number', [0])


@pytest.mark.parametrize(
    ('pins', 'message'),
    [
        ({'deeplake_branch': 'dew'}, r"names 'dew'.*Known branches: .*'dev'.*Did you mean 'dev'\?"),
        ({'deeplake_view_id': 'evn'}, r"names 'evn'.*Known views: .*'dev_end', 'even'.*Did you mean 'even'\?"),
        ({'deeplake_commit_id': '0000000009m00000000'}, r"no commit of branch 'main'.*Known commits: '0000000002m"),
        ({'deeplake_branch': 'dev', 'deeplake_commit_id': '0000000009m00000000'}, "no commit of branch 'dev'"),
        ({'deeplake_branch': 'nope', 'deeplake_view_id': 'even'}, 'deeplake_branch=.*nope'),
        ({'at': '@devv'}, r"'devv', which is neither a branch nor a view.*'dev'.*'even'.*Did you mean 'dev'\?"),
    ],
)
def test_an_unknown_name_lists_the_known_ones_and_the_closest(
    history: History, pins: dict[str, str], message: str
) -> None:
    with pytest.raises(RevisionNotFoundError, match=message):
        resolve(history.path + pins.pop('at', ''), **pins)


def test_many_names_are_cut_short(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    dataset = deeplake.open(path)
    for n in range(25):
        dataset.query(f'select * where number == {n % 8}').tag(f'view{n:02}')
    with pytest.raises(RevisionNotFoundError, match='and 5 more'):
        resolve(path, deeplake_view_id='nothing_like_it')


def test_a_path_without_a_dataset_suggests_the_closest_name(make_dataset: Callable[..., str], tmp_path: Path) -> None:
    make_dataset('bccd')
    with pytest.raises(SourceNotFoundError, match=f"no Deep Lake dataset at .*Did you mean '{tmp_path}/bccd'"):
        resolve(str(tmp_path / 'bcd'))
    with pytest.raises(SourceNotFoundError, match=f"The folder '{tmp_path}' exists"):
        resolve(str(tmp_path / 'zzzzzz'))
    with pytest.raises(SourceNotFoundError, match=f"The folder '{tmp_path}/zzzzzz' does not exist"):
        resolve(str(tmp_path / 'zzzzzz' / 'bccd'))
    with pytest.raises(SourceNotFoundError, match="behind the @, 'v1', is looked up as a branch or a view"):
        resolve(str(tmp_path / 'zzzzzz@v1'))


def test_a_folder_or_file_that_is_no_dataset_is_called_so(tmp_path: Path) -> None:
    os.mkdir(tmp_path / 'empty')
    (tmp_path / 'file').write_text('x')
    for name in ('empty', 'file'):
        with pytest.raises(SourceNotFoundError, match='The path exists, but is none'):
            resolve(str(tmp_path / name))


def test_nothing_found_is_a_file_not_found_error() -> None:
    with pytest.raises(FileNotFoundError):
        resolve('/nowhere/at/all')


def test_data_in_memory_that_is_not_there_says_whose_it_is() -> None:
    with pytest.raises(SourceNotFoundError, match='only to the process that wrote it'):
        resolve('mem://never-written')


def test_local_data_and_data_in_memory_need_no_token(make_dataset: Callable[..., str]) -> None:
    assert not [name for name in os.environ if name.startswith(('AWS_', 'ACTIVELOOP_'))]
    assert len(resolve(make_dataset())) == 8
    kept = write_dataset('mem://no-token', 3)
    assert numbers(resolve('mem://no-token')) == [0, 1, 2]
    assert len(kept) == 3


def test_a_dataset_deleted_and_written_anew_is_not_taken_for_the_old_one(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    handle = resolve(path)
    deeplake.delete(path)
    write_dataset(path, 8)
    assert resolve(path).revision.commit_id == handle.revision.commit_id, 'commit ids do not tell them apart'
    with pytest.raises(RevisionChangedError, match=f'expected dataset {handle.revision.dataset_id}'):
        again(handle).read('images', [0])


def test_a_dataset_that_is_gone_is_not_found(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    handle = resolve(path)
    deeplake.delete(path)
    with pytest.raises(SourceNotFoundError):
        again(handle).read('images', [0])


def test_a_lost_commit_log_is_noticed_although_deep_lake_opens_an_empty_dataset(
    make_dataset: Callable[..., str],
) -> None:
    path = make_dataset()
    handle = resolve(path)
    logs = [log for log in Path(path, '_deeplake_log').glob('*/*.jsonl*') if log.parent.name != '_meta']
    assert logs
    for log in logs:
        log.unlink()
    assert len(deeplake.open_read_only(path)) == 0
    with pytest.raises(RevisionChangedError):
        again(handle).read('images', [0])


def test_fewer_rows_than_before_are_noticed(make_dataset: Callable[..., str]) -> None:
    handle = again(resolve(make_dataset()))
    handle.base_rows = 9
    with pytest.raises(RevisionChangedError, match=r'9 rows, but found .* 8 rows'):
        handle.read('images', [0])


def test_a_renamed_branch_is_a_change(history: History) -> None:
    handle = resolve(history.path, deeplake_branch='dev')
    dataset = deeplake.open(history.path)
    dataset.branches['dev'].rename('elsewhere')
    with pytest.raises(RevisionChangedError, match=r"is not what it was.*'dev'"):
        again(handle).read('images', [0])


def test_damaged_metadata_is_a_source_error_that_names_the_path(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    for log in Path(path, '_deeplake_log', '_meta').glob('*.jsonl'):
        log.write_bytes(b'garbage')
    with pytest.raises(SourceError, match=f'{path} could not be opened: '):
        resolve(path)


def test_a_column_alone_keeps_the_dataset_readable(make_dataset: Callable[..., str]) -> None:
    import gc

    handle = resolve(make_dataset(), deeplake_query='select * where number > 1')
    column = handle.selection()['number']
    gc.collect()
    assert [int(n) for n in column[:]] == [2, 3, 4, 5, 6, 7]
    base = resolve(make_dataset('other')).base()
    gc.collect()
    assert len(base['images'].get_bytes(3)) > 0
