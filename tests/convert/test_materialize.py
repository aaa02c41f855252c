"""Copies of datasets, versions, views and queries: the same rows, values, types and metadata, and images for links."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest
from deeplake import types
from mmengine.registry import init_default_scope

from deeplake_mmdet import DeepLakeDataset
from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert import convert_coco, copied_columns, copied_rows, materialize
from deeplake_mmdet.convert.clock import Clock
from deeplake_mmdet.convert.storage import ImportStoppedError
from deeplake_mmdet.errors import ColumnError, ConfigError, ConversionError, SourceError
from deeplake_mmdet.source.links import LinkReader
from tests.convert.convert_files import write_image
from tests.support.children import ROOT
from tests.support.datasets import CLASSES, columns, encode, pixels, png, rows, write_dataset
from tests.support.s3_server import SECRET_KEY, S3Server

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs'),
]
LINK = types.Link(types.Image(sample_compression='png'))
ROWS = 8


@pytest.fixture(autouse=True)
def mmdet_scope() -> None:
    init_default_scope('mmdet')


@pytest.fixture(autouse=True)
def checkpoint_at_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, 'is_due', lambda self: True)
    monkeypatch.setattr(copied_rows, '_FIRST_ROWS', 2)
    monkeypatch.setattr(copied_rows, '_GROWTH', 1)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Images as files."""
    for row in range(ROWS):
        (tmp_path / f'{row}.png').write_bytes(png(row))
    return [str(tmp_path / f'{row}.png') for row in range(ROWS)]


def linked(tmp_path: Path, links: Sequence[str], name: str = 'linked', **more: Any) -> str:
    """A dataset of links, of which row n is numbered n."""
    values = {'images': list(links), **more.pop('values', {})}
    kinds = {'images': LINK, **more.pop('types', {})}
    write_dataset(str(tmp_path / name), len(links), types=kinds, values=values, **more)
    return str(tmp_path / name)


def copy(path: str, dst: Any, **keys: Any) -> Any:
    """Materialize, and open the copy with Deep Lake alone."""
    options = {key: keys.pop(key) for key in ('without', 'on_error', 'overwrite', 'restart') if key in keys}
    materialize({'deeplake_path': path, **keys}, dst, **options)
    return deeplake.open_read_only(str(dst))


def images(dataset: Any) -> list[bytes]:
    return [dataset['images'].get_bytes(row) for row in range(len(dataset))]


def same(one: Any, other: Any) -> bool:
    """Equality of what Deep Lake reads, dtypes and shapes included."""
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (np.ndarray, np.generic)):
        one, other = np.asarray(one), np.asarray(other)
        return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)
    if hasattr(one, 'to_dict'):
        return str(one) == str(other)
    return type(one) is type(other) and one == other


def test_a_copy_gives_the_samples_of_the_dataset_with_links(tmp_path: Path, s3: S3Server, files: list[str]) -> None:
    key = s3.path.removeprefix('s3://bucket/') + '/3.jpg'
    jpeg = encode(pixels(3), '.jpg')
    s3.client.put_object(Bucket='bucket', Key=key, Body=jpeg)
    links = [*files[:3], f's3://bucket/{key}', *files[4:]]
    boxes, rings = rows(range(ROWS))['boxes'], [[[2, 2, 9, 2, 9, 9]], [[3, 3, 12, 4, 5, 13], [1, 1, 4, 1, 4, 4]]]
    masks = [json.dumps([rings[k % 2] for k in range(len(item))]) for item in boxes]
    path = linked(
        tmp_path,
        links,
        types={'masks': types.Text()},
        values={'masks': masks},
        metadata={'masks': {'format': 'coco_segmentation'}, 'images': {'link_creds': 'lab', 'camera': 'left'}},
    )
    given = {'links': {'lab': s3.creds}}
    stored = copy(path, tmp_path / 'copy', deeplake_credentials=given)
    assert images(stored) == [png(0), png(1), png(2), jpeg, *(png(row) for row in range(4, ROWS))]
    assert stored['images'].metadata.to_dict() == {'camera': 'left'}, 'the copy needs no credentials any more'
    assert stored.schema['images'].dtype == types.Image(sample_compression='png')
    original = DeepLakeDataset(path, pipeline=PIPELINE, deeplake_credentials=given)
    copied = DeepLakeDataset(str(tmp_path / 'copy'), pipeline=PIPELINE)
    for ours, theirs in zip(copied, original, strict=True):
        assert ours['inputs'].equal(theirs['inputs'])
        one, other = ours['data_samples'].gt_instances, theirs['data_samples'].gt_instances
        assert one.bboxes.tensor.equal(other.bboxes.tensor)
        assert one.labels.equal(other.labels)
        assert [np.concatenate(item).tolist() for item in one.masks.masks] == [
            np.concatenate(item).tolist() for item in other.masks.masks
        ]


