"""Handles: what they ship to other processes, and that reads there give the same bytes or an error."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.children import digests, in_child, report, run_script
from tests.support.datasets import png, rows, write_dataset

SECRET = 'sEcReTpRoBe/0123456789'


def resolve(path: str, **pins: Any) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, **pins}))


def held_objects(value: Any, seen: set[int] | None = None) -> list[Any]:
    """Everything reachable through attributes and containers."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return []
    seen.add(id(value))
    inner = list(getattr(value, '__dict__', {}).values())
    inner += list(value) if isinstance(value, (list, tuple, set)) else []
    inner += list(value.values()) if isinstance(value, dict) else []
    return [value, *(item for part in inner for item in held_objects(part, seen))]


def test_a_pickle_keeps_rows_and_revision_and_holds_nothing_of_deep_lake(make_dataset: Callable[..., str]) -> None:
    handle = resolve(make_dataset(), deeplake_query='select * where number > 2 order by number desc')
    assert any(type(item).__module__.startswith('deeplake.') for item in held_objects(handle)), 'it is open'
    data = pickle.dumps(handle)
    copied = pickle.loads(data)
    assert not any(type(item).__module__.startswith('deeplake.') for item in held_objects(copied))
    assert b'deeplake._deeplake' not in data
    assert (copied.rows.tolist(), copied.revision, copied.base_rows) == ([7, 6, 5, 4, 3], handle.revision, 8)
    assert copied.rows.dtype == np.int64
    assert not copied.is_open
    assert handle.is_open, 'pickling closes nothing'


def test_a_pickle_holds_no_secret(make_dataset: Callable[..., str]) -> None:
    credentials = {'token': SECRET, 'creds': {'aws_secret_access_key': SECRET[::-1]}}
    handle = resolve(make_dataset(), deeplake_credentials=credentials)
    for text in (pickle.dumps(handle), repr(handle).encode(), repr(vars(handle)).encode()):
        assert SECRET.encode() not in text
        assert SECRET[::-1].encode() not in text
    assert SECRET not in str(handle.revision.to_strings())
    assert pickle.loads(pickle.dumps(handle)).read('images', [1]) == [png(1)]


