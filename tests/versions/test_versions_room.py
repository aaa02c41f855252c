"""Nothing is written to a dataset where that cannot end well: on a full disk, or where nothing may be written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.versions import delete_view, edit, list_branches, list_views, save_view, select

FULL, CLOSED = 'its disk has 0 MB left. Nothing was written', 'may not be written to by this user'


def edit_rows(path: str) -> None:
    with edit(path, branch='fixes', create_branch=True, message='m') as dataset:
        dataset.drop_row(1)


def save_rows(path: str) -> None:
    save_view(select({'deeplake_path': path}, ['select * limit 3'], to_save=True), 'few')


def delete_rows(path: str) -> None:
    delete_view(path, 'all')


@pytest.fixture(params=[FULL, CLOSED])
def refusal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said on a disk that is full, and where the folder is closed to the user."""
    if request.param == FULL:
        usage = shutil.disk_usage(Path.cwd())
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=1000))
    else:
        monkeypatch.setattr(os, 'access', lambda path, mode: mode != os.W_OK)
    return request.param


def contents(path: str) -> set[tuple[str, int]]:
    return {(file.as_posix(), file.stat().st_mtime_ns) for file in Path(path).rglob('*')}


@pytest.mark.parametrize('change', [edit_rows, save_rows, delete_rows])
def test_a_dataset_that_cannot_be_written_is_left_as_it_is(
    change: Callable[[str], Any], street: str, refusal: str
) -> None:
    before = contents(street)
    with pytest.raises(SourceError, match=refusal):
        change(street)
    assert contents(street) == before
    assert [view.name for view in list_views(street)] == ['all']
    assert [branch.name for branch in list_branches(street)] == ['main']


def test_the_room_that_an_edit_needs_grows_with_what_it_writes(street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(street)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=4 * 2**20 + 10))
    with edit(street, branch='fixes', create_branch=True, message='m') as dataset:
        dataset.drop_row(1)
    with (
        pytest.raises(SourceError, match='needs 4 MB more'),
        edit(street, branch='fixes', message='m') as dataset,
    ):
        dataset.drop_object(0, 0)
