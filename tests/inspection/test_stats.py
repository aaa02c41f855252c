"""`stats` counts what is annotated; the numbers are compared with counts over the dataset itself."""

from __future__ import annotations

import json
from collections import Counter

import cv2
import deeplake
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.cli import stats
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.inspection.stats import Statistics
from deeplake_mmdet.inspection.stats_figure import save_figure
from tests.support.datasets import write_dataset

CLASSES = ('ant', 'bee', 'cow')


@pytest.fixture
def path(tmp_path):
    """40 images with up to 5 boxes of up to 200 pixels; no cow."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 6, 40)
    sizes = rng.integers(210, 300, (40, 2))
    boxes = [
        np.concatenate([rng.integers(0, 10, (n, 2)), rng.integers(3, 200, (n, 2))], axis=1).astype('float32')
        for n in counts
    ]
    path = str(tmp_path / 'ds')
    write_dataset(
        path,
        40,
        classes=CLASSES,
        types={'height': 'int32', 'width': 'int32', 'difficult': types.Array('uint8', 1)},
        values={
            'boxes': boxes,
            'categories': [rng.integers(0, 2, n).astype('uint32') for n in counts],
            'height': sizes[:, 0].astype('int32'),
            'width': sizes[:, 1].astype('int32'),
            'difficult': [(rng.random(n) < 0.2).astype('uint8') for n in counts],
        },
    )
    return path


def test_the_counts_are_those_of_the_columns(path):
    found = Statistics.of({'deeplake_path': path}).to_json()
    dataset = deeplake.open_read_only(path)
    boxes, labels = list(dataset['boxes'][:]), list(dataset['categories'][:])
    objects = [(row, int(label), box) for row in range(40) for label, box in zip(labels[row], boxes[row], strict=True)]
    assert found['images'] == 40
    assert found['images without objects'] == sum(len(row) == 0 for row in labels)
    assert found['objects'] == len(objects)
    assert found['difficult'] == sum(int(row.sum()) for row in dataset['difficult'][:])
    for label, name in enumerate(CLASSES):
        own = [(row, box) for row, other, box in objects if other == label]
        sizes = Counter('small' if w * h < 1024 else 'medium' if w * h < 9216 else 'large' for _, (_, _, w, h) in own)
        sides = [float(np.sqrt(box[2] * box[3])) for _, box in own]
        assert found['classes'][label] == {
            'class': name,
            'images': len({row for row, _ in own}),
            'objects': len(own),
            **{size: sizes[size] for size in ('small', 'medium', 'large')},
            'median side': round(float(np.median(sides)), 1) if own else None,
        }
    widths = dataset['width'][:]
    assert found['quantiles']['image width'] == {
        'min': widths.min(),
        '5 %': pytest.approx(np.quantile(widths, 0.05), abs=0.01),
        'median': np.median(widths),
        '95 %': pytest.approx(np.quantile(widths, 0.95), abs=0.01),
        'max': widths.max(),
    }
    aspects = [box[2] / box[3] for _, _, box in objects]
    assert found['quantiles']['aspect of a box (w/h)']['max'] == pytest.approx(max(aspects), abs=0.01)


def test_a_query_is_counted_alone(path):
    found = Statistics.of({'deeplake_path': path, 'deeplake_query': 'select * where shape(boxes)[0] == 0'}).to_json()
    assert found['objects'] == 0
    assert found['images'] == found['images without objects'] > 0


def test_the_verb_prints_tables_and_draws(path, tmp_path, capsys):
    picture = tmp_path / 'stats.png'
    assert stats.main([path, '--out', str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(picture)
    heads = [line.split() for line in lines if line.startswith('class')]
    assert heads == [['class', 'images', 'objects', 'small', 'medium', 'large', 'median', 'side']]
    assert next(line for line in lines if line.startswith('cow')).split() == ['cow', '0', '0', '0', '0', '0', '-']
    assert cv2.imread(str(picture)).std() > 5


def test_json_is_what_the_tables_say(path, capsys):
    stats.main([path, '--json'])
    assert json.loads(capsys.readouterr().out) == Statistics.of({'deeplake_path': path}).to_json()


@pytest.mark.parametrize('query', [None, 'select * where shape(boxes)[0] == 0'])
def test_a_figure_is_drawn_also_of_images_without_objects(path, tmp_path, query):
    config = {'deeplake_path': path} | ({'deeplake_query': query} if query else {})
    save_figure(Statistics.of(config), tmp_path / 'figure.png')
    assert cv2.imread(str(tmp_path / 'figure.png')).std() > 5


def test_a_figure_that_cannot_be_written_is_an_error(path, tmp_path):
    with pytest.raises(ConfigError, match=r'stats\(out=\) could not write .*no/where'):
        save_figure(Statistics.of({'deeplake_path': path}), tmp_path / 'no' / 'where.png')
