"""Queries: the rows that TQL selects, known by their number in the dataset; what cannot be traced is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ColumnError, ConfigError, QueryError, RevisionChangedError
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.datasets import append_rows, png


def resolve(path: str, **pins: Any) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, **pins}))


def selected(handle: SourceHandle) -> list[int]:
    """The row numbers, after checking that the rows hold what the columns of the selection hold."""
    rows = handle.rows.tolist()
    selection, base = handle.selection(), handle.base()
    assert handle.rows.dtype == np.int64
    assert handle.read('images', rows) == list(selection['images'].get_bytes(slice(0, len(rows))))
    for row, boxes in zip(rows, selection['boxes'][:], strict=True):
        assert np.array_equal(boxes, base['boxes'][row])
    return rows


@pytest.mark.parametrize(
    ('query', 'rows'),
    [
        ('select * where number > 5', [6, 7]),
        ('  SELECT  *  WHERE number > 5 ; ', [6, 7]),
        ('select *\nwhere number > 5', [6, 7]),
        ('select * order by number desc limit 3', [7, 6, 5]),
        ('select * order by number desc limit 2 offset 1', [6, 5]),
        ('select * limit 2', [0, 1]),
        ("select * where contains(categories, 'dog')", [2, 5]),
        ('select * where shape(boxes)[0] == 0', [0, 3, 6]),
        ('select images, boxes, categories where number > 5', [6, 7]),
        ('SELECT images, boxes, categories, number ORDER BY number DESC LIMIT 1', [7]),
        ('select * from (select * where number > 2) where number < 5', [3, 4]),
        ('select *, number * 2 as twice where number == 4', [4]),
    ],
)
def test_a_query_selects_rows_by_their_number_in_the_dataset(
    make_dataset: Callable[..., str], query: str, rows: list[int]
) -> None:
    handle = resolve(make_dataset(), deeplake_query=query)
    assert selected(handle) == rows
    assert len(handle) == handle.revision.rows == len(rows)
    assert handle.revision.query == query


def test_a_random_order_stays_what_it_was(make_dataset: Callable[..., str]) -> None:
    handle = resolve(make_dataset(count=40), deeplake_query='select * order by random() limit 10')
    rows = selected(handle)
    assert len(set(rows)) == 10
    assert selected(handle) == rows


def test_a_query_on_a_commit_sees_that_commit(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    dataset = deeplake.open(path)
    first = dataset.version
    append_rows(dataset, [8, 9])
    query = 'select * where number > 5'
    assert selected(resolve(path, deeplake_commit_id=first, deeplake_query=query)) == [6, 7]
    assert selected(resolve(path, deeplake_query=query)) == [6, 7, 8, 9]


def test_a_query_on_a_view_counts_rows_in_the_view(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    deeplake.open(path).query('select * where number % 2 == 1').tag('odd')
    handle = resolve(path, deeplake_view_id='odd', deeplake_query='select * where number > 3 order by number desc')
    assert selected(handle) == [3, 2]
    assert handle.read('images', handle.rows) == [png(7), png(5)]
    assert (handle.revision.view_id, handle.revision.rows) == ('odd', 2)


@pytest.mark.parametrize('query', ['select * where number > 99', 'select images, boxes where number > 99'])
def test_a_query_that_selects_nothing_is_refused(make_dataset: Callable[..., str], query: str) -> None:
    with pytest.raises(QueryError, match=r'> 99.*which selects none of the 8 rows'):
        resolve(make_dataset(), deeplake_query=query)


@pytest.mark.parametrize(
    ('query', 'message'),
    [
        ('select images, boxes, categories from (select images, boxes, categories)', 'cannot be traced back'),
        ('select * group by number > 3', 'merges rows'),
        ('select * group by number', 'merges rows'),
    ],
)
def test_rows_that_cannot_be_traced_are_refused(make_dataset: Callable[..., str], query: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        resolve(make_dataset(), deeplake_query=query)


def test_a_query_of_another_dataset_is_refused(make_dataset: Callable[..., str]) -> None:
    other = make_dataset('other')
    with pytest.raises(ConfigError, match=r'Leave out one of them: a query without "from" is run on deeplake_path'):
        resolve(make_dataset(), deeplake_query=f'select * from "{other}" where number > 3')


@pytest.mark.parametrize(
    ('query', 'tensors', 'message'),
    [
        ('select images, categories', {}, "drops or computes the column 'boxes', which plays gt_bboxes"),
        ('select boxes, categories', {}, "drops or computes the column 'images', which plays img"),
        ('select images, boxes', {}, "drops or computes the column 'categories', which plays gt_labels"),
        ('select images, boxes', {'gt_labels': 'categories'}, "'categories', which plays gt_labels"),
        ('select images, categories, boxes * 2 as boxes', {}, "computes the column 'boxes'"),
        ('select boxes, categories, images as pictures', {'img': 'pictures'}, "computes the column 'pictures'"),
        ('select boxes, categories, images[0:4, 0:4] as images', {'img': 'images'}, "computes the column 'images'"),
    ],
)
def test_a_projection_that_drops_or_computes_a_needed_column_is_refused(
    make_dataset: Callable[..., str], query: str, tensors: dict[str, str], message: str
) -> None:
    handle = resolve(make_dataset(), deeplake_query=query)
    with pytest.raises(QueryError, match=message):
        map_columns(handle.base(), handle.selection(), tensors)


def test_a_view_without_a_needed_column_is_no_fault_of_the_query(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    deeplake.open(path).query('select boxes, categories where number > 3').tag('narrow')
    handle = resolve(path, deeplake_view_id='narrow')
    with pytest.raises(ColumnError, match=r"no column is of type Image. The columns are 'boxes'"):
        map_columns(handle.base(), handle.selection(), {})


def test_a_copy_runs_the_query_again_and_accepts_nothing_else(make_dataset: Callable[..., str]) -> None:
    import pickle

    path = make_dataset(count=40)
    copied = pickle.loads(pickle.dumps(resolve(path, deeplake_query='select * where number > 30')))
    assert selected(copied) == list(range(31, 40))
    shuffled = pickle.loads(pickle.dumps(resolve(path, deeplake_query='select * order by random()')))
    assert shuffled.read('number', shuffled.rows) == shuffled.rows.tolist()
    with pytest.raises(RevisionChangedError, match='other rows each time'):
        shuffled.selection()


def test_a_query_that_is_no_text_is_refused(make_dataset: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match=r'deeplake_query=. expected a string'):
        resolve(make_dataset(), deeplake_query=['select *'])
