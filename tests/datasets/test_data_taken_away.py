"""Somebody else changes or deletes the dataset during a training: it goes on with what it pinned, or says what is gone.

Workers that are started for every epoch open the dataset again; those that stay have it open.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest
import torch
from mmengine.config import Config

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.datasets.image_faults import ImageFaults
from deeplake_mmdet.errors import RevisionChangedError, SourceError, SourceNotFoundError
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.children import in_child, report
from tests.support.small_training import iterations, train, training, write_images

WORKERS = dict(train_dataloader__num_workers=1)
STAYING = dict(**WORKERS, train_dataloader__persistent_workers=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread; and no formatting of the config for every checkpoint."""
    torch.set_num_threads(1)
    monkeypatch.setattr(Config, 'pretty_text', property(lambda config: config.filename or ''))


@pytest.fixture
def path(tmp_path) -> str:
    """Seven images, and a view of four of them."""
    path = write_images(tmp_path / 'ds', 7)
    deeplake.open(path).query('select * where ROW_NUMBER() < 4').tag('some')
    return path


@pytest.fixture
def run(path, tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Trains for two epochs on the view or on all, and somebody changes something in between; the log."""

    def begin(what: str | None, view: str | None = None, **changes: Any) -> list[dict[str, Any]]:
        hooks = [dict(type='BatchLog')]
        hooks += [dict(type='tests.support.failing.SomebodyElse', what=what, path=path)] if what else []
        cfg = training(path, tmp_path / f'{what}', custom_hooks=hooks, train_cfg__max_epochs=2, **changes)
        cfg.train_dataloader.dataset.deeplake_view_id = view
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        return iterations(train(cfg))

    return begin


@pytest.mark.parametrize('workers', [{}, WORKERS])
def test_a_run_goes_on_with_what_it_pinned_when_somebody_writes_to_its_branch(run, workers):
    undisturbed = run(None, **workers)
    assert len(undisturbed) == 8
    assert run('rows', **workers) == undisturbed


@pytest.mark.parametrize(('what', 'workers'), [('view', {}), ('view', STAYING), ('another view', STAYING)])
def test_a_run_that_has_a_view_open_goes_on_when_it_is_deleted(run, what, workers):
    undisturbed = run(None, 'some', **workers)
    assert len(undisturbed) == 4
    assert run(what, 'some', **workers) == undisturbed


READING = r".* Found on reading column 'images', row \[?\d"


@pytest.mark.parametrize(
    ('what', 'view', 'error', 'message'),
    [
        ('view', 'some', RevisionChangedError, r"ds @ main:\w+, view 'some', 4 rows is not what it was" + READING),
        ('another view', 'some', RevisionChangedError, r"its view 'some' is another one of the same name" + READING),
        ('folder', None, SourceNotFoundError, r'ds @ main:\w+, 7 rows was there when .* and is gone' + READING),
        (
            'files',
            None,
            SourceError,
            r"Reading column 'images', row \[?\d.* of .*ds @ main:\w+, 7 rows failed: .*A file of the dataset is gone",
        ),
    ],
)
def test_workers_that_open_it_again_say_what_is_gone(run, tmp_path, what, view, error, message):
    # Of several rows in one call, Deep Lake 4.7 crashes now and then when their file is gone.
    one_by_one = dict(train_dataloader__dataset__deeplake_dataloader_type='python')
    with pytest.raises(error, match=message):
        run(what, view, **WORKERS, **one_by_one)
    assert len(iterations_of(tmp_path / what)) == (2 if view else 4)


def iterations_of(work_dir: Path) -> list[str]:
    return (work_dir / 'batches0.jsonl').read_text().splitlines()


def resolved(path: str, **keys: Any) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config(dict(deeplake_path=path, **keys)))


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_a_view_saved_anew_with_as_many_rows_is_not_taken_for_the_old_one(path, method):
    handle = resolved(path, deeplake_view_id='some')
    dataset = deeplake.open(path)
    dataset.tags['some'].delete()
    deeplake.open(path).query('select * where ROW_NUMBER() > 2').tag('some')
    found = in_child(method, report, handle, 'images', [0])
    assert found.startswith('RevisionChangedError: The dataset changed since it was resolved')
    assert "its view 'some' is another one of the same name" in found


def test_a_commit_of_the_same_number_with_other_rows_is_not_taken_for_the_old_one(path, tmp_path):
    """Its folder is put back from a backup, and written on: Deep Lake counts its commits anew."""
    shutil.copytree(path, tmp_path / 'backup')
    write(path, 1)
    handle = resolved(path)
    shutil.rmtree(path)
    shutil.move(tmp_path / 'backup', path)
    write(path, 2)
    assert resolved(path).revision.commit_id == handle.revision.commit_id
    found = in_child('spawn', report, handle, 'images', [0])
    assert f'its commit {handle.revision.commit_id} is another one of the same name' in found


def write(path: str, row: int) -> None:
    """Give a row another image, and commit."""
    dataset = deeplake.open(path)
    dataset['images'][row] = dataset['images'][row + 1]
    dataset.commit(f'row {row}')


def test_a_dataset_that_is_gone_is_no_image_to_skip():
    class Gone:
        class reader:
            @staticmethod
            def sizes(rows):
                return [None] * len(rows)

        @staticmethod
        def get(row):
            raise SourceNotFoundError('gone')

    sizes = np.zeros((2, 2), np.int64)
    with pytest.raises(SourceNotFoundError, match=r'^gone$'):
        ImageFaults(Gone(), skip=True).complete_sizes(sizes, np.arange(2))