def f32(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape).astype('float32')


def bits(*shape: int) -> np.ndarray:
    return f32(*shape) > 0.5


# A type, and six values; with polygons of equal and of different lengths, missing values, and what reads back as None.
KINDS: dict[str, tuple[Any, list[Any]]] = {
    'box64': (types.BoundingBox('float64', 'ltrb', 'fractional'), [np.zeros((n % 3, 4)) + 1 / 3 for n in range(6)]),
    'box_plain': (
        types.BoundingBox('float32'),
        [np.zeros((0,), 'float32'), f32(4), *(f32(n, 4) for n in (1, 2, 3, 4))],
    ),
    'label': (types.ClassLabel('uint32'), list(np.arange(6, dtype='uint32'))),
    'a/big': ('int64', list(np.array([2**62 + 1, -1, 0, 3, 4, 5]))),
    'unsigned': ('uint64', list(np.array([2**63 + 5, 1, 2, 3, 4, 5], 'uint64'))),
    'half': ('float16', list(np.array([0.1, 0.2, 3, 4, 5, 6], 'float16'))),
    'flag': ('bool', list(np.array([True, False] * 3))),
    'text': (types.Text(), ['a', '', 'ü\n', 'x' * 1000, '"q"', 'z']),
    'searched': (types.Text(types.Inverted), ['a', 'b c', 'ü', 'x', 'y', 'z']),
    'bytes': (types.Bytes(), [b'a', b'', b'\0\1', b'x', b'y', b'z']),
    'ragged': (types.Array('float64', 1), [np.arange(n) / 3 for n in range(6)]),
    'keypoints': (types.Array('float32', 3), [f32(n, 17, 3) for n in range(6)]),
    'fixed': (types.Array('float32', (2, 3)), [f32(2, 3)] * 6),
    'names': (types.Array('text', 1), [['a'] * (n + 1) for n in range(6)]),
    'polygons': (
        types.Polygon(),
        [
            np.zeros((0, 0, 2), 'float32'),
            [f32(3, 2)],
            [f32(3, 2), f32(3, 2)],
            [f32(3, 2), f32(5, 2)],
            [f32(4, 2)] * 3,
            [f32(1, 2), f32(2, 2)],
        ],
    ),
    'points': (types.Point(), [f32(n, 2) for n in range(6)]),
    'points3': (types.Point(3), [f32(n, 5, 3) for n in range(6)]),
    'masks3': (types.BinaryMask('lz4'), [bits(5, 6, n) for n in range(6)]),
    'masks2': (types.BinaryMask('lz4'), [bits(5, 6 + n) for n in range(6)]),
    'segments': (types.SegmentMask('uint8', 'lz4'), [np.zeros((0, 0), 'uint8'), *[np.full((4, 5), 7, 'uint8')] * 5]),
    'segments_png': (types.SegmentMask('uint8', 'png'), [np.full((4, 5 + n), n, 'uint8') for n in range(6)]),
    'segments3': (
        types.SegmentMask('uint32', 'lz4'),
        [np.zeros((0, 0, 0), 'uint32'), *[np.full((4, 5, 2), 7, 'uint32')] * 5],
    ),
    'segments_none': (
        types.SegmentMask('uint8', 'png'),
        [np.zeros((0, 0), 'uint8'), *[np.full((4, 5), 7, 'uint8')] * 5],
    ),
    'vector': (types.Embedding(4), [f32(4)] * 6),
    'document': (
        types.Dict(),
        [{'a': 1, 'b': [1, 2.5], 'd': None, 'e': {'f': ['x', {'g': 2**53 + 1}]}}, {}, {'l': []}, {'s': 'ü'}, {}, {}],
    ),
    'maybe_box': (types.Nullable(types.BoundingBox('float32', 'ltwh', 'pixel')), [None, *[f32(2, 4)] * 5]),
    'maybe_number': (types.Nullable('int64'), [None, *range(5)]),
    'maybe_text': (types.Nullable(types.Text()), [None, '', 'a', 'b', 'c', 'd']),
    'maybe_polygons': (types.Nullable(types.Polygon()), [None, *[[f32(3, 2), f32(3, 2)]] * 5]),
    'nothing': (types.Nullable(types.Array('float32', 1)), [None] * 6),
    'thumb': (
        types.Image(sample_compression='jpeg'),
        [encode(pixels(0), '.jpg'), png(1), encode(pixels(2), '.bmp'), b'', png(4), png(5)],
    ),
    'deep': (types.Image('uint16', 'png'), [encode(np.full((3, 4, 1), 300 + n, 'uint16')) for n in range(6)]),
}


