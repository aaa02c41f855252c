"""Fingerprints: the same for the same content, another one for other content of the same revision, or none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import deeplake
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source.fingerprint import fingerprint
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.datasets import append_rows, write_dataset


def resolve(path: str, **pins: str) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, **pins}))


def found(path: str, **pins: str) -> str | None:
    return fingerprint(resolve(path, **pins))


def test_a_revision_has_one_fingerprint_in_every_process(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    dataset = deeplake.open(path)
    dataset.query('select * where number < 3').tag('few')
    commit = dataset.version
    first, view = found(path), found(path, deeplake_view_id='few')
    append_rows(dataset, [20])
    assert found(path, deeplake_commit_id=commit) == first is not None
    assert found(path, deeplake_view_id='few') == view is not None
    assert len({first, view, found(path)}) == 3


def test_a_view_saved_anew_under_its_name_has_another_one(make_dataset: Callable[..., str]) -> None:
    path = make_dataset(count=40)
    revisions, prints = [], set()
    for _ in range(2):
        dataset = deeplake.open(path)
        dataset.query('select * order by random() limit 20').tag('some')
        handle = resolve(path, deeplake_view_id='some')
        revisions.append(handle.revision)
        prints.add(fingerprint(handle))
        dataset.tags['some'].delete()
    assert revisions[0] == revisions[1]
    assert len(prints) == 2


def test_two_commits_of_one_id_at_one_path_differ(make_dataset: Callable[..., str], tmp_path: Path) -> None:
    path = make_dataset()
    shutil.copytree(path, tmp_path / 'backup')
    revisions, prints = [], set()
    for row in (1, 2):
        dataset = deeplake.open(path)
        append_rows(dataset, [row])
        handle = resolve(path)
        revisions.append(handle.revision)
        prints.add(fingerprint(handle))
        shutil.rmtree(path)
        shutil.copytree(tmp_path / 'backup', path)
    assert revisions[0] == revisions[1]
    assert len(prints) == 2


def test_content_that_may_change_has_none(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    deeplake.open(path).query('select * where number < 3').tag('moving', fixed_version=False)
    assert found(path, deeplake_view_id='moving') is None
    kept = write_dataset('mem://fingerprint', 2)
    assert found('mem://fingerprint') is None
    assert len(kept) == 2


@pytest.mark.parametrize('endpoint', ['http://one:9000', 'http://two:9000'])
def test_two_servers_are_told_apart(make_dataset: Callable[..., str], endpoint: str) -> None:
    path = make_dataset()
    keys = {'deeplake_credentials': {'creds': {'endpoint_url': endpoint}}}
    assert found(path, **keys) == f'{found(path)}{endpoint}'  # type: ignore[arg-type]
