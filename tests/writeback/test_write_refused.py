"""What cannot be written to is refused before the model runs, and what fails in writing leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.convert.lock import ImportLock
from deeplake_mmdet.errors import (
    ColumnError,
    ConfigError,
    ConversionError,
    DeepLakeMMDetError,
    RevisionChangedError,
    SourceError,
)
from deeplake_mmdet.scoring.values import Part
from deeplake_mmdet.source.adopted import adopt
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.live import release
from deeplake_mmdet.writeback import committing
from deeplake_mmdet.writeback.target import Target
from tests.writeback.scored import (
    CLASSES,
    GROUP,
    assert_right,
    branches,
    columns_of,
    digest,
    head,
    messages,
    opened,
    parts_of,
    write,
)


@pytest.mark.parametrize(
    ('keys', 'said'),
    [
        ({'branch': 'main'}, "got 'main': results never go to the main branch"),
        ({'branch': 'few'}, "got 'few': a view has this name"),
        ({'branch': 'unfinished-import'}, 'imports use this name'),
        ({'branch': 'a@b'}, 'could not name it'),
        ({'branch': ' '}, 'could not name it'),
        ({}, r'expected one of the two, but got None and None'),
        ({'branch': 'b', 'to': 'x'}, r'expected one of the two'),
        ({'branch': 'b', 'run': 'a/b'}, r"Target.of\(run='a/b'\) expected letters"),
        ({'branch': 'b', 'run': 'iou'}, 'no name of a column'),
        ({'branch': 'b', 'run': 'loss_cls'}, 'no name of a column'),
        ({'branch': 'b', 'run': ''}, 'expected letters'),
    ],
)
def test_names_that_no_results_can_have_are_refused(keys: dict[str, Any], said: str, make_dataset: Callable[..., str]):
    path = make_dataset()
    deeplake.open(path).query('select * limit 2').tag('few')
    with pytest.raises(ConfigError, match=said):
        Target.of(opened(path), None, **keys)


def test_a_folder_that_is_closed_to_the_user_is_refused_at_once(make_dataset: Callable[..., str], monkeypatch):
    path = make_dataset()
    source = opened(path)
    monkeypatch.setattr(os, 'access', lambda path, mode: mode != os.W_OK)
    with pytest.raises(SourceError, match=r'may not be written to by this user.*Write the results to .*--to PATH'):
        Target.of(source, None, branch='scores')


def test_an_object_that_a_program_has_open_is_refused(make_dataset: Callable[..., str]):
    dataset = deeplake.open(make_dataset())
    dataset['number'][0] = np.int64(5)  # in no commit
    keys = adopt(dataset)
    source = SourceHandle.resolve(DatasetSpec.from_config(keys))
    with pytest.raises(SourceError, match='a program has open'):
        Target.of(source, None, branch='scores')
    release(keys['deeplake_path'])
    dataset.rollback()


def edited(path: str, change: Callable[[Any], None]) -> None:
    """Make the branch ``scores``, and change it."""
    dataset = deeplake.open(path)
    dataset.branch('scores')
    tip = dataset.branches['scores'].open()
    change(tip)
    tip.commit('changed')


def set_label(tip: Any) -> None:
    tip['categories'][5] = np.array([1, 1], 'uint32')


def rename_class(tip: Any) -> None:
    tip['categories'].metadata['class_names'] = ['cat', 'horse']


def set_image(tip: Any) -> None:
    tip['images'][5] = np.zeros((16, 20, 3), np.uint8)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda tip: tip.delete(2), '7 rows instead of 8: one of the two was edited since'),
        (set_label, "other values in column 'categories'"),
        (set_image, "other data in column 'images'"),
        (rename_class, 'other columns'),
        (lambda tip: tip.remove_column('number'), "no column 'number'"),
    ],
    ids=['row', 'label', 'image', 'class', 'column'],
)
def test_a_branch_with_other_rows_is_refused(change, said: str, make_dataset: Callable[..., str]):
    path = make_dataset()
    edited(path, change)
    with pytest.raises(RevisionChangedError, match=said) as error:
        Target.of(opened(path), None, branch='scores')
    assert f'Score {path}@scores itself, or choose another branch.' in str(error.value)
    target = Target.of(opened(path, branch='scores'), None, branch='scores')
    assert len(target.rows) == len(head(path, 'scores'))


def test_rows_that_were_added_to_main_since_are_noticed(make_dataset: Callable[..., str]):
    path = make_dataset()
    write(opened(path))
    dataset = deeplake.open(path)
    dataset.delete(0)
    dataset.commit('one less')
    with pytest.raises(RevisionChangedError, match='8 rows instead of 7'):
        Target.of(opened(path), None, branch='scores')


@pytest.mark.parametrize(
    ('name', 'dtype', 'shown'),
    [
        ('loss', 'float64', 'float64'),
        ('iou', types.Text(), 'text'),
        ('boxes', types.Nullable(types.BoundingBox('float32', 'ltrb', 'pixel')), 'bbox'),
        ('loss_bbox', 'int32', 'int32'),
    ],
)
def test_a_column_of_another_type_is_refused_by_name(name: str, dtype: Any, shown: str, make_dataset):
    path = make_dataset()
    edited(path, lambda tip: tip.add_column(GROUP + name, dtype))
    with pytest.raises(ColumnError, match=rf"'{GROUP}{name}' of .*@scores is '.*{shown}.*stored there as") as error:
        Target.of(opened(path), None, branch='scores')
    assert 'Give the run a name' in str(error.value)
    write(opened(path), run='second')
    assert_right(path, set(range(8)), prefix=f'{GROUP}second/')


def write_parts(path: str, parts: Any, columns: tuple[str, ...] = ('loss',)) -> None:
    target = Target.of(opened(path), None, branch='scores')
    target.write(parts, classes=CLASSES, columns=columns, message='m', facts={})


def fails() -> Iterator[Part]:
    yield Part(np.array([1]), {'loss': [2.0]})
    raise MemoryError('of the model')


BAD = {
    'none': ([Part(np.array([1]), {})], "1 values of 'loss' in a part, but got none"),
    'few': ([Part(np.array([1, 2]), {'loss': [1.0]})], 'expected 2 values .* but got 1 of them'),
    'text': ([Part(np.array([1]), {'loss': ['high']})], 'real number|expected number in column'),
    'died': (fails(), 'of the model'),
}


@pytest.mark.parametrize('kind', BAD)
@pytest.mark.parametrize('there', [False, True], ids=['new branch', 'old branch'])
def test_a_write_that_fails_leaves_nothing_behind(kind: str, there: bool, make_dataset: Callable[..., str]):
    parts, said = BAD[kind]
    path = make_dataset()
    if there:
        write(opened(path))
    before = digest(path), digest(path, 'scores') if there else None
    with pytest.raises(DeepLakeMMDetError, match=said):
        write_parts(path, fails() if kind == 'died' else parts)
    assert branches(path) == (['main', 'scores'] if there else ['main'])
    assert (digest(path), digest(path, 'scores') if there else None) == before
    write(opened(path))
    assert_right(path, set(range(8)))


@pytest.mark.parametrize(
    ('column', 'value', 'said'),
    [
        ('tp', 2**31, 'expected count in column'),
        ('labels', np.array([-1]), 'does not fit uint32'),
        ('labels', np.array([0.5]), 'does not fit uint32'),
        ('boxes', np.zeros((2, 5)), 'four numbers each'),
        ('scores', np.zeros((2, 2)), 'dimensions'),
        ('masks', [{'size': [1, 2]}], 'counts'),
    ],
)
def test_values_that_a_column_would_change_are_refused(column: str, value: Any, said: str, make_dataset):
    with pytest.raises(ColumnError, match=said):
        write_parts(make_dataset(), [Part(np.array([0]), {column: [value]})], (column,))


def test_a_column_that_no_result_is_named_by_is_refused(make_dataset: Callable[..., str]):
    with pytest.raises(ColumnError, match="names 'colour', which is no column of results"):
        write_parts(make_dataset(), [], ('colour',))


def test_a_full_disk_is_noticed_before_the_commit(make_dataset: Callable[..., str], monkeypatch):
    path = make_dataset()
    target = Target.of(opened(path), None, branch='scores')
    usage = shutil.disk_usage(path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=1000))
    with pytest.raises(SourceError, match=r'its disk has 0 MB left. Nothing was written'):
        target.write(parts_of(opened(path)), classes=CLASSES, columns=('loss',), message='m', facts={})
    assert branches(path) == ['main']


def test_of_two_at_once_one_says_that_the_other_is_writing(make_dataset: Callable[..., str]):
    path = make_dataset()
    lock = ImportLock(Path(path).with_name('.dataset.import-lock'), path)
    with pytest.raises(ConversionError, match=r'Target.write\(branch=\) expected .* for itself, but .* process \d+'):
        write(opened(path))
    lock.release()
    write(opened(path))
    assert_right(path, set(range(8)))


def test_columns_that_another_run_wrote_during_the_scoring_are_kept(make_dataset: Callable[..., str]):
    path = make_dataset()
    slow, other = (Target.of(opened(path), None, branch='scores') for _ in range(2))
    named = Target.of(opened(path), None, branch='scores', run='third')
    both = {'classes': CLASSES, 'columns': ('loss', 'tp'), 'message': 'm', 'facts': {}}
    other.write(parts_of(opened(path), salt='first'), **both)
    before = digest(path, 'scores')
    with pytest.raises(RevisionChangedError, match=rf"another process wrote '{GROUP}loss' meanwhile.*results are kept"):
        slow.write(parts_of(opened(path)), **both)
    assert digest(path, 'scores') == before
    assert named.write(parts_of(opened(path)), **both).rows == 8


def commit_between(path: str) -> None:
    dataset = deeplake.open(path)
    tip = dataset.branches['scores'].open()
    tip['number'][0] = np.int64(77)
    tip.commit('between')


def test_a_commit_that_comes_between_is_noticed_and_kept(make_dataset: Callable[..., str]):
    path = make_dataset()
    write(opened(path), run='old')

    def parts() -> Iterator[Part]:
        yield from parts_of(opened(path), columns=('loss',))
        commit_between(path)

    with pytest.raises(RevisionChangedError, match=r'committed to branch .* while the results were written'):
        write_parts(path, parts())
    assert messages(path, 'scores')[-1] == 'between'
    assert f'{GROUP}loss' not in columns_of(path, 'scores')


def test_a_commit_at_the_very_same_time_is_noticed_after_it(make_dataset: Callable[..., str], monkeypatch):
    path = make_dataset()
    commit = committing.commit_dataset

    def late(dataset: Any, message: str) -> None:
        commit_between(path)
        commit(dataset, message)

    monkeypatch.setattr(committing, 'commit_dataset', late)
    with pytest.raises(RevisionChangedError, match=r'another process committed to branch .* at the same time'):
        write(opened(path))


def test_what_the_storage_gives_back_otherwise_is_noticed(make_dataset: Callable[..., str], monkeypatch):
    path = make_dataset()
    commit = committing.commit_dataset

    def lossy(dataset: Any, message: str) -> None:
        dataset[f'{GROUP}tp'][4] = np.int32(1)
        commit(dataset, message)

    monkeypatch.setattr(committing, 'commit_dataset', lossy)
    with pytest.raises(SourceError, match=r'committed as .*, but row 4 has other values than were written'):
        write(opened(path))
