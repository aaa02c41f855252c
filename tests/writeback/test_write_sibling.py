"""Results of datasets that cannot be written go into a dataset of their own, one row for each row that was scored."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.errors import ConversionError, DeepLakeMMDetError, SourceError
from deeplake_mmdet.scoring.values import Part
from deeplake_mmdet.writeback.target import Target
from tests.writeback.scored import CLASSES, COLUMNS, FACTS, GROUP, digest, head, number_of, opened, stored, write
from tests.writeback.scored import result_of as result

FORMAT3 = Path(__file__).parents[1] / 'format3' / 'data'


def test_each_scored_row_has_a_row_with_its_number_and_id(make_dataset: Callable[..., str], tmp_path: Path):
    ids = {'types': {'img_id': 'int64'}, 'values': {'img_id': np.arange(100, 114)}}
    path, to = make_dataset(count=14, **ids), str(tmp_path / 'more' / 'results')
    before = digest(path)
    deeplake.open(path).query('select * where number > 2 order by number desc limit 6').tag('few')
    source = opened(path, view_id='few', query='select * limit 4 offset 1')
    written = write(source, None, to=to, run='a', places=[0, 1, 3])
    assert (written.revision.uri, written.rows) == (to, 3)
    made, images = head(to), head(path)
    assert made['row'][:].tolist() == [12, 11, 10, 9]
    assert made['img_id'][:].tolist() == [112, 111, 110, 109]
    for place, row in enumerate(made['row'][:].tolist()):
        want = stored(result(bytes(images['images'].get_bytes(row))))
        for name in COLUMNS:
            got = made[f'{GROUP}a/{name}'][place]
            if place == 2 or want[name] is None:
                assert got is None
            elif name == 'masks':
                assert json.loads(got) == want[name]
            else:
                np.testing.assert_array_equal(got, np.asarray(want[name], got.dtype))
    scored = json.loads(made.metadata['scored'])
    assert (scored['uri'], scored['view_id'], scored['query']) == (path, 'few', 'select * limit 4 offset 1')
    assert made[f'{GROUP}a/loss'].metadata['lineage'] == FACTS
    assert [version.message for version in made.history][1:] == ['scored']
    assert digest(path) == before
    assert sorted(os.listdir(tmp_path / 'more')) == ['results']


def test_worst_rows_of_such_a_dataset_are_found(make_dataset: Callable[..., str], tmp_path: Path):
    to = str(tmp_path / 'results')
    write(opened(make_dataset()), None, to=to)
    query = f'select * where "{GROUP}loss" is not null order by "{GROUP}loss" desc'
    losses = [float(value) for value in opened(to, query=query).read_column(f'{GROUP}loss', 0, 3)]
    assert losses == sorted(losses, reverse=True)


@pytest.fixture
def format3(tmp_path: Path) -> str:
    """A dataset of format 3."""
    with tarfile.open(FORMAT3 / 'example.tar.xz') as content:
        content.extractall(tmp_path)
    return str(next(folder for folder in tmp_path.iterdir() if folder.is_dir()))


def test_a_dataset_of_format_3_is_refused_unless_results_go_elsewhere(format3: str, tmp_path: Path):
    source = opened(format3)
    with pytest.raises(SourceError, match=r'of Deep Lake format 3, which can be read but not written.*--to PATH'):
        Target.of(source, None, branch='scores')
    target = Target.of(source, None, to=str(tmp_path / 'results'))
    part = Part(np.array([2, 0]), {'loss': [2.5, 0.5]})
    target.write([part], classes=CLASSES, columns=('loss',), message='m', facts={})
    made = head(str(tmp_path / 'results'))
    assert made['row'][:].tolist() == source.rows.tolist()
    losses = [value if value is None else float(value) for value in made[f'{GROUP}loss'][0:3]]
    assert losses == [0.5, None, 2.5]


def test_a_place_where_something_is_is_refused_before_the_scoring_and_after(make_dataset, tmp_path: Path):
    path = make_dataset()
    with pytest.raises(ConversionError, match='a dataset is there'):
        Target.of(opened(path), None, to=make_dataset('other'))
    with pytest.raises(ConversionError, match='of its own'):
        Target.of(opened(path), None, to=f'{path}/results')
    target = Target.of(opened(path), None, to=str(tmp_path / 'late'))
    before = digest(make_dataset('late'))
    with pytest.raises(ConversionError, match='a dataset is there'):
        target.write([], classes=CLASSES, columns=('loss',), message='m', facts={})
    assert digest(str(tmp_path / 'late')) == before


def test_a_write_that_fails_leaves_no_dataset(make_dataset: Callable[..., str], tmp_path: Path):
    target = Target.of(opened(make_dataset()), None, to=str(tmp_path / 'new' / 'results'))
    with pytest.raises(DeepLakeMMDetError, match='expected 1 values'):
        target.write([Part(np.array([0]), {})], classes=CLASSES, columns=('loss',), message='m', facts={})
    assert os.listdir(tmp_path) == ['dataset']


def test_results_of_a_local_dataset_can_go_to_a_bucket(make_dataset: Callable[..., str], s3: Any):
    creds = {'creds': s3.creds}
    source = opened(make_dataset())
    target = Target.of(source, creds, to=s3.path)
    values = {'loss': [float(number_of(image)) for image in source.read('images', range(8))]}
    target.write([Part(np.arange(8), values)], classes=CLASSES, columns=('loss',), message='m', facts={})
    made = head(s3.path, creds=s3.creds)
    assert [float(value) for value in made[f'{GROUP}loss'][0:8]] == values['loss']
    assert made['row'][:].tolist() == list(range(8))
