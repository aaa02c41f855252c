"""Unions, intersections and differences: the rows that Deep Lake gives for the same words, once each, or a refusal."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import QueryError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.query import run_query
from tests.format3.conftest import unpacked  # noqa: F401
from tests.support.datasets import append_rows, write_dataset

ROWS = 20
CATS = "(select * where contains(categories, 'cat') limit 6)"
DOGS = "(select * where contains(categories, 'dog') limit 4)"
ORDERS = ('', '', '', '', '', ' order by number', ' order by number desc')
CONDITIONS = (
    'number < 9',
    'number > 13',
    'number between 3 and 11',
    'number in (1, 5, 7, 3)',
    'shape(boxes)[0] == 2',
    "contains(categories, 'dog')",
    "any(categories == 'cat')",
)


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Rows 0 to 19, ``number`` unique; views of even rows in both orders; read only by the tests."""
    path = str(tmp_path_factory.mktemp('sets') / 'dataset')
    dataset = write_dataset(path, ROWS)
    dataset.query('select * where number % 2 == 0').tag('even')
    dataset.query('select * where number % 2 == 0 order by number desc').tag('falling')
    return path


def resolve(path: str, query: str, **pins: Any) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, 'deeplake_query': query, **pins}))


def numbers(rows: Any) -> list[int]:
    return [int(number) for number in rows['number'][:]]


def selected(handle: SourceHandle) -> list[int]:
    """The numbers of the selected rows, the same by column and by row."""
    by_column = numbers(handle.selection())
    assert [int(n) for n in handle.read('number', handle.rows)] == by_column
    return by_column


@pytest.mark.parametrize(
    ('query', 'rows'),
    [
        (f'{DOGS} union {CATS}', [1, 2, 4, 5, 7, 8, 11]),
        (f'{DOGS}\nunion ALL {CATS}\n', [1, 2, 4, 5, 7, 8, 11]),
        (f'{DOGS} Union {CATS} UNION (select * where number > 17)', [1, 2, 4, 5, 7, 8, 11, 18, 19]),
        ('(select * where number > 17) union (select * where number < 2)', [0, 1, 18, 19]),
        ('(select * limit 3) union (select * limit 2 offset 2)', [0, 1, 2, 3]),
        ('(select * where number > 99) union (select * where number < 2)', [0, 1]),
        ('(select * where number < 9) intersect (select * where number > 5)', [6, 7, 8]),
        ('(select * where number < 9) except (select * where number > 5)', [0, 1, 2, 3, 4, 5]),
        ('(select * where number < 3) union (select * where number < 9) except (select * where number == 1)', None),
        ('(select * where number < 5) union (select * where number < 8) limit 3', [0, 1, 2]),
        ('(select * where number < 2) union (select * where number > 18) order by number desc', [19, 1, 0]),
        ('select * from ((select * where number < 4) union (select * where number < 3)) where number > 0', [1, 2, 3]),
        (f'select * from ({DOGS} union {CATS}) order by number desc limit 3', [11, 8, 7]),
        (f'select images, boxes, categories, number from ({DOGS} union {CATS}) limit 2', [1, 2]),
        (f'(select * from ({DOGS} union {CATS}) where number > 4) union (select * where number == 3)', None),
        ("(select * where contains(categories, 'dog')) union (select * where number in (0, 3));", None),
    ],
)
def test_rows_are_those_of_deep_lake_once_each_and_in_its_order(path: str, query: str, rows: list[int] | None) -> None:
    handle = resolve(path, query)
    assert selected(handle) == numbers(deeplake.open_read_only(path).query(query)) == (rows or selected(handle))
    assert handle.rows.tolist() == selected(handle), 'row n has the number n'


def generated(draw: random.Random) -> str:
    """A query of some parts, with a filter, an order or a limit around them."""

    def part() -> str:
        limit = draw.choice(['', '', f' limit {draw.randint(1, 9)}'])
        return f'(select * where {draw.choice(CONDITIONS)}{draw.choice(ORDERS)}{limit})'

    parts = part() + ''.join(f' {draw.choice(["union", "intersect", "except"])} {part()}' for _ in range(3))
    tail = draw.choice(['', ' limit 3', ' order by number % 4 desc', ' where number > 4 order by number desc limit 4'])
    return draw.choice([parts, f'select * from ({parts}){tail}'])


@pytest.mark.parametrize('view', [None, 'even', 'falling'])
def test_whatever_is_not_refused_is_what_deep_lake_gives(path: str, view: str | None) -> None:
    dataset = deeplake.open_read_only(path)
    base = dataset if view is None else dataset.tags[view].open()
    draw, compared = random.Random(0), 0
    for query in (generated(draw) for _ in range(120)):
        try:
            found, rows = run_query(base, query, math.inf)
        except QueryError:
            continue
        compared += 1
        assert numbers(found) == numbers(base.query(query)), query
        assert numbers(found) == [numbers(base)[row] for row in rows]
        assert len(set(rows.tolist())) == len(rows)
    assert compared > 10


