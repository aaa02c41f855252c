"""Opened objects as data: the keys name exactly their rows, or lead to the object itself, or there is an error."""

from __future__ import annotations

import gc
import logging
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.errors import ConfigError, EmptyDatasetError, SourceNotFoundError
from deeplake_mmdet.source import candidates, live, same_rows, traces
from deeplake_mmdet.source.adopted import adopt, release
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.children import digests, in_child, report, run_script
from tests.support.datasets import append_rows, pixels, png, rows, write_dataset
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY

RANDOM = 'select * order by random()'
BYTES = {png(number): number for number in range(60)}


@pytest.fixture(autouse=True)
def nothing_stays_kept() -> Iterator[None]:
    yield
    live._kept.clear()


@pytest.fixture
def path(make_dataset: Callable[..., str]) -> str:
    """Two commits (rows 0 to 7, then 8 and 9), the branch dev with row 20 more, and the view odd."""
    path = make_dataset()
    dataset = deeplake.open(path)
    append_rows(dataset, [8, 9])
    dataset.query('select * where number % 2 == 1').tag('odd')
    dataset.tag('release')
    dataset.branch('dev')
    append_rows(dataset.branches['dev'].open(), [20])
    return path


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What is logged: level and text."""
    lines: list[tuple[int, str]] = []
    import mmengine.logging

    monkeypatch.setattr(mmengine.logging, 'print_log', lambda text, logger, level: lines.append((level, text)))
    return lines


def numbers(dataset: DeepLakeDataset) -> list[int]:
    """The rows that a dataset gives, known by their images, after checking that their boxes belong to them."""
    found = [BYTES[dataset.images.get(row)] for row in dataset.index.rows.tolist()]
    expected = rows(found)
    index = dataset.index
    for image, (boxes, labels) in enumerate(zip(expected['boxes'], expected['categories'], strict=True)):
        objects = slice(index.offsets[image], index.offsets[image + 1])
        assert np.array_equal(index.boxes[objects], boxes)
        assert np.array_equal(index.labels[objects], labels)
    return found


def is_live(keys: dict[str, Any]) -> bool:
    return keys['deeplake_path'].startswith('opened://')


def resolve(keys: dict[str, Any]) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config(keys))


def head(path: str) -> Any:
    return deeplake.open_read_only(path)


def first(path: str) -> Any:
    dataset = deeplake.open_read_only(path)
    return dataset.history[dataset.history[1].id].open()


def dev(path: str) -> Any:
    return deeplake.open_read_only(f'{path}@dev')


def writable_dev(path: str) -> Any:
    dataset = deeplake.open(path)
    return dataset.branches['dev'].open()


ALL = list(range(10))
NAMED: dict[str, tuple[Callable[[str], Any], list[int], dict[str, str]]] = {
    'writable head': (deeplake.open, ALL, {}),
    'read-only head': (head, ALL, {}),
    'branch': (dev, [*ALL, 20], {'branch': 'dev'}),
    'writable branch': (writable_dev, [*ALL, 20], {'branch': 'dev'}),
    'version': (first, ALL[:8], {}),
    'tag of a version': (lambda path: head(path).tags['release'].open(), ALL, {}),
    'saved view': (lambda path: head(path).tags['odd'].open(), [1, 3, 5, 7, 9], {'view_id': 'odd'}),
    'query': (lambda path: head(path).query('select * where number > 6'), [7, 8, 9], {'query': 'number > 6'}),
    'query of a writable one': (lambda path: deeplake.open(path).query('select * limit 2'), [0, 1], {'query': 'limit'}),
    'query of a query': (
        lambda path: head(path).query('select * where number > 2').query('select * where number < 6'),
        [3, 4, 5],
        {'query': 'from (select'},
    ),
    'order by': (
        lambda path: head(path).query('select * order by number desc limit 3'),
        [9, 8, 7],
        {'query': 'order by'},
    ),
    'limit and offset': (lambda path: head(path).query('select * limit 2 offset 3'), [3, 4], {'query': 'offset'}),
    'query that selects all': (lambda path: head(path).query('select *'), ALL, {}),
    'projection': (
        lambda path: head(path).query('select images, boxes, categories where number > 7'),
        [8, 9],
        {'query': 'select images, boxes, categories'},
    ),
    'projection, then limit': (
        lambda path: head(path).query('select images, boxes, categories, number').query('select * limit 2'),
        [0, 1],
        {'query': 'select images, boxes, categories, number limit 2'},
    ),
    'computed column beside': (
        lambda path: head(path).query('select *, number * 2 as twice').query('select * where twice > 15'),
        [8, 9],
        {'query': 'twice > 15'},
    ),
    'union': (
        lambda path: head(path).query('(select * where number > 8) union (select * where number < 1)'),
        [0, 9],
        {'query': 'union'},
    ),
    'query of a version': (lambda path: first(path).query('select * where number > 5'), [6, 7], {'query': '> 5'}),
    'query of a saved view': (
        lambda path: head(path).tags['odd'].open().query('select * where number > 4'),
        [5, 7, 9],
        {'view_id': 'odd', 'query': '> 4'},
    ),
    'query of a branch': (
        lambda path: dev(path).query('select * where number > 8'),
        [9, 20],
        {'branch': 'dev', 'query': '> 8'},
    ),
    'query by path': (lambda path: deeplake.query(f'select * from "{path}" where number > 8'), [9], {'query': '> 8'}),
    'query by path of a branch': (
        lambda path: deeplake.query(f'select * from "{path}@dev"').query('select * where number > 8'),
        [9, 20],
        {'branch': 'dev', 'query': '> 8'},
    ),
}


@pytest.mark.parametrize('kind', NAMED)
def test_the_keys_name_storage_and_give_the_objects_rows_in_order(path: str, kind: str) -> None:
    open_it, expected, pins = NAMED[kind]
    keys = adopt(open_it(path))
    dataset = DeepLakeDataset(**keys)
    assert numbers(dataset) == expected
    assert keys['deeplake_path'] == path
    for pin in ('branch', 'view_id', 'query'):
        assert pins.get(pin, '') in keys.get(f'deeplake_{pin}', ''), keys
        assert (pin in pins) == (f'deeplake_{pin}' in keys), keys
    assert dataset.source.revision.commit_id == keys['deeplake_commit_id']
    assert not live._kept, 'the object itself is not needed any more'


def test_the_commit_is_that_of_the_object_though_the_dataset_grew(path: str) -> None:
    opened = head(path)
    view = opened.query('select * where number > 6')
    append_rows(deeplake.open(path), [11, 12])
    for obj, expected in ((opened, ALL), (view, [7, 8, 9])):
        keys = adopt(obj)
        assert keys['deeplake_commit_id'] == opened.version
        assert numbers(DeepLakeDataset(**keys)) == expected


def test_a_pickled_copy_reads_the_same_in_a_new_process(path: str) -> None:
    keys = adopt(head(path).query('select * where number > 6 order by number desc'))
    handle = resolve(keys)
    here = digests(handle, 'images', handle.rows)
    for method in ('fork', 'spawn'):
        assert in_child(method, report, handle, 'images', handle.rows) == (False, here, [9, 8, 7], handle.revision)


def test_tensors_become_a_key(make_dataset: Callable[..., str]) -> None:
    path = make_dataset(types={'other': types.BoundingBox('float32')}, values={'other': rows(range(8))['boxes']})
    keys = adopt(head(path), {'gt_bboxes': 'other'})
    assert keys['deeplake_tensors'] == {'gt_bboxes': 'other'}
    assert len(DeepLakeDataset(**keys)) == 8
    with pytest.raises(ConfigError, match=r"unknown role 'gt_boxes'. Did you mean 'gt_bboxes'"):
        adopt(head(path), {'gt_boxes': 'other'})
    assert not live._kept


# Objects that no keys name


def uncommitted(path: str) -> Any:
    dataset = deeplake.open(path)
    dataset.append(rows([30, 31]))
    return dataset


LIVE: dict[str, tuple[Callable[[str], Any], list[int] | None, str]] = {
    'random order': (lambda path: head(path).query(RANDOM), None, 'draws rows by lot'),
    'sample by': (lambda path: head(path).query('select * sample by number'), None, 'draws rows by lot'),
    'uncommitted rows': (uncommitted, [*ALL, 30, 31], 'changes that are in no commit'),
    'query of uncommitted rows': (
        lambda path: uncommitted(path).query('select * where number > 8'),
        [9, 30, 31],
        '1 rows instead of 3',
    ),
    'union of parts with an order': (
        lambda path: head(path).query('(select * where number > 7 order by number desc) union (select * limit 1)'),
        [0, 9, 8],
        'has an order of its own',
    ),
}


@pytest.mark.parametrize('kind', LIVE)
def test_an_object_that_no_keys_name_is_read_itself_and_the_log_says_why(
    path: str, said: list[tuple[int, str]], kind: str
) -> None:
    open_it, expected, reason = LIVE[kind]
    obj = open_it(path)
    keys = adopt(obj, argument='train_detector(ds_train=)')
    assert set(keys) == {'deeplake_path'}
    assert is_live(keys)
    dataset = DeepLakeDataset(**keys)
    shown = [BYTES[data] for data in obj[dataset.columns['img']].get_bytes(slice(0, len(obj)))]
    assert numbers(dataset) == shown == (expected or shown)
    [(level, line)] = said
    assert level == logging.WARNING
    assert line.startswith('train_detector(ds_train=) is read as this process has it open')
    assert reason in line
    revision = dataset.source.revision
    assert (revision.uri, revision.commit_id, revision.branch) == (path, '', 'main')
    assert f'{path} @ main (commit unknown), opened://' in str(revision)
    assert len(dataset.metainfo['deeplake']['digest']) == 32
    rollback(obj)


def rollback(obj: Any) -> None:
    if hasattr(obj, 'rollback'):
        obj.rollback()


@pytest.mark.parametrize(
    ('computed', 'column', 'expected'),
    [
        ('images[0:8, 0:10] as images', 'images', lambda number: pixels(number)[:8, :10]),
        ('images as pictures', 'pictures', pixels),
        ('other as images', 'images', lambda number: pixels(number + 40)),
    ],
)
def test_a_computed_or_renamed_image_column_is_read_from_the_object(
    path: str, computed: str, column: str, expected: Callable[[int], np.ndarray]
) -> None:
    import cv2

    dataset = deeplake.open(path)
    dataset.add_column('other', types.Image(sample_compression='png'))
    dataset['other'][:] = [png(number + 40) for number in range(10)]
    dataset.commit('other')
    obj = head(path).query(f'select boxes, categories, {computed} where number > 7')
    keys = adopt(obj, {'img': column})
    assert is_live(keys)
    images = DeepLakeDataset(**keys).images
    for row in range(2):
        image = cv2.imdecode(np.frombuffer(images.get(row), np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(image[:, :, ::-1], expected(row + 8))


def test_data_in_memory_is_read_itself_at_a_known_commit(said: list[tuple[int, str]]) -> None:
    dataset = write_dataset('mem://adopted', 4)
    keys = adopt(dataset)
    revision = resolve(keys).revision
    assert is_live(keys)
    assert (revision.uri, revision.commit_id, revision.dataset_id) == ('mem://adopted', dataset.version, dataset.id)
    assert str(revision).startswith(f'mem://adopted @ main:{dataset.version}, {keys["deeplake_path"]} (a dataset), 4')
    assert 'its data is in memory' in said[0][1]
    assert numbers(DeepLakeDataset(**keys)) == [0, 1, 2, 3]
    assert numbers(DeepLakeDataset(**adopt(dataset.query('select * where number > 1')))) == [2, 3]


def test_a_random_order_that_was_saved_is_found_by_its_tag(path: str) -> None:
    view = head(path).query(f'{RANDOM} limit 5')
    before = view['number'][:].tolist()
    view.tag('drawn')
    keys = adopt(view)
    assert keys['deeplake_view_id'] == 'drawn'
    assert numbers(DeepLakeDataset(**keys)) == before


def test_a_query_on_top_of_a_live_object_selects_among_its_rows(path: str) -> None:
    view = head(path).query(RANDOM)
    expected = [number for number in view['number'][:].tolist() if number > 5]
    dataset = DeepLakeDataset(**adopt(view), deeplake_query='select * where number > 5')
    assert numbers(dataset) == expected
    assert str(dataset.source.revision).endswith(
        "(select * order by random()), query 'select * where number > 5', 4 rows"
    )


def test_pins_beside_a_live_object_are_refused(path: str) -> None:
    keys = adopt(head(path).query(RANDOM))
    for pin in ('branch', 'commit_id', 'view_id'):
        with pytest.raises(ConfigError, match=rf"deeplake_{pin}='odd'\) cannot be applied to opened://.*Leave it out"):
            resolve({**keys, f'deeplake_{pin}': 'odd'})


def test_two_live_objects_of_one_dataset_keep_their_images_apart(path: str) -> None:
    dataset = head(path)
    both = [DeepLakeDataset(**adopt(dataset.query(RANDOM))) for _ in range(2)]
    assert len({one.images.key for one in both}) == 2
    assert sorted(numbers(both[0])) == sorted(numbers(both[1])) == ALL


# What proves that rows are the same


@pytest.mark.parametrize('count', [8, 40])
def test_equal_annotations_do_not_hide_other_images(
    make_dataset: Callable[..., str], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(same_rows, 'SAMPLE', 8)
    path = make_dataset(count=count)
    dataset = deeplake.open(path)
    old = dataset.version
    dataset['images'][5] = png(50)
    dataset.commit('another image of the same size')
    for version, expected in ((old, png(5)), (dataset.version, png(50))):
        view = head(path).history[version].open().query('select * where number > 2')
        keys = adopt(view)
        assert keys['deeplake_commit_id'] == version
        assert DeepLakeDataset(**keys).images.get(5) == expected


def test_other_class_names_are_another_object(make_dataset: Callable[..., str]) -> None:
    path = make_dataset()
    dataset = deeplake.open(path)
    view = head(path).query('select * where number > 2')
    dataset['categories'].metadata['class_names'] = ['lynx', 'wolf']
    dataset.commit('renamed')
    assert DeepLakeDataset(**adopt(view)).metainfo['classes'] == ('cat', 'dog')
    assert DeepLakeDataset(**adopt(head(path))).metainfo['classes'] == ('lynx', 'wolf')


def test_a_branch_that_rewrote_nothing_needs_a_sample_of_images_only(
    path: str, monkeypatch: pytest.MonkeyPatch, said: list[tuple[int, str]]
) -> None:
    monkeypatch.setattr(same_rows, 'SAMPLE', 4)
    monkeypatch.setattr('deeplake_mmdet.source.adopted.SAMPLE', 4)
    view = head(path).query('select * where number > 1')
    adopt(view)
    dataset = deeplake.open(path)
    dataset.delete(9)
    dataset.commit('one row less')
    adopt(view)
    assert 'all annotations and 4 of 8 images were compared' in said[0][1]
    assert 'all annotations and all images were compared' in said[1][1]
    assert said[0][0] == logging.INFO


def test_a_query_that_gives_other_rows_than_the_object_is_not_believed(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, 'fold', lambda queries: 'select * where number < 3')
    keys = adopt(head(path).query('select * where number > 6'))
    assert is_live(keys)
    assert numbers(DeepLakeDataset(**keys)) == [7, 8, 9]


def test_an_object_that_does_not_tell_where_it_comes_from_is_read_itself(
    path: str, monkeypatch: pytest.MonkeyPatch, said: list[tuple[int, str]]
) -> None:
    monkeypatch.setattr(traces, '_state', lambda dataset: [])
    keys = adopt(head(path).query('select * where number > 6'))
    assert 'Deep Lake does not tell where it comes from.' in said[0][1]
    key = keys['deeplake_path']
    assert str(resolve(keys).revision) == f'{key} @ (commit unknown), {key} (a view), 3 rows'
    assert numbers(DeepLakeDataset(**keys)) == [7, 8, 9]


def test_nobody_is_told_to_write_the_key_of_a_live_object() -> None:
    with pytest.raises(ConfigError, match='one of mem://') as error:
        resolve({'deeplake_path': 'ftp://x/y'})
    assert 'opened' not in str(error.value)


# Processes


def test_forked_workers_read_a_live_object_and_commit_nothing(path: str) -> None:
    from torch.utils.data import DataLoader

    obj = uncommitted(path)
    for opened in (obj, head(path).query(RANDOM)):
        dataset = DeepLakeDataset(**adopt(opened), pipeline=[dict(type='LoadImageFromFile')])
        here = [sample['img'] for sample in dataset]
        for _ in range(2):
            loader = DataLoader(
                dataset, batch_size=3, num_workers=2, collate_fn=list, multiprocessing_context='fork', timeout=60
            )
            there = [sample['img'] for batch in loader for sample in batch]
            assert len(there) == len(here) == len(opened)
            assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))
    assert len(list(head(path).history)) == 3
    assert len(head(path)) == 10
    obj.rollback()


def test_a_process_that_does_not_have_the_object_says_what_to_do(path: str) -> None:
    keys = adopt(head(path).query(RANDOM))
    handle = resolve(keys)
    answer = in_child('spawn', report, handle, 'images', [0])
    assert answer.startswith('SourceNotFoundError: DeepLakeDataset(deeplake_path=) names ')
    assert f'{keys["deeplake_path"]!r}, an object that another process opened' in answer
    assert "save a query as a view (view.tag('name'))" in answer
    assert in_child('fork', report, handle, 'images', [0])[1] == digests(handle, 'images', [0])


def test_a_fork_with_a_kept_object_warns_of_nothing(path: str) -> None:
    code = """