@pytest.fixture
def everything(tmp_path: Path) -> str:
    """A dataset with a column of every type that can be copied, and one that is younger than half of the rows."""
    path = str(tmp_path / 'everything')
    numbers = {name: np.array(values) for name, (kind, values) in KINDS.items() if isinstance(values[0], np.generic)}
    dataset = write_dataset(
        path,
        6,
        types={name: kind for name, (kind, _) in KINDS.items()},
        values={name: values for name, (_, values) in KINDS.items()} | numbers,
        metadata={'document': {'note': {'nested': ['x', True]}}},
    )
    dataset.metadata['camera'] = {'model': 'x', 'lens': [1.5]}
    dataset.add_column('late_text', types.Text())
    dataset.add_column('late_mask', types.BinaryMask('lz4'))
    dataset['late_text'][3:6] = ['d', 'e', 'f']
    dataset['late_mask'][3:6] = [bits(4, 4, 1)] * 3
    dataset.commit('younger columns')
    return path


def read(dataset: Any, name: str) -> list[Any]:
    encoded = name in ('images', 'thumb', 'deep')
    return [dataset[name].get_bytes(row) if encoded else dataset[name][row] for row in range(len(dataset))]


def test_all_columns_keep_their_types_values_and_metadata(tmp_path: Path, everything: str) -> None:
    stored = copy(everything, tmp_path / 'copy')
    original = deeplake.open_read_only(everything)
    assert [column.name for column in stored.schema.columns] == [column.name for column in original.schema.columns]
    for column in original.schema.columns:
        name = column.name
        assert stored.schema[name].dtype == column.dtype, name
        assert stored[name].metadata.to_dict() == original[name].metadata.to_dict(), name
        assert same(read(stored, name), read(original, name)), name
    assert len(stored) == 6


def test_a_copy_is_one_commit_of_one_branch(tmp_path: Path, files: list[str]) -> None:
    stored = copy(linked(tmp_path, files), tmp_path / 'copy')
    assert [version.message[:12] for version in stored.history] == ['Dataset crea', 'Materialize ']
    assert stored.branches.names() == ['main']


def test_the_metadata_say_where_a_copy_comes_from(tmp_path: Path, everything: str) -> None:
    tag = deeplake.open(everything).query('select * where number > 1').tag('late')
    query = 'select * where number < 5'
    stored = copy(f'{everything}@late', tmp_path / 'copy', deeplake_query=query)
    original = deeplake.open_read_only(everything)
    origin = {
        'uri': everything,
        'dataset_id': original.id,
        'branch': 'main',
        'commit_id': tag.version,
        'view_id': 'late',
        'query': query,
        'rows': '3',
        'digest': '',
        'format': '4',
    }
    assert stored.metadata.to_dict() == {'camera': {'model': 'x', 'lens': [1.5]}, 'materialized_from': origin}
    again = copy(str(tmp_path / 'copy'), tmp_path / 'again')
    assert again.metadata['materialized_from']['uri'] == str(tmp_path / 'copy')
    assert again.metadata['materialized_from']['materialized_from'] == origin


@pytest.mark.parametrize(
    ('keys', 'numbers'),
    [
        ({'deeplake_query': 'select * where number > 2 order by number desc'}, [7, 6, 5, 4, 3]),
        ({'deeplake_view_id': 'shuffled'}, [5, 1, 6]),
        ({'deeplake_view_id': 'shuffled', 'deeplake_query': 'select * where number > 1'}, [5, 6]),
        ({'deeplake_branch': 'dev'}, [*range(8), 20, 21]),
        ({'deeplake_query': '(select * where number > 5) union (select * where number > 6)'}, [6, 7]),
    ],
)
def test_the_rows_are_those_of_the_selection_in_its_order(
    tmp_path: Path, files: list[str], keys: dict[str, str], numbers: list[int]
) -> None:
    path = linked(tmp_path, files)
    for row in (20, 21):
        (tmp_path / f'{row}.png').write_bytes(png(row))
    dataset = deeplake.open(path)
    ordered = 'select * where number in (1, 5, 6) order by (number * 3) % 7'
    dataset.query(ordered).tag('shuffled')
    dataset.branch('dev')
    branch = dataset.branches['dev'].open()
    branch.append({**rows([20, 21]), 'images': [str(tmp_path / f'{row}.png') for row in (20, 21)]})
    branch.commit('more')
    stored = copy(path, tmp_path / 'copy', **keys)
    assert stored['number'][:].tolist() == numbers
    assert images(stored) == [png(number) for number in numbers]
    assert same(list(stored['boxes'][:]), rows(numbers)['boxes'])


