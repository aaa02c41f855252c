"""What a query that Deep Lake refuses is answered with, and what users expect TQL to do on converted datasets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import QueryError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.query_checks import check_conditions
from tests.format3.conftest import unpacked  # noqa: F401
from tests.support.datasets import write_dataset
from tests.support.street import name_of, objects_of, write_street


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp('errors') / 'dataset')
    write_dataset(
        path, 4, types={'split': 'text', 'scores': 'float32'}, values={'split': ['a'] * 4, 'scores': [0.5] * 4}
    )
    return path


def refusal(path: str, query: str) -> str:
    with pytest.raises(QueryError) as raised:
        SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, 'deeplake_query': query}))
    return str(raised.value)


def marked(message: str) -> str:
    """What stands above the mark, from there to the end of the word."""
    lines = message.splitlines()
    place = next(i for i, line in enumerate(lines) if line.strip() == '^')
    return re.split(r'[\s(),]', lines[place - 1][lines[place].index('^') :])[0]


@pytest.mark.parametrize(
    ('query', 'word'),
    [
        ('select * wher number > 3', 'number'),
        ('   select * wher number > 3', 'number'),
        ('select *\n  where number > 1\n\tand number < 3 3\n order by number', '3'),
        ("select * where 'zoë' == 'zoë' and number > 3 3", '3'),
        ('select * where number > 3 limit', 'limit'),
        ('selct *', 'selct'),
        ("(select * where number > 1) union (select * wher contains(categories, 'cat'))", 'contains'),
    ],
)
def test_the_place_of_a_syntax_error_is_marked(path: str, query: str, word: str) -> None:
    message = refusal(path, query)
    if query.startswith('selct'):
        assert 'expected a query that begins with "select", got \'selct *\'' in message
        return
    assert marked(message) == word
    assert 'syntax error, unexpected' in message
    assert 'Pos' not in message


def test_a_comment_that_makes_the_place_unclear_leaves_out_the_mark(path: str) -> None:
    message = refusal(path, 'select * -- all\nwher number > 3')
    assert '^' not in message
    assert 'syntax error' in message


def test_the_whole_message_reads_well(path: str) -> None:
    assert refusal(path, 'select * wher number > 3') == (
        'DeepLakeDataset(deeplake_query=) got a query that Deep Lake refuses: syntax error, unexpected IDENTIFIER, '
        'expecting end of file.\n'
        '  select * wher number > 3\n'
        '                ^\n'
        "Did you mean 'where' instead of 'wher'? The columns are 'images' (Image), 'boxes' (BoundingBox), "
        "'categories' (ClassLabel), 'number' (int64), 'split' (Text), 'scores' (float32)."
    )


@pytest.mark.parametrize(
    ('query', 'hint'),
    [
        ('select * where nmber > 3', "Did you mean 'number'?"),
        ('select * where contains(Categories, 1)', "Did you mean 'categories'?"),
        (
            "select * where contains(categories, 'dgo')",
            "Did you mean 'dog'? The classes of 'categories' are 'cat', 'dog'.",
        ),
        ("select * where categories == 'Cat'", "Did you mean 'cat'?"),
        ("select * where any(categories == 'zebra')", "The classes of 'categories' are 'cat', 'dog'. The columns"),
        ('select * where contains(categories, dog)', "'dog' is a class: write it in single quotes, 'dog'."),
        ('select * where contains(categories, "dog")', "'dog' is a class: write it in single quotes"),
        ("select * where contians(categories, 'dog')", "Did you mean 'contains'? Functions are contains, any, all"),
        ("select * where split == 'a'", 'SPLIT is a word of TQL: write the column in double quotes, "split".'),
        ('select * order number', ''),
        ('select * ordr by number', "Did you mean 'order' instead of 'ordr'?"),
    ],
)
def test_the_word_that_was_probably_meant_is_named(path: str, query: str, hint: str) -> None:
    message = refusal(path, query)
    assert hint in message
    assert "The columns are 'images' (Image), 'boxes' (BoundingBox)" in message
    assert ('Did you mean' in message) == ('Did you mean' in hint)


def test_a_statement_that_is_no_select_never_reaches_deep_lake(path: str) -> None:
    for query in ('update set number = 3', 'delete where number > 1', 'drop table x', ' '):
        assert 'expected a query that begins with "select"' in refusal(path, query)


def test_a_column_called_like_a_word_of_tql_is_found_in_quotes(path: str) -> None:
    spec = DatasetSpec.from_config({'deeplake_path': path, 'deeplake_query': 'select * where "split" == \'a\''})
    assert len(SourceHandle.resolve(spec)) == 4


Truth = tuple[str, list[tuple[np.ndarray, np.ndarray]]]


@pytest.fixture(scope='module')
def street(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """A converted dataset; and of each row the sizes of its boxes, (n, 2), and which are cars, (n,)."""
    path, document = write_street(tmp_path_factory.mktemp('street'), 40)
    rows = [
        (
            np.array([item['bbox'][2:] for item in items]).reshape(-1, 2),
            np.array([name_of(x) == 'car' for x in items], bool),
        )
        for items in objects_of(document)
    ]
    return path, rows


EXPECTED: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "select * where contains(categories, 'car')": lambda sizes, car: car.any(),
    "select * where categories == 'car'": lambda sizes, car: car[:1].any(),
    "select * where any(categories == 'car')": lambda sizes, car: car.any(),
    'select * where boxes[:,2] < 10': lambda sizes, car: (sizes[:1, 0] < 10).any(),
    'select * where boxes[:,2] < 12 and boxes[:,3] < 12': lambda sizes, car: (
        (sizes[:1] < 12).any() and (sizes[:1] < 12).all()
    ),
    'select * where any(logical_and(boxes[:,2] < 12, boxes[:,3] < 12))': lambda sizes, car: (sizes < 12).all(1).any(),
    'select * where sum(boxes[:,2]) > 50': lambda sizes, car: sizes[:, 0].sum() > 50,
    'select * where any(boxes[:,2] < 10)': lambda sizes, car: (sizes[:, 0] < 10).any(),
    'select * where not any(boxes[:,3] < 10)': lambda sizes, car: not (sizes[:, 1] < 10).any(),
    'select * where shape(boxes)[0] > 2': lambda sizes, car: len(car) > 2,
    "select * where not any(logical_and(logical_or(boxes[:,2]<20, boxes[:,3]<20), categories == 'car'))": (
        lambda sizes, car: not ((sizes < 20).any(1) & car).any()
    ),
}


@pytest.mark.parametrize('query', EXPECTED)
def test_queries_on_class_names_and_box_sizes_select_what_the_annotation_file_says(street: Truth, query: str) -> None:
    path, rows = street
    wanted = [number for number, (sizes, car) in enumerate(rows) if EXPECTED[query](sizes, car)]
    assert 0 < len(wanted) < len(rows)
    handle = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, 'deeplake_query': query}))
    assert handle.rows.tolist() == wanted


FIRST_ONLY = [
    ('boxes[:,2] < 10', 'boxes[:,2]'),
    ('not (boxes[:, 2] * boxes[:, 3]) < 100', 'boxes[:, 2] and boxes[:, 3]'),
    ("categories == 'car' and img_id > 3", 'categories'),
    ('logical_and(boxes[:,2] < 12, any(areas < 100))', 'boxes[:,2]'),
    ('img_id > 3) union all (select * where iscrowd', 'iscrowd'),
    ('"areas" < 100', '"areas"'),
    ('boxes[0] < 100', 'boxes[0]'),
]
ALL_OBJECTS = [
    'any(boxes[:,2] < 10)',
    "contains(categories, 'car') order by boxes[0,2]",
    'any((boxes[:,2] * boxes[:,3]) < 100)',
    "not any(logical_and(logical_or(boxes[:,2]<20, boxes[:,3]<20), categories == 'car'))",
    'shape(boxes)[0] > 2 and boxes[0,2] < 20 and areas[0] > 3',
    "img_id > 3 and file_name == 'areas < 3'",
    'img_id between 5 and 100 and height in (48, 64)',
    'any(boxes[:,2] < 20) order by shape(boxes)[0]',
    'any(boxes[:,2] < 20) and img_id > 3 order by shape(categories)[0]',
    'img_id in (select img_id where any(boxes[:,2] < 9) and img_id > 3) order by shape(boxes)[0]',
]


@pytest.mark.parametrize(('condition', 'compared'), FIRST_ONLY)
def test_a_comparison_of_the_first_object_only_is_said(street: Truth, condition: str, compared: str) -> None:
    query = f'(select * where {condition})' if 'union' in condition else f'select * where {condition}'
    spec = DatasetSpec.from_config({'deeplake_path': street[0], 'deeplake_query': query})
    [remark] = SourceHandle.resolve(spec).remarks
    assert f'compares {compared} without any() or all(): Deep Lake looks at the first object of each row only' in remark


@pytest.mark.parametrize('condition', ALL_OBJECTS)
def test_nothing_is_said_of_other_conditions(street: Truth, condition: str) -> None:
    base = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': street[0]})).base()
    assert check_conditions(f'select * where {condition}', base) == []


@pytest.mark.parametrize(
    ('condition', 'message'),
    [
        (
            "categories in ('car', 'bus')",
            r"cannot say 'in' of 'categories'.*Write any\(categories == … or categories == …",
        ),
        ('img_id > 3 and any(ann_ids not in (1000, 1007))', "cannot say 'in' of 'ann_ids'"),
        (
            'boxes[:,2] between 5 and 10',
            r"cannot say 'between' of 'boxes'.*logical_and\(boxes\[:,2\] >= …, boxes\[:,2\] <=",
        ),
        ('any(areas[0] between 5 and 10)', "cannot say 'between' of 'areas'"),
        (
            'any(boxes[:,2] < 20) and img_id > 3 order by shape(boxes)[0] desc',
            r"crashes on an order by the shape of 'boxes'.*Write \"select \* from \(select \* where …\) order by",
        ),
    ],
)
def test_what_selects_nothing_or_crashes_deep_lake_is_refused(street: Truth, condition: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        keys = {'deeplake_path': street[0], 'deeplake_query': f'select * where {condition}'}
        SourceHandle.resolve(DatasetSpec.from_config(keys))


def test_numbers_of_format_3_are_no_objects(unpacked: Path) -> None:  # noqa: F811
    spec = DatasetSpec.from_config(
        {'deeplake_path': str(unpacked / 'history'), 'deeplake_query': 'select * where number > 3'}
    )
    assert not any('without any()' in remark for remark in SourceHandle.resolve(spec).remarks)


def test_a_query_on_a_column_called_labels_needs_that_column(street: Truth, tmp_path: Path) -> None:
    assert 'Did you mean' not in refusal(street[0], "select * where labels == 'car'")
