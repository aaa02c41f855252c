"""Chains of queries as one query: equal where one is written, and none where it could not be."""

from __future__ import annotations

from collections.abc import Callable

import deeplake
import pytest

from deeplake_mmdet.source.fold import fold, is_random, named_source


@pytest.mark.parametrize(
    ('chain', 'query'),
    [
        (['select *'], ''),
        (['select *', '  SELECT * ;'], ''),
        (['select * where number > 3'], 'select * where number > 3'),
        (['select number'], 'select number'),
        (['select * where number > 3', 'select *'], 'select * where number > 3'),
        (['select *', 'select * limit 2'], 'select * limit 2'),
        (
            ['select * where number > 3', 'select * order by number desc', 'select * limit 2'],
            'select * from (select * from (select * where number > 3) order by number desc) limit 2',
        ),
        (
            ['select images, number where number > 3', 'select * limit 2'],
            'select images, number from (select * where number > 3) limit 2',
        ),
        (['select images, "number"', 'select images'], 'select images'),
        (
            ['select *, number * 2 as twice', 'select * where twice > 6'],
            'select * from (select *, number * 2 as twice) where twice > 6',
        ),
        (
            ['select *, number * 2 as twice', 'select number, twice'],
            'select number, twice from (select *, number * 2 as twice)',
        ),
        (
            ["select * where contains(categories, 'where from')", 'select * limit 1'],
            "select * from (select * where contains(categories, 'where from')) limit 1",
        ),
        (
            ['select * from "/data/x@dev" where number > 3', 'select * limit 1'],
            'select * from (select * where number > 3) limit 1',
        ),
        (["SELECT * FROM '/data/x'"], ''),
    ],
)
def test_a_chain_is_written_as_one_query(chain: list[str], query: str) -> None:
    assert fold(chain) == query


@pytest.mark.parametrize(
    'chain',
    [
        ['select number', 'select *, number * 2 as twice'],
        ['select number * 2 as number', 'select *'],
        ['select * where number > 3', 'select * from "/data/x"'],
        ['select * from (select * where number > 3)', 'select * limit 1'],
        ['(select * limit 1) union (select * limit 2)', 'select * limit 1'],
        ['select * from "/data/x" as a', 'select * limit 1'],
        ['select * from "/data/x" union (select * from "/data/y")', 'select *'],
        ['delete', 'select *'],
        ['', 'select *'],
    ],
)
def test_a_chain_of_unclear_form_has_no_query(chain: list[str]) -> None:
    assert fold(chain) is None


@pytest.mark.parametrize(
    'chain',
    [
        ['select * where number > 1', 'select * order by number desc limit 5', 'select * where number < 7'],
        ['select images, number where number > 1', 'select number order by number desc', 'select * limit 2 offset 1'],
        ['select *, number * 2 as twice where number > 1', 'select * where twice < 10', 'select twice, number'],
    ],
)
def test_deep_lake_gives_the_same_rows_for_both(make_dataset: Callable[..., str], chain: list[str]) -> None:
    dataset = view = deeplake.open_read_only(make_dataset())
    for query in chain:
        view = view.query(query)
    one = dataset.query(fold(chain))
    assert one['number'][:].tolist() == view['number'][:].tolist()
    assert len(view) > 1
    assert [column.name for column in one.schema.columns] == [column.name for column in view.schema.columns]


def test_what_draws_by_lot_is_known() -> None:
    assert is_random(['select *', 'select * order by RANDOM () limit 3'])
    assert is_random(['select * sample by max_weight(number > 2: 1)'])
    assert not is_random(['select * where randomness > 3'])


def test_the_source_of_a_query_is_what_it_names_behind_from() -> None:
    assert named_source('select * from "s3://b/x@dev" where number > 3') == 's3://b/x@dev'
    assert named_source("select * where contains(words, 'from')") is None
    assert named_source('select * from (select * from "/data/x")') is None