def test_an_older_commit_is_copied_as_it_was(tmp_path: Path, files: list[str]) -> None:
    path = linked(tmp_path, files)
    dataset = deeplake.open(path)
    before = dataset.version
    dataset['number'][0] = 77
    dataset.commit('changed')
    stored = copy(path, tmp_path / 'copy', deeplake_commit_id=before)
    assert stored['number'][0] == 0


def test_a_query_chooses_columns(tmp_path: Path, files: list[str]) -> None:
    path = linked(tmp_path, files)
    stored = copy(path, tmp_path / 'copy', deeplake_query='select images, number where number > 4')
    assert [column.name for column in stored.schema.columns] == ['images', 'number']
    assert images(stored) == [png(row) for row in (5, 6, 7)]


@pytest.mark.parametrize('computed', ['images', 'boxes * 2', 'number * 2', 'boxes[:,2]'])
def test_a_computed_column_is_refused_and_may_be_left_out(make_dataset: Any, tmp_path: Path, computed: str) -> None:
    query = f'select *, {computed} as more where number > 4'
    path = make_dataset()
    with pytest.raises(ColumnError, match=r"'more' .*is computed by the query.*--without more"):
        copy(path, tmp_path / 'copy', deeplake_query=query)
    stored = copy(path, tmp_path / 'copy', deeplake_query=query, without=['more'])
    assert [column.name for column in stored.schema.columns] == list(columns())


def test_a_computed_column_under_a_stored_name_is_copied_as_computed(tmp_path: Path, files: list[str]) -> None:
    stored = copy(linked(tmp_path, files), tmp_path / 'copy', deeplake_query='select images, number + 100 as number')
    assert stored['number'][:].tolist() == [100 + row for row in range(ROWS)]


