"""What is read of format 3 is what Deep Lake 3.9.52 reads: each tensor, row by row, at each commit, branch and view."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.source.handle import SourceHandle
from tests.format3.conftest import DATA
from tests.format3.reading import differences, resolve

HISTORY = json.loads((DATA / 'expected.json').read_text())['history']


def again(handle: SourceHandle) -> SourceHandle:
    """A copy as a worker gets it."""
    return pickle.loads(pickle.dumps(handle))


@pytest.mark.parametrize('commit', HISTORY['commits'])
def test_each_commit_reads_as_it_was(unpacked: Path, commit: str) -> None:
    handle = resolve(unpacked / 'history', deeplake_commit_id=commit)
    assert differences(handle, HISTORY['commits'][commit]) == []
    assert differences(again(handle), HISTORY['commits'][commit]) == []
    assert handle.revision.commit_id == commit


@pytest.mark.parametrize('branch', HISTORY['branches'])
def test_each_branch_reads_as_deep_lake_3_left_it(unpacked: Path, branch: str) -> None:
    for handle in (resolve(unpacked / 'history', deeplake_branch=branch), resolve(f'{unpacked / "history"}@{branch}')):
        assert differences(handle, HISTORY['branches'][branch]) == []
        assert differences(again(handle), HISTORY['branches'][branch]) == []
        assert handle.revision.branch == branch


@pytest.mark.parametrize('view', HISTORY['views'])
def test_each_saved_view_reads_its_rows_in_its_order(unpacked: Path, view: str) -> None:
    wanted: dict[str, Any] = HISTORY['views'][view]
    for handle in (resolve(unpacked / 'history', deeplake_view_id=view), resolve(f'{unpacked / "history"}@{view}')):
        assert differences(handle, wanted) == []
        assert differences(again(handle), wanted) == []
        assert (handle.revision.view_id, handle.revision.commit_id) == (view, wanted['commit'])


@pytest.mark.parametrize('name', ['columns', 'example', 'linked', 'tiled'])
def test_every_kind_of_tensor_reads_as_deep_lake_3_reads_it(
    unpacked: Path, expected: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(unpacked)  # the links are relative paths
    values = {key: value for key, value in expected[name]['values'].items() if key != 'packed_png'}
    wanted = {**expected[name], 'values': values}
    assert differences(resolve(unpacked / name), wanted) == []


def test_what_was_read_stays_when_the_dataset_is_closed(unpacked: Path) -> None:
    handle = resolve(unpacked / 'columns')
    read = [handle.read('packed_lz4', [0, 1]), handle.read('polygons', [2]), handle.read_column('binary_mask', 1, 4)]
    arrays = [array for values in read for value in values for array in (value if isinstance(value, list) else [value])]
    assert len(arrays) == 7
    assert all(array.base is None for array in arrays)
