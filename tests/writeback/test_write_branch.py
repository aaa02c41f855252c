"""Results land on the rows that they are of, whatever was scored, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.errors import RevisionChangedError, SourceError
from deeplake_mmdet.scoring.columns import ERRORS
from deeplake_mmdet.scoring.values import Part
from deeplake_mmdet.source.column_types import declared_format, kind_of
from deeplake_mmdet.writeback.target import Target
from tests.support.datasets import png
from tests.writeback.scored import (
    CLASSES,
    COLUMNS,
    FACTS,
    GROUP,
    assert_right,
    digest,
    head,
    messages,
    opened,
    result_of,
    write,
)

QUERIES = {
    'all': None,
    'filtered': 'select * where number % 3 == 1',
    'ordered': 'select * order by number desc',
    'sub-sampled': 'select * sample by max_weight(number > 5: 5, true: 1) limit 7',
    'by lot': 'select * order by random() limit 6',
    'united': '(select * where number < 3) union (select * where number > 11)',
    'cut': 'select * where number > 2 order by number desc limit 5 offset 2',
}


@pytest.mark.parametrize('kind', QUERIES)
@pytest.mark.parametrize('saved', [False, True], ids=['query', 'view'])
def test_results_are_in_the_rows_whose_images_they_are_of(kind: str, saved: bool, make_dataset: Callable[..., str]):
    path, query = make_dataset(count=14), QUERIES[kind]
    keys = {}
    if query and saved:
        dataset = deeplake.open(path)
        dataset.query(query).tag('chosen')
        keys = {'view_id': 'chosen'}
    elif query:
        keys = {'query': query}
    source = opened(path, **keys)
    numbers = {int(value) for value in source.selection()['number'][:]}
    before = digest(path)
    written = write(source)
    assert written.rows == len(numbers)  # rows that are drawn may come twice
    assert_right(path, numbers)
    assert digest(path) == before


def test_a_view_of_a_view_leads_back_to_the_rows_of_the_commit(make_dataset: Callable[..., str]):
    path = make_dataset(count=14)
    dataset = deeplake.open(path)
    view = dataset.query('select * where number > 3 order by number desc')
    view.query('select * where number % 2 == 0 limit 3').tag('inner')
    source = opened(path, view_id='inner', query='select * limit 2 offset 1')
    write(source)
    assert_right(path, {10, 8})


@pytest.mark.parametrize('equal', ['annotations', 'everything'])
def test_rows_that_look_alike_are_told_apart_by_their_images(equal: str, make_dataset: Callable[..., str]):
    images = [png(n // 2 if equal == 'everything' else n) for n in range(8)]
    alike = {
        'boxes': [np.ones((1, 4), 'float32')] * 8,
        'categories': [np.zeros(1, 'uint32')] * 8,
        'number': np.zeros(8, 'int64'),
        'images': images,
    }
    path = make_dataset(values=alike, count=8)
    rows = [7, 2, 3]
    names, listed = 'images, boxes, categories, number', ', '.join(map(str, rows))
    query = f'select {names} from (select *, ROW_NUMBER() as r) where r in ({listed})'
    deeplake.open(path).query(query).tag('some')
    source = opened(path, view_id='some')
    target = Target.of(source, None, branch='scores')
    if equal == 'annotations':
        assert target.rows.tolist() == [2, 3, 7]
    else:  # 6 is the same row as 7
        assert target.rows.tolist() == [2, 3, 6]
    write(source)
    assert_right(path, set(target.rows.tolist()))


def test_a_view_whose_annotations_lead_to_another_row_is_refused(make_dataset: Callable[..., str]):
    path = make_dataset(count=8)
    only = 'select images, number + 1 as number where number < 5'
    deeplake.open(path).query(only).tag('shifted')
    with pytest.raises(SourceError, match=r'Row 0 of .*shifted.* is not found in its commit: the view computes'):
        Target.of(opened(path, view_id='shifted'), None, branch='scores')


def test_a_view_that_was_saved_anew_since_is_refused(make_dataset: Callable[..., str]):
    path = make_dataset(count=8)
    dataset = deeplake.open(path)
    dataset.query('select * where number < 3').tag('few')
    source = opened(path, view_id='few')
    dataset.tags['few'].delete()
    dataset.query('select * where number > 4').tag('few')
    with pytest.raises(RevisionChangedError, match='saved anew'):
        Target.of(source, None, branch='scores')


def test_columns_say_what_they_mean_and_where_they_come_from(make_dataset: Callable[..., str]):
    path = make_dataset()
    write(opened(path), run='a1')
    dataset = head(path, 'scores')
    about = {name: dataset[f'{GROUP}a1/{name}'].metadata.to_dict() for name in COLUMNS}
    assert all(item['lineage'] == FACTS and item['means'] for item in about.values())
    assert about['labels']['class_names'] == ['cat', 'dog'] == about['missed_by_class']['class_names']
    assert about['object_error']['class_names'] == list(ERRORS)
    assert about['masks']['format'] == 'coco_segmentation'
    assert about['boxes']['means'].startswith('detections: left, top, width, height in pixels')
    boxes = dataset[f'{GROUP}a1/boxes']
    assert declared_format(dataset.schema[boxes.name].dtype, boxes) == BoxFormat('LTWH', 'pixel')
    assert kind_of(dataset.schema[f'{GROUP}a1/labels'].dtype) == 'ClassLabel'


def test_one_commit_has_the_message_and_all_of_the_results(make_dataset: Callable[..., str]):
    path = make_dataset()
    written = write(opened(path), message='loss of model 7')
    assert messages(path, 'scores')[1:] == ['loss of model 7']
    assert head(path, 'scores').version == written.revision.commit_id
    assert str(written) == (
        f'The results of 8 rows are in 8 columns of {path} @ scores:{written.revision.commit_id}, 8 rows.'
    )


def test_a_second_run_replaces_its_own_columns_and_keeps_others(make_dataset: Callable[..., str]):
    path = make_dataset(count=9)
    write(opened(path))
    write(opened(path), run='other', salt='o')
    before = digest(path)
    write(opened(path, query='select * where number > 5'), salt='2')
    assert_right(path, {6, 7, 8}, salt='2')
    assert_right(path, set(range(9)), prefix=f'{GROUP}other/', salt='o')
    assert digest(path) == before
    write(opened(path), columns=('loss',), salt='3')
    dataset = head(path, 'scores')
    assert dataset[f'{GROUP}loss'][7] == result_of(png(7), '3')['loss']
    assert dataset[f'{GROUP}tp'][7] is None  # of the run before, whose loss is gone
    assert dataset[f'{GROUP}other/tp'][7] == result_of(png(7), 'o')['tp']


def test_a_run_without_results_leaves_all_of_its_columns_empty(make_dataset: Callable[..., str]):
    path = make_dataset()
    write(opened(path))
    assert write(opened(path), places=[]).rows == 0
    assert_right(path, set())


def test_results_of_a_branch_go_into_the_branch_itself(make_dataset: Callable[..., str]):
    path = make_dataset()
    dataset = deeplake.open(path)
    dataset.branch('cleaned')
    tip = dataset.branches['cleaned'].open()
    tip.delete(3)
    tip.commit('one row less')
    write(opened(path, branch='cleaned'), branch='cleaned')
    cleaned = head(path, 'cleaned')
    assert cleaned['number'][:].tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert_right(path, set(range(7)), branch='cleaned')
    write(opened(path, branch='cleaned'), branch='of-cleaned')
    assert_right(path, set(range(7)), branch='of-cleaned')


def test_a_number_that_is_nan_becomes_null_and_nan_in_an_array_stays(make_dataset: Callable[..., str]):
    path = make_dataset(count=2)
    target = Target.of(opened(path), None, branch='scores')
    values = {'loss': [float('nan'), np.float32(np.inf)], 'scores': [np.array([np.nan, 1.0]), None]}
    part = Part(np.array([0, 1]), values)
    target.write([part], classes=CLASSES, columns=('loss', 'scores'), message='m', facts={})
    dataset = head(path, 'scores')
    assert dataset[f'{GROUP}loss'][0] is None
    assert dataset[f'{GROUP}loss'][1] == np.inf
    np.testing.assert_array_equal(dataset[f'{GROUP}scores'][0], np.array([np.nan, 1.0], 'float32'))
    assert dataset[f'{GROUP}scores'][1] is None
