"""An unfinished import is never read as a dataset; what was there before it is."""

from __future__ import annotations

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import SourceError, SourceNotFoundError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.unfinished import UNFINISHED, hidden_folder


def resolve(path, **pins):
    return SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': str(path), **pins}))


def begin(path, *, main_rows):
    """A dataset with rows on the branch of an import, and some on its main one."""
    dataset = deeplake.create(str(path))
    if main_rows:
        dataset.add_column('number', 'int64')
        dataset.append({'number': np.arange(main_rows)})
        dataset.commit('there before')
    dataset.branch(UNFINISHED)
    branch = dataset.branches[UNFINISHED].open()
    if not main_rows:
        branch.add_column('number', 'int64')
    branch.append({'number': np.arange(4)})
    branch.commit('a part')


@pytest.mark.parametrize('pins', [{}, {'deeplake_branch': UNFINISHED}, {'deeplake_branch': 'main'}])
def test_rows_on_the_branch_alone_are_no_dataset(pins, tmp_path):
    begin(tmp_path / 'd', main_rows=0)
    with pytest.raises(SourceError, match=r'd holds an unfinished import, which .*run the same command'):
        resolve(tmp_path / 'd', **pins)


def test_rows_of_the_main_branch_are_read_while_others_are_added(tmp_path):
    begin(tmp_path / 'd', main_rows=3)
    assert len(resolve(tmp_path / 'd')) == 3
    for path, pins in ((f'{tmp_path}/d@{UNFINISHED}', {}), (f'{tmp_path}/d', {'deeplake_branch': UNFINISHED})):
        with pytest.raises(SourceError, match='holds an unfinished import'):
            resolve(path, **pins)


def test_an_empty_dataset_without_the_branch_is_no_unfinished_import(tmp_path):
    deeplake.create(str(tmp_path / 'd')).branch('mine')
    assert len(resolve(tmp_path / 'd')) == 0


def test_a_hidden_folder_beside_a_missing_dataset_is_told_of(tmp_path):
    hidden_folder(tmp_path / 'd').mkdir()
    with pytest.raises(SourceNotFoundError, match=r'An import to it is unfinished: run the same command'):
        resolve(tmp_path / 'd')