def test_a_union_on_a_commit_a_branch_and_a_view_reads_those(tmp_path: Path) -> None:
    path = str(tmp_path / 'dataset')
    dataset = write_dataset(path, 6)
    first = dataset.version
    dataset.query('select * where number > 2').tag('end')
    dataset.branch('dev')
    append_rows(dataset, [6])
    append_rows(dataset.branches['dev'].open(), [100])
    query = '(select * where number > 4) union (select * where number in (0, 3))'
    assert selected(resolve(path, query)) == [0, 3, 5, 6]
    assert selected(resolve(path, query, deeplake_commit_id=first)) == [0, 3, 5]
    assert selected(resolve(path, query, deeplake_branch='dev')) == [0, 3, 5, 100]
    view = resolve(path, query, deeplake_view_id='end')
    assert (selected(view), view.rows.tolist()) == ([3, 5], [0, 2])


@pytest.mark.parametrize(
    ('query', 'message'),
    [
        (
            f'{DOGS} union (select * where number > 7 order by number desc)',
            'has an order of its own: Deep Lake combines',
        ),
        (f'{DOGS} union (select * order by random() limit 3)', 'drawn by lot, and would be others each time'),
        (f'(select *) union {DOGS}', r"the part 'select \*' selects everything, which Deep Lake cannot combine"),
        (f'{DOGS} union (select * limit 50)', 'selects everything'),
        (
            '(select images where number < 4) union (select images where number > 2)',
            r'lists columns. Begin every part with "select \*"',
        ),
        ('(select *, 2 as two where number > 3) union (select *, 2 as two where number < 5)', 'lists columns'),
        ('(select images where number < 4) union (select * where number > 2)', 'have different number of columns'),
        (f'{DOGS} intersect (select * where number > 99)', 'a part of it selects no row, or all of them'),
        (
            f'{DOGS} union {CATS} order by number desc limit 2',
            r'takes the limit first. Write "select \* from \(…\) order',
        ),
        ('select * where number > 3 union select * where number < 2', 'parts cannot be told apart. Put each part into'),
        ('(select * where number > 99) union (select * where number < 0)', 'selects none of the 20 rows'),
    ],
)
def test_what_deep_lake_combines_wrongly_is_refused_with_a_way_out(path: str, query: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        resolve(path, query)


def test_deep_lake_still_combines_wrongly_what_is_refused(path: str) -> None:
    """If this fails, Deep Lake has been corrected, and there is less to refuse."""
    dataset = deeplake.open_read_only(path)
    ordered = '(select * where number < 4 order by number desc) union (select * where number < 4)'
    assert numbers(dataset.query(ordered)) == [0, 1, 2, 3, 2, 1, 0]
    assert len(dataset.query('(select *) union (select * where number < 4)')) == ROWS + 4
    limited = '(select * where number > 12) union (select * where number < 8) order by number desc limit 3'
    assert numbers(dataset.query(limited)) == [2, 1, 0]
    falling = dataset.tags['falling'].open()
    assert numbers(falling.query('(select * where number < 5) union (select * where number < 8)')) == [
        4,
        2,
        0,
        6,
        4,
        2,
        0,
    ]


def test_a_view_in_another_order_than_the_dataset_is_refused_where_deep_lake_errs(path: str) -> None:
    query = '(select * where number < 5) union (select * where number < 8)'
    with pytest.raises(QueryError, match='stands for 4 rows, but Deep Lake gives 7, others, or in another order'):
        resolve(path, query, deeplake_view_id='falling')
    disjoint = '(select * where number > 15) union (select * where number < 4)'
    with pytest.raises(QueryError, match='stands for 4 rows, but Deep Lake gives 4, others, or in another order'):
        resolve(path, disjoint, deeplake_view_id='falling')
    assert selected(resolve(path, query, deeplake_view_id='even')) == [0, 2, 4, 6]


def test_words_in_quotes_and_names_combine_nothing(path: str) -> None:
    assert len(resolve(path, "select * where number < 3 or '(a) union (b)' == 'x'")) == 3


def test_a_union_on_format_3_is_that_of_deep_lake(unpacked: Path) -> None:  # noqa: F811
    path, query = str(unpacked / 'history'), '(select * where number > 4) union (select * where number < 2)'
    base = deeplake.query(f'select * from "{path}"')
    handle = resolve(path, query)
    assert np.array_equal(handle.selection()['number'][:], base.query(query)['number'][:])
    assert 0 < len(handle) < len(base)


def test_a_union_on_a_view_of_format_3_is_refused(unpacked: Path) -> None:  # noqa: F811
    views = [name.name for name in (unpacked / 'history' / '.queries').iterdir() if name.is_dir()]
    with pytest.raises(QueryError, match=r'of format 3, which Deep Lake cannot combine queries of.*convert v3'):
        resolve(str(unpacked / 'history'), '(select *) union (select *)', deeplake_view_id=views[0])


def test_a_training_set_of_a_union_has_every_image_once(path: str) -> None:
    from deeplake_mmdet import DeepLakeDataset

    dataset = DeepLakeDataset(deeplake_path=path, deeplake_query=f'{DOGS} union {CATS}', test_mode=True)
    ids = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    assert ids == [1, 2, 4, 5, 7, 8, 11]