import os, sys
def main():
    import deeplake
    from deeplake_mmdet.config.dataset_spec import DatasetSpec
    from deeplake_mmdet.source.adopted import adopt
    from deeplake_mmdet.source.handle import SourceHandle
    keys = adopt(deeplake.open_read_only(sys.argv[1]).query('select * order by random()'))
    handle = SourceHandle.resolve(DatasetSpec.from_config(keys))
    expected = handle.read('images', [3])
    pid = os.fork()
    if pid == 0:
        os._exit(0 if handle.read('images', [3]) == expected else 1)
    assert os.waitpid(pid, 0)[1] == 0
    print('good')
main()
"""
    ran = run_script(code, path)
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ['good']), ran.stderr


# How long an object is kept


def test_a_kept_object_lives_until_it_is_released_and_then_as_long_as_it_is_read(path: str) -> None:
    keys = adopt(head(path).query(RANDOM))
    gc.collect()
    dataset = DeepLakeDataset(**keys)
    release(keys['deeplake_path'])
    gc.collect()
    assert sorted(numbers(dataset)) == ALL
    assert in_child('fork', report, dataset.source, 'images', [0])[1] == digests(dataset.source, 'images', [0])
    del dataset
    gc.collect()
    with pytest.raises(SourceNotFoundError, match='or that nobody uses any more'):
        DeepLakeDataset(**keys)


def test_uncommitted_rows_are_committed_when_the_process_ends_and_not_when_a_forked_one_does(path: str) -> None:
    code = """