REFUSED = {
    'names': (types.Sequence(types.Text()), [['a']] * 2, 'is of the kind Sequence'),
    'maybe': (types.Nullable(types.Image(sample_compression='png')), [None, png(1)], 'is nullable'),
    'film': (types.Video('mp4'), [b'', b''], 'is of the kind Video'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_a_column_that_would_lose_something_is_refused_and_may_be_left_out(
    make_dataset: Any, tmp_path: Path, name: str
) -> None:
    kind, values, reason = REFUSED[name]
    path = make_dataset('source', 2, types={name: kind}, values={name: values})
    with pytest.raises(ColumnError, match=rf"without loss, but got '{name}' .* {reason}.*--without {name} \(without="):
        copy(path, tmp_path / 'copy')
    assert [column.name for column in copy(path, tmp_path / 'copy', without=[name]).schema.columns] == list(columns())


def test_a_row_that_is_older_than_a_column_of_numbers_is_refused_by_name(make_dataset: Any, tmp_path: Path) -> None:
    path = make_dataset()
    dataset = deeplake.open(path)
    dataset.add_column('late', 'int64')
    dataset['late'][0:3] = np.arange(3)
    dataset.commit('late')
    with pytest.raises(
        ColumnError, match=r"a value in each row of column 'late', but got none in row 3, .*--without late"
    ):
        copy(path, tmp_path / 'copy')
    assert not (tmp_path / 'copy').exists()
    assert 'late' not in [column.name for column in copy(path, tmp_path / 'copy', without=['late']).schema.columns]


def test_an_unknown_column_to_leave_out_is_named(make_dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match=r"without=\) names 'boxs', which is no column.*mean 'boxes'"):
        copy(make_dataset(), tmp_path / 'copy', without=['boxs'])
    with pytest.raises(ConversionError, match='expected a column to be left'):
        copy(make_dataset('other'), tmp_path / 'copy', without=list(columns()))


@pytest.mark.parametrize(
    ('extension', 'compression', 'depth'),
    [('.jpg', 'jpeg', 'uint8'), ('.png', 'png', 'uint8'), ('16', 'png', 'uint16')],
)
def test_the_type_of_the_images_is_what_they_are_and_not_what_the_links_declare(
    tmp_path: Path, extension: str, compression: str, depth: str
) -> None:
    deep = encode(np.full((5, 6, 1), 4000, 'uint16'))
    for row in range(4):
        data = deep if extension == '16' else encode(pixels(row, 10 + row, 12), extension)
        (tmp_path / f'{row}').write_bytes(data if row else png(0))
    (tmp_path / '0').write_bytes((tmp_path / '1').read_bytes() if extension == '16' else png(0))
    declared = types.Link(types.Image(sample_compression='png' if compression == 'jpeg' else 'jpeg'))
    path = linked(tmp_path, [str(tmp_path / f'{row}') for row in range(4)], types={'images': declared})
    stored = copy(path, tmp_path / 'copy')
    assert stored.schema['images'].dtype == types.Image(depth, compression)
    assert images(stored) == [(tmp_path / f'{row}').read_bytes() for row in range(4)]


def viewed(tmp_path: Path, files: list[str], **more: Any) -> str:
    """A dataset with ids and views of several kinds."""
    ids = np.array([30, 10, 20, 70, 60, 50, 40, 80])
    path = linked(tmp_path, files, types={'img_id': 'int64'}, values={'img_id': ids}, **more)
    dataset = deeplake.open(path)
    dataset.query('select * where number > 4').tag('late')
    dataset.query('select * where number < 3 order by img_id').tag('ordered')
    dataset.query('select * order by random() limit 5').tag('random')
    dataset.query('select * where number > 2').query('select * limit 2').tag('chain')
    return path


def ids_of(dataset: Any, view: str) -> list[int]:
    opened = dataset.tags[view].open()
    return opened['img_id'][:].tolist()


def test_a_whole_dataset_keeps_its_views(tmp_path: Path, files: list[str]) -> None:
    path = viewed(tmp_path, files)
    report = materialize({'deeplake_path': path}, tmp_path / 'copy')
    stored, original = deeplake.open_read_only(str(tmp_path / 'copy')), deeplake.open_read_only(path)
    assert sorted(stored.tags.names()) == ['chain', 'late', 'ordered', 'random']
    for name in ('late', 'ordered', 'chain'):
        assert ids_of(stored, name) == ids_of(original, name), name
    assert sorted(ids_of(stored, 'random')) == sorted(ids_of(original, 'random'))
    assert stored.tags['late'].query.endswith(' where number > 4'), 'it says what it selects'
    assert report.views == {'late': 3, 'ordered': 3, 'random': 5, 'chain': 2}


def test_views_that_cannot_be_kept_are_said(tmp_path: Path, files: list[str], make_dataset: Any) -> None:
    path = viewed(tmp_path, files)
    dataset = deeplake.open(path)
    for row in range(ROWS):
        dataset['number'][row] = 10 + row
    dataset.commit('later')
    report = materialize({'deeplake_path': path}, tmp_path / 'copy')
    assert report.views == {}
    assert sum('is left out: it shows main:' in remark for remark in report.remarks) == 4
    other = make_dataset('without_ids', 40)
    tagged = deeplake.open(other)
    tagged.query('select * order by random() limit 20').tag('random')
    tagged.query('select * where number > 4').tag('late')
    report = materialize({'deeplake_path': other}, tmp_path / 'second')
    assert report.views == {'late': 35}
    assert any("'random' is left out: its query gives other rows" in remark for remark in report.remarks)


def test_a_view_of_an_older_commit_is_kept_where_its_rows_are_as_they_were(tmp_path: Path, files: list[str]) -> None:
    path = viewed(tmp_path, files)
    dataset = deeplake.open(path)
    dataset['number'][0] = 0
    dataset.commit('a row of no view that is kept')
    report = materialize({'deeplake_path': path}, tmp_path / 'copy')
    assert report.views == {'late': 3, 'ordered': 3}
    stored = deeplake.open_read_only(str(tmp_path / 'copy'))
    assert ids_of(stored, 'late') == ids_of(dataset, 'late')
    dataset['number'][6] = 60
    dataset.commit('one of theirs')
    report = materialize({'deeplake_path': path}, tmp_path / 'second')
    assert report.views == {'ordered': 3}
    assert any("'late' is left out: it shows main:" in remark for remark in report.remarks)


def test_images_that_were_replaced_behind_their_links_are_said(coco: Any, tmp_path: Path) -> None:
    path, folder, document = coco()
    convert_coco(path, tmp_path / 'out', images=folder, link=True)
    report = materialize({'deeplake_path': str(tmp_path / 'out')}, tmp_path / 'copy')
    assert not any('were replaced' in remark for remark in report.remarks)
    write_image(folder / document['images'][1]['file_name'], 7, 9)
    (folder / document['images'][3]['file_name']).unlink()
    report = materialize({'deeplake_path': str(tmp_path / 'out')}, tmp_path / 'second', on_error='skip')
    assert report.rows == len(document['images']) - 1
    assert '1 rows are left out, whose images cannot be read: [3]' in report.remarks
    assert any(remark.startswith('1 images behind links are not of') for remark in report.remarks)
    assert any(': [1]. They were replaced' in remark for remark in report.remarks)


def test_a_copy_of_two_files_has_the_views_of_both(coco: Any, tmp_path: Path) -> None:
    path, folder, document = coco()
    convert_coco(path, tmp_path / 'out', images=folder, split='train')
    second = {**document, 'images': [], 'annotations': []}
    second['images'] = [{**image, 'id': image['id'] + 1000} for image in document['images']]
    (tmp_path / 'val.json').write_text(json.dumps(second))
    convert_coco(tmp_path / 'val.json', tmp_path / 'out', images=folder, split='val', append=True)
    report = materialize({'deeplake_path': str(tmp_path / 'out')}, tmp_path / 'copy')
    assert report.views == {'train': len(document['images']), 'val': len(document['images'])}
    stored = deeplake.open_read_only(str(tmp_path / 'copy'))
    assert ids_of(stored, 'train') == [image['id'] for image in document['images']]


def test_a_copy_of_a_view_has_no_views(tmp_path: Path, files: list[str]) -> None:
    assert copy(viewed(tmp_path, files), tmp_path / 'copy', deeplake_view_id='late').tags.names() == []


def test_rows_with_unreadable_images_are_left_out_of_the_views_too(tmp_path: Path, files: list[str]) -> None:
    links = [*files]
    links[1], links[6] = str(tmp_path / 'none.png'), '/etc/hostname'
    path = viewed(tmp_path, links)
    report = materialize({'deeplake_path': path}, tmp_path / 'copy', on_error='skip')
    stored, original = deeplake.open_read_only(str(tmp_path / 'copy')), deeplake.open_read_only(path)
    kept = [0, 2, 3, 4, 5, 7]
    assert stored['number'][:].tolist() == kept
    assert images(stored) == [png(row) for row in kept]
    assert same(list(stored['boxes'][:]), rows(kept)['boxes'])
    assert report.rows == 6
    assert '2 rows are left out, whose images cannot be read: [1, 6]' in report.remarks
    for name in ('late', 'ordered', 'random'):
        assert sorted(ids_of(stored, name)) == sorted(set(ids_of(original, name)) - {10, 40}), name


def test_an_unreadable_image_ends_the_copy_and_a_second_run_goes_on(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = linked(tmp_path, [*files[:5], str(tmp_path / 'later.png'), *files[6:]])
    message = r'row 5, is behind a link that cannot be followed: .*later\.png.*5 of 8 rows are kept: run the same'
    with pytest.raises(ImportStoppedError, match=message):
        copy(path, tmp_path / 'copy')
    assert not (tmp_path / 'copy').exists(), 'nothing that could be taken for a dataset'
    (tmp_path / 'later.png').write_bytes(png(5))
    followed: list[str] = []
    original = LinkReader.read
    monkeypatch.setattr(
        LinkReader,
        'read',
        lambda self, links, stop=None: followed.extend(links if stop is None else []) or original(self, links, stop),
    )
    stored = copy(path, tmp_path / 'copy')
    assert images(stored) == [png(row) for row in range(ROWS)]
    assert stored['number'][:].tolist() == list(range(ROWS))
    assert len(followed) == 3, 'the first five are not read again'


@pytest.mark.parametrize('rows_before', range(0, ROWS, 3))
def test_a_copy_that_is_interrupted_anywhere_ends_as_one_that_is_not(
    tmp_path: Path, files: list[str], rows_before: int
) -> None:
    path = viewed(tmp_path, files)

    def interrupt(done: int, total: int) -> None:
        if done == rows_before + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        materialize({'deeplake_path': path}, tmp_path / 'copy', progress=interrupt)
    report = materialize({'deeplake_path': path}, tmp_path / 'copy')
    stored = deeplake.open_read_only(str(tmp_path / 'copy'))
    assert stored['number'][:].tolist() == list(range(ROWS))
    assert images(stored) == [png(row) for row in range(ROWS)]
    assert len(report.views) == 4
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith('.')] == []


def test_a_skipped_row_stays_skipped_when_a_copy_goes_on(tmp_path: Path, files: list[str]) -> None:
    path = linked(tmp_path, ['/none.png', *files[1:]])

    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        materialize({'deeplake_path': path}, tmp_path / 'copy', on_error='skip', progress=interrupt)
    report = materialize({'deeplake_path': path}, tmp_path / 'copy', on_error='skip')
    assert report.rows == 7
    stored = deeplake.open_read_only(str(tmp_path / 'copy'))
    assert stored['number'][:].tolist() == list(range(1, ROWS))


def test_a_storage_that_fails_keeps_what_is_copied(tmp_path: Path, s3: S3Server, files: list[str]) -> None:
    prefix = s3.path.removeprefix('s3://bucket/')
    s3.client.put_object(Bucket='bucket', Key=f'{prefix}/6.png', Body=png(6))
    path = linked(tmp_path, [*files[:6], f's3://bucket/{prefix}/6.png', files[7]])
    given = {'creds': {**s3.creds, 'aws_access_key_id': 'AKIAWRONGKEY00000001'}}
    with pytest.raises(SourceError, match=r'row 6, .*INVALID_ACCESS_KEY_ID'):
        copy(path, tmp_path / 'copy', deeplake_credentials=given, on_error='skip')
    good = {'creds': s3.creds}
    fault = s3.fault('400 Bad Request', f'Busy-{SECRET_KEY}', matches=lambda r: r.range == 'bytes=0-')
    with fault, pytest.raises(ImportStoppedError, match=r'row 6, .*Busy-\*\*\*.* 6 of 8 rows are kept') as caught:
        copy(path, tmp_path / 'copy', deeplake_credentials=good)
    assert SECRET_KEY not in str(caught.value)
    stored = copy(path, tmp_path / 'copy', deeplake_credentials=good)
    assert images(stored) == [png(row) for row in range(ROWS)]


def test_damaged_images_are_found_in_stored_columns_too(make_dataset: Any, tmp_path: Path) -> None:
    data = [png(0), png(1)[:60] + bytes(40), png(2)]
    path = make_dataset('damaged', 3, values={'images': data})
    with pytest.raises(ConversionError, match="column 'images', row 1, ends in zeros: its storage is damaged"):
        copy(path, tmp_path / 'copy')
    stored = copy(path, tmp_path / 'copy', on_error='skip')
    assert stored['number'][:].tolist() == [0, 2]


def test_a_copy_without_any_readable_image_is_refused(tmp_path: Path) -> None:
    path = linked(tmp_path, ['/none.png'] * 3)
    with pytest.raises(ConversionError, match='expected an image that can be read, but got none'):
        copy(path, tmp_path / 'copy', on_error='skip')
    assert not (tmp_path / 'copy').exists()


def test_a_copy_that_reads_back_otherwise_is_not_finished(
    make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = copied_columns.SourceColumn.batch

    def wrong(self: Any, values: Sequence[Any]) -> Any:
        found = original(self, values)
        return found + 1 if self.name == 'number' else found

    monkeypatch.setattr(copied_columns.SourceColumn, 'batch', wrong)
    with pytest.raises(
        ConversionError, match=r"column 'number' \(int64\) to read as it was written.* --without number"
    ):
        copy(make_dataset(), tmp_path / 'copy')
    assert not (tmp_path / 'copy').exists()


def test_batches_are_no_larger_than_their_bytes_allow(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = LinkReader.read

    def counting(self: LinkReader, links: Sequence[str], stop: int | None = None) -> Any:
        sizes.extend([len(links)] * (stop is None))
        return original(self, links, stop)

    monkeypatch.setattr(LinkReader, 'read', counting)
    monkeypatch.setattr(copied_rows, '_GROWTH', 4)
    path = linked(tmp_path, files * 4)
    monkeypatch.setattr(copied_rows, 'BATCH_BYTES', 5 * (len(png(0)) + 64))
    copy(path, tmp_path / 'copy')
    assert sizes[0] == 2
    assert set(sizes[1:-1]) <= {4, 5}
    assert sum(sizes) == 32


def command(*arguments: Any, code: int = 0) -> str:
    """Run the command in a process of its own, as some calls of Deep Lake hold up all threads; gives what it prints."""
    line = [sys.executable, '-m', 'deeplake_mmdet', 'materialize', *map(str, arguments)]
    ran = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert ran.returncode == code, ran.stderr
    return ran.stdout + ran.stderr


def test_a_copy_goes_to_a_bucket_with_the_credentials_of_the_source(
    tmp_path: Path, s3: S3Server, files: list[str]
) -> None:
    path, creds = viewed(tmp_path, files), tmp_path / 'creds.json'
    creds.write_text(json.dumps({'creds': s3.creds}))
    command(path, s3.path, '--creds', creds)
    again = copy(f'{s3.path}@late', tmp_path / 'back', deeplake_credentials={'creds': s3.creds})
    assert images(again) == [png(row) for row in (5, 6, 7)]
    refused = command(path, s3.path, '--creds', creds, code=1)
    assert 'expected no dataset to be there' in refused
    assert SECRET_KEY not in refused


def test_credentials_of_links_are_asked_for_before_anything_is_written(tmp_path: Path, files: list[str]) -> None:
    path = linked(tmp_path, files, metadata={'images': {'link_creds': 'fleet'}})
    with pytest.raises(ConfigError, match=r"calls 'fleet'.*DEEPLAKE_LINK_CREDS_FLEET"):
        copy(path, tmp_path / 'copy')
    assert not [item for item in tmp_path.iterdir() if 'copy' in item.name]


def test_a_destination_that_holds_the_source_or_another_dataset_is_refused(tmp_path: Path, files: list[str]) -> None:
    path = linked(tmp_path, files)
    for dst in (path, tmp_path):
        with pytest.raises(ConversionError, match=r'dst=\) expected a folder of its own'):
            copy(path, dst, overwrite=True)
    with pytest.raises(ConversionError, match=r'dst=\) expected a place of its own, .* which is inside of the source'):
        copy(path, Path(path) / 'copy')
    copy(path, tmp_path / 'copy')
    with pytest.raises(ConversionError, match=r'dst=\) expected a free path'):
        copy(path, tmp_path / 'copy')
    stored = copy(path, tmp_path / 'copy', overwrite=True, deeplake_query='select * limit 2')
    assert len(stored) == 2


def test_a_wrong_choice_is_named(make_dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"on_error=\) expected 'raise' or 'skip', but got 'ignore'"):
        copy(make_dataset(), tmp_path / 'copy', on_error='ignore')


def test_a_dataset_without_rows_is_refused(make_dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match='expected rows to copy, but got none'):
        copy(make_dataset(count=0), tmp_path / 'copy')


def test_the_command_copies_with_credentials_from_files_and_prints_a_summary(
    tmp_path: Path, s3: S3Server, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, creds = viewed(tmp_path, files), tmp_path / 'creds.json'
    creds.write_text(json.dumps({'creds': s3.creds}))
    printed = command(f'{path}@late', s3.path, '--dst-creds', creds, '--without', 'boxes')
    assert f'{s3.path}: written in ' in printed
    for line in ('rows                 3', "note                 column 'images' had links", "_base_ = 'configs"):
        assert line in printed, printed
    assert SECRET_KEY not in printed
    back = str(tmp_path / 'back')
    arguments = ['materialize', s3.path, back, '--creds', str(creds), '--query', 'select * where number == 6']
    assert main(arguments) == 0
    stored = deeplake.open_read_only(back)
    assert (stored['number'][:].tolist(), images(stored)) == ([6], [png(6)])
    assert stored['categories'].metadata['class_names'] == list(CLASSES)
    assert main(['materialize', str(tmp_path / 'nowhere'), back]) == 1
    assert 'found no Deep Lake dataset' in capsys.readouterr().err


def test_the_report_lists_columns_views_and_remarks(tmp_path: Path, files: list[str]) -> None:
    report = materialize({'deeplake_path': viewed(tmp_path, files)}, tmp_path / 'copy')
    lines: Mapping[str, str] = dict(line.split('  ', 1) for line in report.table().splitlines())
    assert lines["view 'late'"].strip() == '3 rows'
    assert lines["column 'number'"].strip() == 'int64'
    assert report.columns['images'].startswith('kind=image')
