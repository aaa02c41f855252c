"""A branch with results is trained on, queried, edited, compared and copied like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deeplake_mmdet import DeepLakeDataset
from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert import materialize
from deeplake_mmdet.errors import QueryError
from deeplake_mmdet.scoring.columns import GROUP as SHARED
from deeplake_mmdet.source.column_types import RESULTS
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.versions import diff, edit, select
from tests.support.datasets import png
from tests.writeback.scored import COLUMNS, GROUP, head, opened, result_of, write

ROWS = 10


@pytest.fixture
def path(make_dataset: Callable[..., str]) -> str:
    """A dataset with results of all rows on the branch ``scores``, and of a second run of some."""
    path = make_dataset(count=ROWS)
    write(opened(path))
    write(opened(path, query='select * where number < 4'), run='b')
    return path


def worst(numbers: range) -> list[int]:
    """Numbers of the rows with a loss, the largest loss first."""
    losses = {number: result_of(png(number))['loss'] for number in numbers}
    known = [number for number in numbers if losses[number] is not None]
    return sorted(known, key=lambda number: -losses[number])


def test_the_group_of_results_has_one_name():
    assert f'{SHARED}/' == RESULTS == GROUP


def test_a_dataset_reads_the_same_annotations_beside_results(path: str):
    one, other = DeepLakeDataset(deeplake_path=path), DeepLakeDataset(deeplake_path=path, deeplake_branch='scores')
    assert one.metainfo['classes'] == other.metainfo['classes']
    for first, second in zip(one, other, strict=True):
        assert first['img_id'] == second['img_id']
        assert repr(first['instances']) == repr(second['instances'])


def test_predictions_are_read_as_annotations_where_they_are_named(path: str):
    tensors = {'gt_bboxes': f'{GROUP}boxes', 'gt_labels': f'{GROUP}labels'}
    dataset = DeepLakeDataset(deeplake_path=path, deeplake_branch='scores', deeplake_tensors=tensors)
    boxes = [instance['bbox'] for instance in dataset.get_data_info(3)['instances']]
    np.testing.assert_array_equal(np.reshape(boxes, (-1, 4)), result_of(png(3))['boxes'])


def test_masks_of_results_are_not_taken_for_annotations(path: str):
    source = opened(path, branch='scores')
    assert map_columns(source.base(), source.selection(), {}).masks is None


def test_the_worst_images_come_first_and_a_view_of_them_trains(path: str, capsys):
    query = f'select * order by "{GROUP}b/loss" desc limit 3'
    command = ['query', f'{path}@scores', query, '--save-view', 'hard']
    assert main(command) == 0
    dataset = DeepLakeDataset(deeplake_path=path, deeplake_view_id='hard')
    found = [int(value) for value in dataset.source.read_column('number', 0, len(dataset))]
    assert found == worst(range(4))[:3]
    said = f"rows without a value in '{GROUP}b/loss' are left out, because the query orders by it ({ROWS - 4} in all)"
    assert said in ''.join(capsys.readouterr())


def test_an_edited_row_loses_its_results_and_others_keep_theirs(path: str):
    with edit(path, branch='scores', message='fix') as dataset:
        dataset.drop_row(0)
        dataset.drop_object(2, 1)
        dataset.relabel(5, 0, 'dog')
    rows = head(path, 'scores')
    assert rows['number'][:].tolist() == list(range(1, ROWS))
    for place, number in enumerate(range(1, ROWS)):
        values = [rows[GROUP + name][place] for name in COLUMNS]
        if number in (2, 5):
            assert values == [None] * len(COLUMNS)
        else:
            assert values[1] == result_of(png(number))['tp']
    assert [len(labels) for labels in rows['categories'][:]] == [1, 1, 0, 1, 2, 0, 1, 2, 0]


def test_results_are_compared_and_copied(path: str, tmp_path: Path):
    one, other = {'deeplake_path': path}, {'deeplake_path': f'{path}@scores'}
    found = diff(one, other)
    assert set(found.added_columns) == {GROUP + run + name for run in ('', 'b/') for name in COLUMNS}
    assert (found.changed, found.added, found.removed) == ([], [], [])
    materialize(other, tmp_path / 'copy')
    copied, branch = head(str(tmp_path / 'copy')), head(path, 'scores')
    for name in COLUMNS:
        for row in range(ROWS):
            np.testing.assert_array_equal(copied[f'{GROUP}b/{name}'][row], branch[f'{GROUP}b/{name}'][row])


@pytest.mark.parametrize(
    ('query', 'numbers'),
    [
        (f'select * order by "{GROUP}b/loss"', worst(range(4))[::-1]),
        (f'select * where number != 2 order by "{GROUP}b/loss" desc limit 2', worst(range(0, 4))),
        (f'select * from (select * where number < 3) order by "{GROUP}b/tp" desc', None),
        (f'select * where "{GROUP}b/loss" is not null order by "{GROUP}b/loss" desc', worst(range(4))),
        ('select * order by number desc limit 3', [9, 8, 7]),
    ],
)
def test_rows_without_a_value_do_not_stop_an_order(query: str, numbers: list[int] | None, path: str):
    if numbers is None:
        numbers = sorted(range(3), key=lambda number: -result_of(png(number))['tp'])
    elif '!=' in query:
        numbers = [number for number in numbers if number != 2][:2]
    for source in (opened(path, branch='scores', query=query), None):
        rows = select({'deeplake_path': f'{path}@scores'}, [query]).rows if source is None else source.rows
        assert rows.tolist() == numbers


def test_a_query_that_orders_by_an_expression_is_as_deep_lake_has_it(path: str):
    with pytest.raises(QueryError, match="Can't convert array to scalar"):
        opened(path, branch='scores', query=f'select * order by "{GROUP}b/loss" + 1')
