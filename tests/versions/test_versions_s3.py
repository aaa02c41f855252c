"""Views, edits and lists over S3: as locally, with credentials from a file, and no secret in any message."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.versions import diff, edit, list_branches, list_views, save_view, select
from deeplake_mmdet.versions.opening import Place
from tests.support.datasets import write_dataset
from tests.support.s3_server import SECRET_KEY, S3Server

ROWS = 12


@pytest.fixture
def keys(s3: S3Server) -> dict[str, Any]:
    """A dataset of 12 rows on S3: its path and credentials as config keys."""
    write_dataset(s3.path, ROWS, creds=s3.creds, types={'img_id': 'int64'}, values={'img_id': np.arange(ROWS)})
    return {'deeplake_path': s3.path, 'deeplake_credentials': {'creds': s3.creds}}


def test_a_query_is_saved_and_opens_with_the_same_rows(s3: S3Server, keys: dict[str, Any]) -> None:
    union = '(select * where number > 7 limit 2) union (select * where number < 3)'
    for name, query in (('union', union), ('drawn', 'select * order by random() limit 5')):
        selection = select(keys, [query], to_save=True)
        saved = save_view(selection, name)
        handle = deeplake.open_read_only(s3.path, creds=s3.creds)
        view = handle.tags[name].open()
        assert [int(number) for number in view['number'][:]] == selection.rows.tolist()
        assert saved.rows == len(selection)
    assert [view.name for view in list_views(s3.path, keys['deeplake_credentials'])] == ['drawn', 'union']


def test_rows_and_objects_are_edited_on_a_branch(s3: S3Server, keys: dict[str, Any]) -> None:
    creds = keys['deeplake_credentials']
    with edit(s3.path, branch='fix', create_branch=True, message='m', credentials=creds) as dataset:
        dataset.drop_row(0)
        dataset.drop_object(2, 0)
        dataset.relabel(1, 0, 'dog')
    found = diff(keys, {**keys, 'deeplake_branch': 'fix'})
    assert found.removed == [(0, 0)]
    assert [(change.key, str(change.objects)) for change in found.changed] == [
        (1, '1 relabelled: cat → dog'),
        (2, '1 dropped'),
    ]
    assert [branch.rows for branch in list_branches(s3.path, creds)] == [ROWS, ROWS - 1]


def test_the_verbs_take_credentials_from_a_file(
    s3: S3Server, keys: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'creds.json'
    file.write_text(json.dumps(keys['deeplake_credentials']))
    creds = ['--creds', str(file)]
    assert main(['query', s3.path, 'select * where number > 8', '--save-view', 'end', *creds]) == 0
    assert main(['edit', s3.path, '--branch', 'main', '--drop-row', '11', '--message', 'm', *creds]) == 0
    assert main(['views', s3.path, *creds]) == 0
    assert main(['log', s3.path, *creds]) == 0
    assert main(['branches', s3.path, *creds]) == 0
    assert main(['diff', s3.path, f'{s3.path}@end', '--without', 'images', *creds]) == 1
    shown = capsys.readouterr()
    assert SECRET_KEY not in shown.out + shown.err
    assert '3 of 12 rows' in shown.out
    assert 'dropped row 11' in shown.out
    # Deep Lake's deletion keeps other threads waiting, that of the server among them.
    command = [sys.executable, '-m', 'deeplake_mmdet', 'views', s3.path, '--delete', 'end', *creds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("Deleted the view 'end' (3 rows of main:"), done.stderr
    assert list_views(s3.path, keys['deeplake_credentials']) == []


def test_storage_that_refuses_writing_leaves_nothing(s3: S3Server, keys: dict[str, Any]) -> None:
    def writes(request: Any) -> bool:
        return request.method in ('PUT', 'POST')

    with (
        s3.fault('403 Forbidden', 'AccessDenied', matches=writes),
        pytest.raises(SourceError, match=f"Editing branch 'main' of {s3.path} failed: StorageAccessDenied"),
        edit(s3.path, branch='main', message='m', credentials=keys['deeplake_credentials']) as dataset,
    ):
        dataset.drop_row(0)
    assert len(deeplake.open_read_only(s3.path, creds=s3.creds)) == ROWS
    selection = select(keys, ['select * limit 3'], to_save=True)
    with (
        s3.fault('403 Forbidden', 'AccessDenied', matches=writes),
        pytest.raises(SourceError, match=f"Saving the view 'kept' of {s3.path} failed: StorageAccessDenied"),
    ):
        save_view(selection, 'kept')
    assert list_views(s3.path, keys['deeplake_credentials']) == []


def test_no_message_shows_a_secret(s3: S3Server) -> None:
    place = Place.of(s3.path, {'creds': s3.creds})
    for what in ('', 'Editing'):
        with pytest.raises(SourceError, match=r'No-\*\*\*') as caught, place.guarded(what):
            raise RuntimeError(f'No-{SECRET_KEY}')
        assert SECRET_KEY not in str(caught.value)