def test_a_copy_opens_nothing_before_it_reads(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    handle = resolve(path)
    data = pickle.dumps(handle)
    deeplake.delete(path)
    copied = pickle.loads(data)
    assert (len(copied), repr(copied), copied.revision) == (8, repr(handle), handle.revision)
    with pytest.raises(SourceError):
        copied.read('images', [0])


@pytest.mark.parametrize('method', ['fork', 'spawn', 'forkserver'])
def test_a_child_process_reads_the_same_bytes_of_the_same_revision(
    make_dataset: Callable[..., str], method: str
) -> None:
    path = make_dataset()
    dataset = deeplake.open(path)
    dataset.query('select * where number % 2 == 1').tag('odd')
    handle = resolve(path, deeplake_view_id='odd', deeplake_query='select * order by number desc limit 3')
    here = digests(handle, 'images', handle.rows)
    dataset.append(rows([100, 101]))
    dataset.commit('later')
    assert in_child(method, report, handle, 'images', handle.rows) == (False, here, [3, 2, 1], handle.revision)


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_a_child_process_refuses_another_dataset_at_the_same_path(
    make_dataset: Callable[..., str], method: str
) -> None:
    path = make_dataset()
    handle = resolve(path)
    deeplake.delete(path)
    write_dataset(path, 8)
    assert in_child(method, report, handle, 'images', [0]).startswith('RevisionChangedError: The dataset changed')


def test_data_in_memory_is_read_in_forked_children_and_refused_in_others() -> None:
    kept = write_dataset('mem://children', 4)
    handle = resolve('mem://children')
    here = digests(handle, 'images', [0, 3])
    assert in_child('fork', report, handle, 'images', [0, 3]) == (False, here, [0, 1, 2, 3], handle.revision)
    assert in_child('spawn', report, handle, 'images', [0]).startswith('SourceNotFoundError: ')
    assert len(kept) == 4


def test_a_handle_in_the_middle_of_a_fork_is_reopened_in_the_child_only(make_dataset: Callable[..., str]) -> None:
    handle = resolve(make_dataset())
    base = handle.base()
    assert in_child('fork', report, handle, 'images', [1])[0] is False
    assert handle.base() is base


def test_reads_of_any_column_give_one_item_a_row(make_dataset: Callable[..., str]) -> None:
    from deeplake import types

    texts = [f'text {n}' for n in range(8)]
    handle = resolve(make_dataset(types={'words': types.Text()}, values={'words': texts}))
    assert handle.read('images', [3, 1, 3]) == [png(3), png(1), png(3)]
    assert handle.read('words', np.array([2, 0])) == ['text 2', 'text 0']
    assert [boxes.shape for boxes in handle.read('boxes', [0, 1, 2])] == [(0, 4), (1, 4), (2, 4)]
    assert handle.read('number', [5]) == [5]


def test_a_row_out_of_range_is_an_index_error(make_dataset: Callable[..., str]) -> None:
    with pytest.raises(IndexError, match='8'):
        resolve(make_dataset()).read('images', [8])


def test_a_deleted_data_file_names_column_and_row_and_the_next_handle_reads_again(
    make_dataset: Callable[..., str],
) -> None:
    path = make_dataset()
    files = [file for file in Path(path).rglob('*') if file.is_file() and '_deeplake_log' not in file.parts]
    contents = {file: file.read_bytes() for file in files}
    for file in files:
        file.unlink()
    handle = resolve(path)
    with pytest.raises(SourceError, match=r"Reading column 'images', row 2 of .* failed"):
        handle.read('images', [2])
    for file, content in contents.items():
        file.write_bytes(content)
    assert handle.read('images', [2]) == [png(2)], 'a handle that failed once fails for ever, so it was thrown away'


def test_the_digest_completes_the_revision(make_dataset: Callable[..., str]) -> None:
    handle = resolve(make_dataset())
    handle.with_digest('abc')
    strings = handle.revision.to_strings()
    assert strings['digest'] == 'abc'
    assert strings['rows'] == '8'
    assert strings['query'] == strings['view_id'] == ''
    assert all(type(value) is str for value in strings.values())


def test_a_fork_with_open_handles_warns_of_nothing(make_dataset: Callable[..., str]) -> None:
    code = """
import os, sys
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source.handle import SourceHandle
HANDLE = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': sys.argv[1], 'deeplake_query': 'select *'}))
expected = HANDLE.read('images', [3])
pid = os.fork()
if pid == 0:
    os._exit(0 if HANDLE.read('images', [3]) == expected else 1)
assert os.waitpid(pid, 0)[1] == 0
print('good')
"""
    ran = run_script(code, make_dataset())
    assert (ran.returncode, ran.stdout.splitlines()[-1:], 'Warning' in ran.stderr) == (0, ['good'], False), ran.stderr


def test_a_lazy_dataset_touches_no_storage(s3: Any, make_dataset: Callable[..., str]) -> None:
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

    lazy = DeepLakeDataset(s3.path, deeplake_credentials={'creds': s3.creds}, lazy_init=True)
    again = pickle.loads(pickle.dumps(lazy))
    assert s3.requests == []
    assert s3.creds['aws_secret_access_key'].encode() not in pickle.dumps(lazy)
    write_dataset(s3.path, 5, creds=s3.creds)
    s3.requests.clear()
    assert len(again) == len(lazy) == 5
    assert s3.requests


def test_importing_the_package_does_not_open_or_import_deep_lake() -> None:
    ran = run_script('import sys, deeplake_mmdet; print("deeplake" in sys.modules)')
    assert ran.stdout.splitlines()[-1] == 'False', ran.stderr
