"""The writer: exact types, bounded batches, one commit, and nothing left after an error."""

from __future__ import annotations

import time

import deeplake
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.convert import DatasetWriter, writer
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.schema import Column, ragged
from deeplake_mmdet.convert.views import View, id_view
from deeplake_mmdet.errors import ConversionError

COLUMNS = [
    Column('images', types.Image(sample_compression='jpeg'), 'bytes'),
    ragged('areas', 'float64'),
    Column('img_id', 'int64', 'int64'),
    Column('note', types.Text(), 'text'),
]


def row(number, **changes):
    return {
        'images': b'\xff\xd8\xff',
        'areas': np.full(number % 3, 0.1),
        'img_id': np.int64(number),
        'note': 'x',
    } | changes


@pytest.mark.parametrize('count', [1, writer.BATCH_ROWS, 2 * writer.BATCH_ROWS + 1])
def test_every_row_arrives_once_and_in_order(tmp_path, count):
    with DatasetWriter(Destination(tmp_path / 'd'), COLUMNS, {'origin': 'a test'}) as target:
        for number in range(count):
            target.append(row(number))
        target.finish('all', {'all': View('select *', count)})
    dataset = deeplake.open_read_only(str(tmp_path / 'd'))
    assert dataset['img_id'][:].tolist() == list(range(count)) and dataset.metadata['origin'] == 'a test'
    assert [version.message for version in dataset.history] == ['Dataset created', 'all']
    assert [dataset['areas'][i].tolist() for i in range(min(5, count))] == [
        [0.1] * (i % 3) for i in range(min(5, count))
    ]


def test_a_batch_is_bounded_in_bytes_as_well_as_in_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, 'BATCH_BYTES', 1000)
    with DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target:
        for number in range(3):
            target.append(row(number, images=b'\xff' * 600))
            assert target.rows == (0, 2, 2)[number]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'areas': [0.5, 1]}, r'append\(areas=\) expected a 1-d float64 numpy value, but got \[0\.5, 1\]'),
        ({'areas': np.zeros(2, np.float32)}, r'append\(areas=\) expected a 1-d float64'),
        ({'areas': np.zeros((2, 1))}, r'append\(areas=\) expected a 1-d float64'),
        ({'img_id': 3}, r'append\(img_id=\) expected a 0-d int64 numpy value, but got 3'),
        ({'images': b''}, r"append\(images=\) expected non-empty bytes, but got b''"),
        ({'note': ''}, r"append\(note=\) expected non-empty text, but got ''"),
    ],
)
def test_a_value_that_deep_lake_would_cast_or_garble_is_refused(tmp_path, changes, message):
    with pytest.raises(TypeError, match=message), DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target:
        target.append(row(0, **changes))
    assert not list(tmp_path.iterdir())


def test_a_row_with_other_columns_is_refused(tmp_path):
    with (
        pytest.raises(KeyError, match=r"expected the columns \['images', .*but got .*'more'"),
        DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target,
    ):
        target.append(row(0, more=1))


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError])
def test_an_error_after_thousands_of_rows_leaves_nothing(tmp_path, error):
    with pytest.raises(error), DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target:
        for number in range(1500):
            target.append(row(number))
        raise error
    assert not list(tmp_path.iterdir())


def test_nothing_comes_back_after_an_early_error(tmp_path):
    for number in range(20):
        with pytest.raises(ValueError), DatasetWriter(Destination(tmp_path / str(number)), COLUMNS) as target:
            target.append(row(0))
            raise ValueError
    time.sleep(0.3)  # Deep Lake commits what is dropped in the background
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_removed_is_at_least_not_committed(tmp_path, monkeypatch):
    monkeypatch.setattr(Destination, 'discard', lambda self: None)
    with pytest.raises(ValueError), DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target:
        for number in range(1000):
            target.append(row(number))
        raise ValueError
    left = deeplake.open_read_only(str(next(tmp_path.iterdir())))
    assert len(left) == 0 and [version.message for version in left.history] == ['Dataset created']


def test_rows_without_finish_leave_nothing(tmp_path):
    with DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target:
        target.append(row(0))
    assert not list(tmp_path.iterdir())


def test_a_view_that_selects_other_rows_than_it_should_is_an_error(tmp_path):
    with (
        pytest.raises(ConversionError, match=r"view 'v' to hold 3 rows, but got 1"),
        DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target,
    ):
        for number in range(2):
            target.append(row(number))
        target.finish('m', {'v': View('select * where img_id == 1', 3)})
    assert not list(tmp_path.iterdir())


def test_a_view_of_scattered_ids_reopens_with_exactly_those_rows(tmp_path):
    ids = np.random.default_rng(0).choice(20_000, 9_000, replace=False)
    with DatasetWriter(Destination(tmp_path / 'd'), COLUMNS) as target:
        for number in range(20_000):
            target.append(row(number))
        target.finish('m', {'some': id_view(ids.tolist())})
    dataset = deeplake.open_read_only(str(tmp_path / 'd'))
    view = dataset.tags['some'].open()
    assert view['img_id'][:].tolist() == sorted(ids.tolist())


def test_a_url_is_written_in_place_and_never_overwritten():
    url = 'mem://convert_writer_test'
    with pytest.raises(ValueError), DatasetWriter(Destination(url), COLUMNS) as target:
        target.append(row(0))
        raise ValueError
    assert not deeplake.exists(url)
    with DatasetWriter(Destination(url), COLUMNS) as target:
        target.append(row(0))
        target.finish('m', {})
    assert len(deeplake.open_read_only(url)) == 1
    with pytest.raises(ConversionError, match=r'no dataset to be there.*mem://.*only local folders can be overwritten'):
        Destination(url, overwrite=True)