import atexit, os, sys
import deeplake
from deeplake_mmdet.source.live import LiveObject, keep
from tests.support.datasets import rows
def main():
    dataset = deeplake.open(sys.argv[1])
    dataset.append(rows([30]))
    keep(LiveObject(dataset, 'a dataset'))
main()
pid = os.fork()
if pid == 0:
    atexit._run_exitfuncs()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert len(deeplake.open_read_only(sys.argv[1])) == 10
"""
    ran = run_script(code, path)
    assert ran.returncode == 0, ran.stderr
    grown = head(path)
    assert grown['number'][:].tolist() == [*ALL, 30]


def test_any_path_may_be_released(path: str) -> None:
    release(path)
    release('opened://unknown')


# Bad input


def test_what_is_no_opened_dataset_is_refused(path: str) -> None:
    dataset = head(path)
    cases = [
        (path, r"got an object of type str. Open it with .*or name it in the config: deeplake_path='…'"),
        (Path(path), 'type PosixPath. Open it with'),
        (None, r'type NoneType\.$'),
        (dataset['images'], 'type ColumnView. Give the dataset that the column belongs to'),
        (dataset[0:3], r"type RowRangeView. Select the rows by a query, such as .query\('select \* limit 100'\)"),
        (dataset[0], 'type RowView'),
        (DeepLakeDataset(path), 'type DeepLakeDataset'),
        (dataset.pytorch(), 'type '),
    ]
    for value, message in cases:
        with pytest.raises(
            ConfigError, match=r'^train_detector\(ds_val=\) expected an opened Deep Lake dataset .*'
        ) as e:
            adopt(value, argument='train_detector(ds_val=)')
        assert e.match(message)


def test_an_object_without_rows_is_refused(path: str) -> None:
    with pytest.raises(EmptyDatasetError, match=r'ds_train= expected at least one row, but got none: .*number > 99'):
        adopt(head(path).query('select * where number > 99'), argument='ds_train=')
    assert not live._kept


# Storage that needs keys


@pytest.mark.parametrize(('query', 'named'), [('select * where number > 1', True), (RANDOM, False)])
def test_credentials_travel_by_the_vault_only(s3: Any, query: str, named: bool, caplog: Any) -> None:
    view = write_dataset(s3.path, 4, creds=s3.creds).query(query)
    expected = view['number'][:].tolist()
    keys = adopt(view)
    assert is_live(keys) != named
    assert keys['deeplake_credentials'].startswith('vault:')
    dataset = DeepLakeDataset(**keys)
    assert numbers(dataset) == expected
    for text in (repr(keys).encode(), repr(dataset).encode(), pickle.dumps(dataset), caplog.text.encode()):
        assert SECRET_KEY.encode() not in text
        assert ACCESS_KEY.encode() not in text
    here = digests(dataset.source, 'images', dataset.source.rows)
    assert in_child('fork', report, dataset.source, 'images', dataset.source.rows)[1] == here
    answer = in_child('spawn', report, dataset.source, 'images', dataset.source.rows)
    assert answer[1] == here if named else answer.startswith('SourceNotFoundError')


def test_credentials_of_the_environment_stay_there(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(s3.path, 4, creds=s3.creds)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    keys = adopt(head(s3.path))
    assert set(keys) == {'deeplake_path', 'deeplake_commit_id'}
    assert numbers(DeepLakeDataset(**keys)) == [0, 1, 2, 3]
