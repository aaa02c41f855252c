"""Selecting rows and saving them: counts are those of the annotation file, and a view has the selected rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ConfigError, QueryError, RevisionNotFoundError, SourceError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.versions import Selection, save_view, saving
from deeplake_mmdet.versions import select as select_rows
from deeplake_mmdet.versions.first_rows import first_rows
from tests.support.datasets import write_dataset
from tests.support.street import CLASSES, name_of, objects_of

CARS, BUSES = (f"select * where contains(categories, '{name}') limit {k}" for name, k in (('car', 5), ('bus', 3)))
UNION = f'({CARS}) union ({BUSES})'


def select(config: dict[str, Any], queries: tuple[str, ...] | list[str] = (), **options: Any) -> Selection:
    return select_rows(config, queries, to_save=True, **options)


def has(document: dict[str, Any], name: str) -> list[int]:
    """Rows with an object of a class, from the annotation file."""
    return [row for row, items in enumerate(objects_of(document)) if any(name_of(item) == name for item in items)]


def opened(path: str, name: str) -> list[int]:
    """The image ids of a saved view as `DeepLakeDataset` and Deep Lake alone read it; both must agree."""
    ours = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, 'deeplake_view_id': name}))
    ids = [int(value) for value in ours.selection()['img_id'][:]]
    alone = deeplake.open_read_only(path).tags[name].open()
    assert [int(value) for value in alone['img_id'][:]] == ids
    assert 'deeplake_mmdet_source_row' not in [column.name for column in alone.schema.columns]
    return ids


def ids_of(rows: Any) -> list[int]:
    return [10 * int(row) + 3 for row in rows]


def test_rows_and_classes_are_counted_as_the_annotation_file_has_them(street: str, document: dict[str, Any]) -> None:
    selection = select({'deeplake_path': street}, ["select * where contains(categories, 'car')"])
    objects, rows = objects_of(document), has(document, 'car')
    assert selection.rows.tolist() == rows
    inside = Counter(name_of(item) for row in rows for item in objects[row])
    images = Counter(name for row in rows for name in {name_of(item) for item in objects[row]})
    everywhere = Counter(name_of(item) for item in document['annotations'])
    assert [(c.name, c.images, c.objects, c.of_all) for c in selection.classes] == [
        (name, images[name], inside[name], everywhere[name]) for name in CLASSES
    ]


def test_without_a_query_all_rows_are_selected(street: str) -> None:
    selection = select({'deeplake_path': street})
    assert selection.rows.tolist() == list(range(24))
    save_view(selection, 'everything')
    assert opened(street, 'everything') == ids_of(range(24))


def test_several_queries_select_what_any_selects_once_each_in_the_order_of_the_dataset(
    street: str, document: dict[str, Any]
) -> None:
    selection = select({'deeplake_path': street}, [f'{CARS}', 'select * order by img_id desc limit 4', BUSES])
    assert selection.rows.tolist() == sorted({*has(document, 'car')[:5], 20, 21, 22, 23, *has(document, 'bus')[:3]})
    saved = save_view(selection, 'several')
    assert opened(street, 'several') == ids_of(selection.rows)
    assert saved.message == f'{CARS}, select * order by img_id desc limit 4, {BUSES}'


def test_a_limit_takes_the_first_rows_of_the_result(street: str) -> None:
    selection = select({'deeplake_path': street}, ['select * order by img_id desc'], limit=3)
    assert selection.rows.tolist() == [23, 22, 21]
    save_view(selection, 'last')
    assert opened(street, 'last') == ids_of([23, 22, 21])
    assert len(select({'deeplake_path': street}, limit=99)) == 24
    with pytest.raises(ConfigError, match=r'select\(limit=\) expected a positive number of rows, but got 0'):
        select({'deeplake_path': street}, limit=0)


@pytest.mark.parametrize(
    'query',
    [
        "select * where contains(categories, 'car')",
        'select * order by img_id desc limit 7',
        'select * order by random() limit 6',
        'select * sample by img_id limit 6',
        'select * limit 4 offset 2',
        UNION,
        f'select * from ({UNION}) order by img_id desc limit 3',
        'select images, boxes, categories, img_id where img_id > 99',
        'select *, img_id * 2 as twice where img_id > 99',
    ],
)
def test_a_saved_view_has_the_selected_rows_in_their_order(street: str, query: str) -> None:
    selection = select({'deeplake_path': street}, [query])
    saved = save_view(selection, 'kept', 'a reason')
    assert opened(street, 'kept') == ids_of(selection.rows)
    assert (saved.rows, saved.branch, saved.query, saved.message) == (len(selection), 'main', query, 'a reason')


def test_a_view_of_a_branch_a_commit_and_a_view_is_of_that_version(tmp_path: Any) -> None:
    path = str(tmp_path / 'dataset')
    dataset = write_dataset(path, 6, types={'img_id': 'int64'}, values={'img_id': np.arange(6)})
    first = dataset.version
    dataset.branch('dev')
    dataset.query('select * where number > 1 order by number desc').tag('falling')
    dev = dataset.branches['dev'].open()
    for branch, number in ((dataset, 6), (dev, 100)):
        branch.append(_row(number))
        branch.commit('one more')
    pins = {
        'on_branch': ({'deeplake_branch': 'dev'}, [3, 4, 5, 100]),
        'on_commit': ({'deeplake_commit_id': first}, [3, 4, 5]),
        'on_view': ({'deeplake_path': f'{path}@falling'}, [5, 4, 3]),
    }
    for name, (config, numbers) in pins.items():
        selection = select({'deeplake_path': path, **config}, ['select * where number > 2'])
        save_view(selection, name)
        assert opened(path, name) == numbers
    drawn = select({'deeplake_path': path, 'deeplake_branch': 'dev'}, ['select * order by random() limit 5'])
    saved = save_view(drawn, 'drawn')
    assert (saved.branch, saved.rows) == ('dev', 5)
    numbers = [0, 1, 2, 3, 4, 5, 100]
    assert opened(path, 'drawn') == [numbers[row] for row in drawn.rows]


def _row(number: int) -> dict[str, Any]:
    from tests.support.datasets import rows

    return {**rows([number]), 'img_id': np.array([number])}


def test_a_union_of_parts_of_a_view_that_deep_lake_combines_wrongly_is_saved_as_several_queries(street: str) -> None:
    save_view(select({'deeplake_path': street}, ['select * order by img_id desc']), 'falling')
    view = {'deeplake_path': street, 'deeplake_view_id': 'falling'}
    parts = ['select * where img_id > 220', 'select * where img_id < 20']
    with pytest.raises(QueryError, match='others, or in another order'):
        select(view, [f'({parts[0]}) union ({parts[1]})'])
    selection = select(view, parts)
    save_view(selection, 'both')
    assert opened(street, 'both') == [233, 223, 13, 3]


@pytest.mark.parametrize('name', ['all', 'main', 'a b', '-x', 'a/b', '', 'cleaned'])
def test_a_name_that_is_taken_or_cannot_be_carried_is_refused(street: str, name: str) -> None:
    deeplake.open(street).branch('cleaned')
    messages = {
        'all': r'is a view of .* already: 24 rows of main:0.*, select .* Choose .* --delete all',
        'cleaned': 'is the name of a branch of',
    }
    with pytest.raises(ConfigError, match=messages.get(name, 'expected letters, digits and')):
        save_view(select({'deeplake_path': street}), name)
    assert sorted(deeplake.open_read_only(street).tags.names()) == ['all']


def test_what_deep_lake_would_open_as_other_rows_is_taken_back(street: str) -> None:
    """Deep Lake keeps the words of a query that lists columns, and runs them again on all rows of the dataset."""
    save_view(select({'deeplake_path': street}, ['select * order by img_id desc']), 'falling')
    selection = select({'deeplake_path': f'{street}@falling'}, ['select images, img_id where img_id < 99'])
    with pytest.raises(
        QueryError, match=r'is not saved: opened again, the view has .*Begin the query with "select \*"'
    ):
        save_view(selection, 'kept')
    assert 'kept' not in deeplake.open_read_only(street).tags.names()


def test_drawn_rows_of_a_list_of_columns_are_refused_before_anything_is_saved(street: str) -> None:
    selection = select({'deeplake_path': street}, ['select images, img_id order by random() limit 6'])
    with pytest.raises(QueryError, match=r'Deep Lake keeps the words, and would draw other rows each time'):
        save_view(selection, 'kept')
    assert 'kept' not in deeplake.open_read_only(street).tags.names()


def test_rows_that_were_not_selected_to_be_saved_are_refused(street: str) -> None:
    with pytest.raises(ConfigError, match=r'expected rows that were selected to be saved: select\(…, to_save=True\)'):
        save_view(select_rows({'deeplake_path': street}), 'kept')


def test_a_view_that_deep_lake_would_note_on_the_wrong_branch_is_refused(street: str) -> None:
    dataset = deeplake.open(street)
    dataset.branch('dev')
    dev = dataset.branches['dev'].open()
    dev.delete(0)
    dev.commit('one less')
    first = dev.version
    dev.delete(0)
    dev.commit('two less')
    dev.query('select * where img_id > 99').tag('on_dev')
    with pytest.raises(
        QueryError, match='saves no view of a commit that is not the newest of another branch than main'
    ):
        select({'deeplake_path': f'{street}@dev', 'deeplake_commit_id': first})
    with pytest.raises(QueryError, match=r'saves no view of the view of another branch than main. Query the head of'):
        select({'deeplake_path': f'{street}@on_dev'})
    assert len(select_rows({'deeplake_path': f'{street}@on_dev'}, ['select * where img_id > 199'])) == 4


def test_deep_lake_still_notes_a_view_of_a_branch_that_is_open_to_read_on_main(street: str) -> None:
    """If this fails, Deep Lake has been corrected, and there is less to refuse."""
    dataset = deeplake.open(street)
    dataset.branch('dev')
    dev = dataset.branches['dev'].open()
    dev.delete(0)
    dev.commit('one less')
    reader = deeplake.open_read_only(street)
    tip = reader.branches['dev'].open()
    view = tip.query('select * where img_id < 40')
    assert [int(value) for value in view['img_id'][:]] == [13, 23, 33]
    view.tag('wrong')
    reader = deeplake.open_read_only(street)
    opened_again = reader.tags['wrong'].open()
    assert [int(value) for value in opened_again['img_id'][:]] == [3, 13, 23]


def test_a_view_that_cannot_be_opened_again_is_taken_back(street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> str:
        raise SourceError('the storage is gone')

    monkeypatch.setattr(saving, '_difference', fail)
    with pytest.raises(SourceError, match='storage is gone'):
        save_view(select({'deeplake_path': street}), 'kept')
    assert 'kept' not in deeplake.open_read_only(street).tags.names()


def test_another_number_of_rows_is_noticed(street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = select({'deeplake_path': street}, ['select * where img_id > 99'])
    object.__setattr__(selection, 'rows', selection.rows[:-1])
    with pytest.raises(QueryError, match='the view has 14 rows instead of 13'):
        save_view(selection, 'kept')
    swapped = select({'deeplake_path': street}, ['select * where img_id > 99'])
    object.__setattr__(swapped, 'rows', swapped.rows[::-1])
    with pytest.raises(QueryError, match="the view has other values in column 'images'"):
        save_view(swapped, 'kept')


def test_first_rows_say_file_size_and_objects(street: str, document: dict[str, Any]) -> None:
    found = first_rows(select({'deeplake_path': street}, ['select * order by img_id desc']), 30)
    assert [row.row for row in found] == list(range(23, -1, -1))
    for row in found:
        names = Counter(name_of(item) for item in objects_of(document)[row.row])
        assert (row.file_name, row.size, row.classes) == (f'{row.row:03}.jpg', '64x48', dict(names))
    assert next(row.objects for row in found if row.row == 4) == ''


def test_a_dataset_of_other_columns_is_queried_too(tmp_path: Any) -> None:
    path = str(tmp_path / 'dataset')
    second = {'second': deeplake.types.ClassLabel(deeplake.types.Array('uint32', 1))}
    values = {'second': [np.zeros(1, 'uint32')] * 5}
    write_dataset(path, 5, types=second, values=values, classes=['cat'])
    selection = select({'deeplake_path': path}, ['select * where number > 2'])
    assert (selection.labels, selection.classes) == (None, ())
    assert [(row.file_name, row.size, row.classes) for row in first_rows(selection, 1)] == [(None, None, {})]
    named = select({'deeplake_path': path, 'deeplake_tensors': {'gt_labels': 'categories'}})
    assert [(c.name, c.images, c.objects) for c in named.classes] == [('cat', 3, 3), ('1', 1, 1)]


def test_mistakes_are_those_of_any_dataset(street: str) -> None:
    with pytest.raises(RevisionNotFoundError, match="'nowhere', which is neither a branch nor a view"):
        select({'deeplake_path': f'{street}@nowhere'})
    with pytest.raises(QueryError, match="Did you mean 'car'"):
        select({'deeplake_path': street}, ["select * where contains(categories, 'care')"])
    with pytest.raises(ConfigError, match=r'select\(config=\) expected no deeplake_query'):
        select({'deeplake_path': street, 'deeplake_query': UNION})


def test_remarks_on_queries_are_kept_once(street: str) -> None:
    query = "select * where categories == 'car'"
    [remark] = select({'deeplake_path': street}, [query, query]).remarks
    assert 'looks at the first object of each row only' in remark


def test_a_saved_view_keeps_its_rows_when_the_dataset_changes(street: str) -> None:
    selection = select({'deeplake_path': street}, [UNION])
    save_view(selection, 'kept')
    dataset = deeplake.open(street)
    for row in sorted(selection.rows.tolist(), reverse=True)[:3]:
        dataset.delete(row)
    dataset.commit('rows of the view deleted')
    assert opened(street, 'kept') == ids_of(selection.rows)


def test_format_3_is_queried_and_refuses_views(tmp_path: Any) -> None:
    import tarfile
    from pathlib import Path

    with tarfile.open(Path(__file__).parents[1] / 'format3' / 'data' / 'example.tar.xz') as archive:
        archive.extractall(tmp_path, filter='data')
    path = str(tmp_path / 'example')
    selection = select({'deeplake_path': path}, limit=2)
    assert len(selection) == 2
    with pytest.raises(SourceError, match=r'is of Deep Lake format 3, which can be read but not written.*convert v3'):
        save_view(selection, 'kept')


def test_commits_between_opening_and_querying_are_not_mixed_in(street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, calls = SourceHandle.resolve, []

    def resolve_and_commit(spec: DatasetSpec) -> SourceHandle:
        handle = resolve(spec)
        if not calls:
            dataset = deeplake.open(street)
            dataset.delete(0)
            dataset.commit('in between')
        calls.append(handle.revision.commit_id)
        return handle

    monkeypatch.setattr(SourceHandle, 'resolve', resolve_and_commit)
    assert len(select({'deeplake_path': street}, ['select * where img_id > 0'])) == 24
    assert len(set(calls)) == 1
