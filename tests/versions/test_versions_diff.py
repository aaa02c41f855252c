"""Differences between versions: every change that was made is found, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.errors import ColumnError, RevisionNotFoundError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.versions import Difference, diff, row_keys
from deeplake_mmdet.versions.object_changes import ObjectChanges, Objects, object_changes
from tests.support.datasets import write_dataset
from tests.support.street import CLASSES, name_of, objects_of


@pytest.fixture
def dev(street: str) -> Any:
    """A branch of the dataset of streets, to be changed."""
    dataset = deeplake.open(street)
    dataset.branch('dev')
    return dataset.branches['dev'].open()


def compared(path: str, **options: Any) -> Difference:
    return diff({'deeplake_path': path}, {'deeplake_path': f'{path}@dev'}, **options)


def test_a_version_equals_itself_and_its_copy(street: str, dev: Any) -> None:
    found = compared(street)
    assert not found
    assert (found.key, found.equal, found.changed) == ('img_id', 24, [])


def test_rows_added_and_removed_are_found_by_their_id(street: str, dev: Any) -> None:
    row = {column.name: [_as_written(dev, column.name, 7)] for column in dev.schema.columns}
    dev.append({**row, 'img_id': np.array([999])})
    dev.delete(20)
    dev.delete(2)
    dev.commit('rows')
    found = compared(street)
    assert found.added == [(999, 22)]
    assert found.removed == [(23, 2), (203, 20)]
    assert (found.changed, found.equal, bool(found), found.is_reordered) == ([], 22, True, False)


def _as_written(dataset: Any, column: str, row: int) -> Any:
    return dataset[column].get_bytes(row) if column == 'images' else dataset[column][row]


def test_each_changed_column_is_named_with_what_happened_to_the_objects(
    street: str, dev: Any, document: dict[str, Any]
) -> None:
    items = objects_of(document)
    row = next(row for row, found in enumerate(items) if len(found) > 2)
    other = 'bus' if name_of(items[row][0]) != 'bus' else 'car'
    labels = dev['categories'][row].copy()
    labels[0] = CLASSES.index(other)
    keep = [place for place in range(len(labels)) if place != 1]
    dev['categories'][row] = labels[keep]
    for name in ('boxes', 'areas', 'iscrowd', 'ann_ids'):
        dev[name][row] = dev[name][row][keep]
    dev['file_name'][4] = 'renamed.jpg'
    dev['areas'][5] = dev['areas'][5] + 0.001
    dev.commit('changes')
    found = {change.row_a: change for change in compared(street).changed}
    assert set(found) == {row, 4, 5}
    assert found[row].columns == ('boxes', 'categories', 'areas', 'iscrowd', 'ann_ids')
    assert found[row].objects == ObjectChanges(dropped=1, relabelled=((name_of(items[row][0]), other),))
    assert (found[4].columns, found[4].objects) == (('file_name',), ObjectChanges())
    assert found[5].columns == ('areas',)
    assert found[4].key == 43


def test_one_byte_of_an_image_is_a_change_unless_images_are_left_out(street: str, dev: Any) -> None:
    data = bytearray(dev['images'].get_bytes(3))
    data[-10] ^= 1
    dev['images'][3] = bytes(data)
    dev.commit('one bit')
    [change] = compared(street).changed
    assert (change.row_a, change.columns) == (3, ('images',))
    found = compared(street, without=['images'])
    assert (bool(found), found.left_out) == (False, ('images',))


def test_one_digit_of_a_mask_is_a_change(street: str, dev: Any) -> None:
    masks = json.loads(dev['masks'][0])
    masks[0][0][1] += 0.5
    dev['masks'][0] = json.dumps(masks)
    dev.commit('mask')
    [change] = compared(street).changed
    assert change.columns == ('masks',)


def test_columns_and_metadata_are_compared(street: str, dev: Any) -> None:
    dev.add_column('quality', 'float32')
    dev['quality'][0:24] = np.ones(24, 'float32')
    dev['areas'].metadata['unit'] = 'pixels'
    dev['categories'].metadata['class_names'] = ['person', 'car', 'bus', 'bike']
    dev.commit('columns')
    found = compared(street)
    assert (found.added_columns, found.removed_columns, found.retyped_columns) == ({'quality': 'float32'}, {}, {})
    assert found.metadata == {
        'areas.unit': (None, 'pixels'),
        'categories.class_names': (list(CLASSES), ['person', 'car', 'bus', 'bike']),
    }
    backwards = diff({'deeplake_path': f'{street}@dev'}, {'deeplake_path': street})
    assert (backwards.removed_columns, backwards.metadata['areas.unit']) == ({'quality': 'float32'}, ('pixels', None))


def test_labels_are_compared_by_class_name(tmp_path: Path) -> None:
    a, b = str(tmp_path / 'a'), str(tmp_path / 'b')
    write_dataset(a, 6, classes=['cat', 'dog'])
    swapped = [np.array([1, 0], 'uint32')[: n % 3] for n in range(6)]
    write_dataset(b, 6, classes=['dog', 'cat'], values={'categories': swapped})
    found = diff({'deeplake_path': a}, {'deeplake_path': b})
    assert (found.changed, list(found.metadata)) == ([], ['categories.class_names'])


def test_a_column_of_another_type_is_named_and_not_compared(tmp_path: Path) -> None:
    a, b = str(tmp_path / 'a'), str(tmp_path / 'b')
    write_dataset(a, 3)
    dataset = write_dataset(b, 3, types={'number': 'float64'}, values={'number': np.array([7.0, 8, 9])})
    dataset.metadata['licence'] = 'none'
    dataset.commit('metadata')
    found = diff({'deeplake_path': a}, {'deeplake_path': b})
    assert found.retyped_columns == {'number': ('int64', 'float64')}
    assert (found.key, found.changed, found.metadata) == ('position', [], {'dataset.licence': (None, 'none')})


def test_rows_in_another_order_differ(street: str) -> None:
    dataset = deeplake.open(street)
    dataset.query('select * order by img_id desc').tag('falling')
    found = diff({'deeplake_path': street}, {'deeplake_path': f'{street}@falling'})
    assert (found.is_reordered, found.changed, found.equal, bool(found)) == (True, [], 24, True)


def test_views_commits_and_subsets_are_compared(street: str) -> None:
    dataset = deeplake.open(street)
    first = dataset.version
    dataset.query('select * where img_id > 99').tag('late')
    dataset.delete(0)
    dataset.commit('one less')
    found = diff({'deeplake_path': street, 'deeplake_commit_id': first}, {'deeplake_path': street})
    assert found.removed == [(3, 0)]
    found = diff({'deeplake_path': street}, {'deeplake_path': f'{street}@late'})
    assert [key for key, _ in found.removed] == list(range(13, 99, 10))
    assert found.equal == 14


@pytest.mark.parametrize(
    ('ids', 'names', 'key'),
    [
        ([1, 2, 3], ['a', 'b', 'c'], 'img_id'),
        ([1, 1, 2], ['a', 'b', 'c'], 'file_name'),
        ([1, 1, 2], ['a', 'a', 'c'], 'position'),
        ([1, 1, 2], None, 'position'),
    ],
)
def test_the_key_is_the_first_column_without_a_value_twice(
    tmp_path: Path, ids: list[int], names: list[str] | None, key: str
) -> None:
    types = {'img_id': 'int64'} | ({'file_name': 'text'} if names else {})
    values = {'img_id': np.array(ids)} | ({'file_name': names} if names else {})
    for name in 'ab':
        write_dataset(str(tmp_path / name), 3, types=types, values=values)
    found = diff({'deeplake_path': str(tmp_path / 'a')}, {'deeplake_path': str(tmp_path / 'b')})
    assert (found.key, found.equal) == (key, 3)


def test_a_key_can_be_named(street: str, dev: Any) -> None:
    dev.delete(0)
    dev.commit('one less')
    assert compared(street, key='file_name').removed == [('000.jpg', 0)]
    by_position = compared(street, key='position')
    assert (by_position.removed, len(by_position.changed)) == ([(23, 23)], 23)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'key': 'img_ids'}, r"names 'img_ids', which is no column of both versions.*Did you mean 'img_id'\?"),
        ({'key': 'split'}, r"diff\(key='split'\) expected one number or text a row, each only once"),
        ({'key': 'boxes'}, r"diff\(key='boxes'\) expected one number or text a row"),
        ({'without': ['image']}, r"diff\(without=\) names 'image', which is no column.*Did you mean 'images'\?"),
    ],
)
def test_columns_that_cannot_be_what_they_are_named_for_are_refused(
    street: str, dev: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ColumnError, match=message):
        compared(street, **options)


def test_an_unknown_version_is_refused(street: str) -> None:
    with pytest.raises(RevisionNotFoundError, match="'dev', which is neither a branch nor a view"):
        compared(street)


def test_pieces_do_not_change_what_is_found(street: str, dev: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dev['areas'][5] = dev['areas'][5] + 1
    dev.delete(12)
    dev.delete(2)
    dev.commit('changes')
    whole = compared(street)
    from deeplake_mmdet.versions import reading, row_changes

    monkeypatch.setattr(reading, 'LIGHT_ROWS', 5)
    monkeypatch.setattr(reading, 'HEAVY_ROWS', 3)
    monkeypatch.setattr(row_keys, 'LIGHT_ROWS', 7)
    monkeypatch.setattr(row_changes, 'LIGHT_ROWS', 1)
    read, most = SourceHandle.read, {}

    def counted(self: SourceHandle, column: str, rows: Any) -> list[Any]:
        most[column] = max(most.get(column, 0), len(rows))
        return read(self, column, rows)

    monkeypatch.setattr(SourceHandle, 'read', counted)
    assert compared(street) == whole
    assert most['images'] == 3
    assert len(whole.changed) == 1


def objects(rows: list[tuple[float, str]], ids: list[int] | None = None) -> Objects:
    """Objects whose boxes differ in one number."""
    return Objects.of(np.array([[x, 0, 5, 5] for x, _ in rows]), [name for _, name in rows], ids)


@pytest.mark.parametrize(
    ('a', 'b', 'changes'),
    [
        (objects([(1, 'a'), (2, 'b')]), objects([(2, 'b'), (1, 'a')]), ObjectChanges()),
        (objects([(1, 'a'), (1, 'a')]), objects([(1, 'a')]), ObjectChanges(dropped=1)),
        (objects([(1, 'a')]), objects([(1, 'b'), (3, 'c')]), ObjectChanges(added=1, relabelled=(('a', 'b'),))),
        (objects([(1, 'a')]), objects([(2, 'a')]), ObjectChanges(added=1, dropped=1)),
        (objects([(1, 'a')], [7]), objects([(2, 'b')], [7]), ObjectChanges(moved=1, relabelled=(('a', 'b'),))),
        (objects([(1, 'a')], [7]), objects([(1, 'a')], [8]), ObjectChanges(added=1, dropped=1)),
        (objects([(1, 'a'), (2, 'a')], [7, 7]), objects([(2, 'a')], [7]), ObjectChanges(dropped=1)),
        (objects([]), objects([(1, 'a')]), ObjectChanges(added=1)),
    ],
)
def test_objects_are_the_same_by_id_else_by_box(a: Objects, b: Objects, changes: ObjectChanges) -> None:
    assert object_changes(a, b) == changes


def test_changes_of_objects_are_said_in_words() -> None:
    changes = ObjectChanges(1, 2, 3, (('car', 'bus'), ('car', 'bus'), ('a', 'b')))
    assert str(changes) == '1 added, 2 dropped, 3 moved, 3 relabelled: car → bus (2), a → b'
    assert str(ObjectChanges()) == ''
