"""Edits: exactly what was asked for changes, in all columns at once, as one commit or not at all."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import (
    AnnotationError,
    ColumnError,
    ConfigError,
    RevisionChangedError,
    RevisionNotFoundError,
    SourceError,
)
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.versions import applying, diff, edit, editing, list_commits, save_view, select
from tests.support.datasets import write_dataset
from tests.support.street import CLASSES, name_of, objects_of

Truth = list[tuple[str, list[dict[str, Any]]]]


def truth(document: dict[str, Any]) -> Truth:
    """File name and annotations of each row, from the annotation file."""
    return [(image['file_name'], items) for image, items in zip(document['images'], objects_of(document), strict=True)]


def stored(path: str, **pins: str) -> Truth:
    """The same out of a dataset, as `SourceHandle` reads it; only what the edits of these tests may touch."""
    source = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, **pins}))
    names = ('file_name', 'boxes', 'categories', 'areas', 'iscrowd', 'ann_ids', 'masks', 'img_id')
    columns = [source.read_column(name, 0, len(source)) for name in names]
    rows = []
    for file_name, boxes, labels, areas, crowd, ids, masks, img_id in zip(*columns, strict=True):
        masks = json.loads(masks)
        assert len(boxes) == len(labels) == len(areas) == len(crowd) == len(ids) == len(masks)
        items = [
            {
                'id': int(ids[k]),
                'image_id': int(img_id),
                'category_id': 5 * int(labels[k]) + 2,
                'bbox': boxes[k].tolist(),
                'area': float(areas[k]),
                'iscrowd': int(crowd[k]),
                'segmentation': masks[k],
            }
            for k in range(len(boxes))
        ]
        rows.append((str(file_name), items))
    return rows


def other_class(item: dict[str, Any]) -> str:
    return 'bus' if name_of(item) != 'bus' else 'car'


def rich_row(document: dict[str, Any], at_least: int = 3) -> int:
    """A row of several objects."""
    return next(row for row, items in enumerate(objects_of(document)) if len(items) >= at_least)


def test_the_dataset_holds_the_annotation_file_to_begin_with(street: str, document: dict[str, Any]) -> None:
    assert stored(street) == truth(document)


def test_rows_and_objects_are_dropped_and_relabelled_in_all_columns_at_once(
    street: str, document: dict[str, Any]
) -> None:
    row, wanted = rich_row(document), truth(document)
    items = wanted[row][1]
    with edit(street, branch='main', message='cleaned') as dataset:
        dataset.drop_row(20)
        dataset.drop_object(row, 0)
        dataset.drop_object(row, 2)
        dataset.relabel(row, 1, other_class(items[1]))
        dataset.drop_row(4)
    relabelled = {**items[1], 'category_id': 5 * CLASSES.index(other_class(items[1])) + 2}
    wanted[row] = (wanted[row][0], [relabelled, *items[3:]])
    assert stored(street) == [item for number, item in enumerate(wanted) if number not in (4, 20)]
    assert dataset.revision.rows == 22
    newest, before = list_commits(street)[:2]
    assert (newest.message, newest.id) == ('cleaned', dataset.revision.commit_id)
    assert before.message != 'cleaned', 'one commit only'
    assert dataset.done == [
        'dropped row 4 (004.jpg): no objects',
        f'dropped row 20 (020.jpg): {_counted(wanted[20][1])}',
        f'dropped object 0 of row {row} ({row:03}.jpg): {name_of(items[0])} at {_numbers(items[0])}',
        f'dropped object 2 of row {row} ({row:03}.jpg): {name_of(items[2])} at {_numbers(items[2])}',
        f'relabelled object 1 of row {row} ({row:03}.jpg): {name_of(items[1])} → {other_class(items[1])}',
    ]


def _counted(items: list[dict[str, Any]]) -> str:
    names = [name_of(item) for item in items]
    return ', '.join(f'{name} {names.count(name)}' for name in dict.fromkeys(names))


def _numbers(item: dict[str, Any]) -> str:
    return ', '.join(f'{number:g}' for number in item['bbox'])


def test_an_object_may_be_the_last_of_its_row(street: str, document: dict[str, Any]) -> None:
    wanted = truth(document)
    row = next(row for row, (_, items) in enumerate(wanted) if len(items) == 1)
    with edit(street, branch='main', message='empty') as dataset:
        dataset.drop_object(row, 0)
    wanted[row] = (wanted[row][0], [])
    assert stored(street) == wanted


def test_nothing_but_the_edit_differs(street: str, document: dict[str, Any]) -> None:
    with edit(street, branch='fix', create_branch=True, message='one') as dataset:
        dataset.drop_object(rich_row(document), 0)
    found = diff({'deeplake_path': street}, {'deeplake_path': f'{street}@fix'})
    assert [(change.row_a, change.objects.dropped) for change in found.changed] == [(rich_row(document), 1)]
    assert (found.added, found.removed, found.equal) == ([], [], 23)


def test_a_branch_is_made_from_main_from_another_branch_or_from_a_commit(street: str, document: dict[str, Any]) -> None:
    first = list_commits(street)[0].id
    for branch, start, pins in (('one', '', {}), ('two', '@one', {}), ('three', '', {'commit': first})):
        with edit(f'{street}{start}', branch=branch, create_branch=True, message='m', **pins) as dataset:
            dataset.drop_row(0)
        if branch == 'one':
            with edit(street, branch='main', message='meanwhile') as dataset:
                dataset.drop_row(23)
    rows = truth(document)
    assert stored(street) == rows[:23]
    assert stored(f'{street}@one') == stored(f'{street}@three') == rows[1:]
    assert stored(f'{street}@two') == rows[2:]
    with edit(f'{street}@two', branch='two', message='again') as dataset:
        dataset.drop_row(0)
    assert stored(f'{street}@two') == rows[3:]


@pytest.mark.parametrize('branch', ['main', 'dev'])
def test_a_view_saved_before_an_edit_trains_as_it_was(street: str, branch: str, document: dict[str, Any]) -> None:
    from deeplake_mmdet import DeepLakeDataset

    def samples() -> tuple[str, list[dict[str, Any]]]:
        dataset = DeepLakeDataset(deeplake_path=street, deeplake_view_id='kept', test_mode=True)
        infos = [dataset.get_data_info(place) for place in range(len(dataset))]
        for info in infos:
            info['image'] = dataset.source.read('images', [int(info['img_path'].rpartition('/')[2].split('.')[0])])
        return dataset.metainfo['deeplake']['digest'], infos

    if branch == 'dev':
        deeplake.open(street).branch('dev')
    chosen = select(
        {'deeplake_path': f'{street}@{branch}'}, ["select * where contains(categories, 'car')"], to_save=True
    )
    save_view(chosen, 'kept')
    before = samples()
    rows = chosen.rows.tolist()
    with edit(street, branch=branch, message='edit the rows of the view') as dataset:
        dataset.drop_row(rows[0])
        dataset.drop_object(rows[1], 0)
        dataset.relabel(rows[2], 0, other_class(truth(document)[rows[2]][1][0]))
    digest, infos = samples()
    assert digest == before[0]
    assert len(infos) == len(rows)
    assert str(infos) == str(before[1])
    assert stored(street, deeplake_view_id='kept') == [truth(document)[row] for row in rows]


def test_columns_of_voc_masks_and_keypoints_stay_in_step(tmp_path: Path) -> None:
    T, rng, counts = deeplake.types, np.random.default_rng(0), [3, 0, 2, 1, 4]
    path = str(tmp_path / 'dataset')
    columns: dict[str, tuple[Any, Any]] = {
        'difficult': (T.Array('uint8', 1), lambda n: rng.integers(0, 2, n).astype('uint8')),
        'truncated': (T.Array('uint8', 1), lambda n: rng.integers(0, 2, n).astype('uint8')),
        'layers': (T.BinaryMask('lz4'), lambda n: rng.random((16, 20, n)) > 0.5),
        'stack': (T.BinaryMask('lz4'), lambda n: rng.random((n, 16, 20)) > 0.5),
        'outlines': (T.Polygon(), lambda n: _polygons(rng, n)),
        'skeletons': (T.Array('float32', 3), lambda n: rng.random((n, 17, 3)).astype('float32')),
        'points': (T.Point(3), lambda n: rng.random((n, 5, 3)).astype('float32')),
        'scores': (T.Array('float32', 1), lambda n: rng.random(n).astype('float32')),
        'annotation_fields': (T.Text(), lambda n: json.dumps([{'score': float(rng.random())} for _ in range(n)])),
        'caption': (T.Text(), lambda n: f'{n} things'),
        'tags': (T.Text(), lambda n: '["street", "night"]'),
        'embedding': (T.Embedding(4), lambda n: rng.random(4).astype('float32')),
        'corner': (T.Array('int32', 1), lambda n: np.arange(2, dtype='int32')),
        'weight': ('float32', lambda n: np.float32(n)),
    }
    values = {name: [make(n) for n in counts] for name, (_, make) in columns.items()}
    values['weight'] = np.array(values['weight'])
    boxes = [rng.random((n, 4)).astype('float32') for n in counts]
    write_dataset(
        path,
        5,
        types={name: kind for name, (kind, _) in columns.items()},
        values={**values, 'boxes': boxes, 'categories': [np.zeros(n, 'uint32') for n in counts]},
    )
    with edit(path, branch='main', message='drop') as dataset:
        dataset.drop_object(0, 1)
        dataset.drop_object(3, 0)
        dataset.drop_object(4, 0)
        dataset.drop_object(4, 3)
    kept = {0: [0, 2], 1: [], 2: [0, 1], 3: [], 4: [1, 2]}
    found = deeplake.open_read_only(path)
    for row, keep in kept.items():
        for name in ('difficult', 'truncated', 'stack', 'skeletons', 'points', 'scores'):
            assert np.array_equal(found[name][row], values[name][row][keep]), name
        assert np.array_equal(found['boxes'][row], boxes[row][keep])
        assert np.array_equal(found['layers'][row], values['layers'][row][:, :, keep])
        outlines = [points.tolist() for points in found['outlines'][row]]
        assert outlines == [values['outlines'][row][k].tolist() for k in keep]
        fields = json.loads(values['annotation_fields'][row])
        assert json.loads(found['annotation_fields'][row]) == [fields[k] for k in keep]
        for name in ('caption', 'tags', 'weight'):
            assert found[name][row] == values[name][row]
        for name in ('embedding', 'corner'):
            assert np.array_equal(found[name][row], values[name][row])


def _polygons(rng: np.random.Generator, count: int) -> Any:
    polygons = [rng.random((3 + k, 2)).astype('float32') for k in range(count)]
    return polygons or np.zeros((0, 0, 2), 'float32')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda d: d.drop_row(24), r'drop_row\(24, …\) expected a row of 0 to 23, counted in .*24 rows'),
        (lambda d: d.drop_row(-1), r'drop_row\(-1, …\) expected a row of 0 to 23'),
        (lambda d: d.drop_row('3'), r"drop_row\('3', …\) expected a row"),
        (lambda d: d.drop_object(4, 0), r'names an object of row 4 \(004.jpg\), which has no objects'),
        (
            lambda d: d.drop_object(0, 9),
            r'drop_object\(0, 9\) names an object of row 0 \(000.jpg\), which has objects 0 to',
        ),
        (lambda d: d.relabel(0, 0, 'bsu'), r"names no class of the dataset. The classes are .*Did you mean 'bus'\?"),
        (lambda d: (d.drop_row(0), d.drop_object(0, 0)), 'edits an object of a row that is dropped too'),
        (lambda d: (d.drop_object(0, 0), d.drop_row(0)), 'drops a row whose objects are edited too'),
        (lambda d: (d.drop_object(0, 0), d.relabel(0, 0, 'bus')), 'relabels an object that is dropped too'),
        (lambda d: (d.relabel(0, 0, 'bus'), d.drop_object(0, 0)), 'drops an object that is relabelled too'),
        (lambda d: (d.relabel(0, 0, 'bus'), d.relabel(0, 0, 'car')), 'gives one object two classes'),
        (lambda d: None, 'edit expected at least one change'),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(street: str, change: Any, message: str) -> None:
    commits = list_commits(street)
    with pytest.raises(ConfigError, match=message), edit(street, branch='main', message='m') as dataset:
        change(dataset)
    assert list_commits(street) == commits


def test_the_same_change_twice_is_made_once(street: str, document: dict[str, Any]) -> None:
    with edit(street, branch='main', message='m') as dataset:
        for _ in range(2):
            dataset.drop_row(4)
            dataset.drop_object(rich_row(document), 0)
    assert len(dataset.done) == 2


@pytest.mark.parametrize(
    ('at', 'options', 'error', 'message'),
    [
        (
            '',
            {'branch': 'dve'},
            ConfigError,
            r"names no branch. Known branches: 'dev', 'main'. Did you mean 'dev'\? Give",
        ),
        (
            '',
            {'branch': 'dev', 'create_branch': True},
            ConfigError,
            'there is a branch of this one. Leave out --create',
        ),
        ('', {'branch': 'all', 'create_branch': True}, ConfigError, 'there is a view of this one. Choose another name'),
        ('@all', {'branch': 'main'}, ConfigError, "names the view 'all', and views do not change"),
        ('@nowhere', {'branch': 'main'}, ConfigError, "names 'nowhere'. Known branches: 'dev', 'main'"),
        ('@dev', {'branch': 'main'}, ConfigError, 'edits the head of that branch, but another version is named'),
        ('', {'branch': 'main', 'commit': '0'}, ConfigError, 'edits the head of that branch, but another version is'),
        ('', {'branch': 'new', 'create_branch': True, 'commit': '0'}, RevisionNotFoundError, "'0', which is no commit"),
        ('', {'branch': 'main', 'message': ' '}, ConfigError, 'expected the reason for the commit'),
    ],
)
def test_wrong_branches_and_messages_are_refused(
    street: str, at: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    deeplake.open(street).branch('dev')
    with pytest.raises(error, match=message):
        edit(f'{street}{at}', **{'message': 'm', **options})
    assert sorted(deeplake.open_read_only(street).branches.names()) == ['dev', 'main']


def test_an_error_in_the_block_writes_nothing(street: str) -> None:
    commits = list_commits(street)
    with pytest.raises(ZeroDivisionError), edit(street, branch='main', message='m') as dataset:
        dataset.drop_row(0)
        raise ZeroDivisionError
    assert (list_commits(street), dataset.revision) == (commits, None)


@pytest.mark.parametrize('branch', ['main', 'new'])
def test_an_error_while_writing_leaves_nothing_behind(
    street: str, branch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = editing.edited_values

    def garbled(plan: Any, columns: Any) -> Any:
        return {row: {**found, 'areas': 'no numbers'} for row, found in values(plan, columns).items()}

    monkeypatch.setattr(editing, 'edited_values', garbled)
    commits = list_commits(street)
    with (
        pytest.raises(SourceError, match=rf"Editing branch '{branch}' of .* failed: InvalidType"),
        edit(street, branch=branch, create_branch=branch == 'new', message='m') as dataset,
    ):
        dataset.relabel(0, 0, 'bus')
        dataset.drop_row(1)
    gc.collect()
    handle = deeplake.open_read_only(street)
    assert (list(handle.branches.names()), len(handle)) == (['main'], 24)
    assert list_commits(street) == commits


def test_a_commit_in_between_is_noticed(street: str) -> None:
    with (
        pytest.raises(RevisionChangedError, match=r"Branch 'main' of .* is at commit .* now; the edit was made for"),
        edit(street, branch='main', message='m') as dataset,
    ):
        dataset.drop_row(0)
        other = deeplake.open(street)
        other.delete(0)
        other.commit('somebody else')
    assert len(deeplake.open_read_only(street)) == 23


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda tip: tip.delete(0), 'it has 22 rows instead of 23'),
        (
            lambda tip: tip['file_name'].__setitem__(7, 'x'),
            "that were not edited have other values in column 'file_name'",
        ),
        (lambda tip: tip['height'].__setitem__(0, 1), "row 0 has another value in column 'height' than was written"),
    ],
)
def test_what_was_written_is_compared_with_what_was_to_be_written(
    street: str, spoil: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = applying._commit

    def spoilt(tip: Any, *args: Any) -> str:
        spoil(tip)
        return commit(tip, *args)

    monkeypatch.setattr(applying, '_commit', spoilt)
    with pytest.raises(SourceError, match=message), edit(street, branch='main', message='m') as dataset:
        dataset.relabel(0, 0, 'bus' if _first(street) != 'bus' else 'car')
        dataset.drop_row(10)


def _first(path: str) -> str:
    dataset = deeplake.open_read_only(path)
    return CLASSES[int(dataset['categories'][0][0])]


def test_a_dataset_without_class_names_cannot_be_relabelled(tmp_path: Path) -> None:
    path = str(tmp_path / 'dataset')
    write_dataset(path, 4, classes=None)
    with (
        pytest.raises(ColumnError, match="needs class names in the metadata of 'categories'"),
        edit(path, branch='main', message='m') as dataset,
    ):
        dataset.relabel(1, 0, 'dog')


def test_masks_that_are_not_one_a_box_stop_the_edit(street: str) -> None:
    dataset = deeplake.open(street)
    dataset['masks'][0] = '[]'
    dataset.commit('damage')
    with (
        pytest.raises(AnnotationError, match=r"Column 'masks', row 0: expected \d entries, one a box"),
        edit(street, branch='main', message='m') as edited,
    ):
        edited.drop_object(0, 0)


def test_format_3_is_refused_with_the_way_out(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(Path(__file__).parents[1] / 'format3' / 'data' / 'example.tar.xz') as archive:
        archive.extractall(tmp_path, filter='data')
    with pytest.raises(SourceError, match=r'format 3, which can be read but not written.*deeplake-mmdet convert v3'):
        edit(str(tmp_path / 'example'), branch='main', message='m')
