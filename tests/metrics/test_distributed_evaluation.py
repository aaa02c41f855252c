"""Several processes evaluate what one process evaluates: every image once, and the same numbers on every rank.

The processes are real ones with real process groups, started once for all tests; see `tests.support.evaluating_ranks`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from deeplake_mmdet import DeepLakeDataset, DeepLakeVOCMetric
from tests.support.children import ROOT
from tests.support.evaluating_ranks import (
    BATCH_SIZES,
    MISTAKES,
    PROCESSES,
    ROUND_UP,
    ROWS,
    first_images,
    metrics,
    outcome,
    predictions,
)
from tests.support.tiny import write_tiny


def evaluate_alone(dataset: DeepLakeDataset) -> list[dict[str, Any]]:
    """The outcomes in a process that is none of several."""
    outcomes = []
    for metric in metrics():
        metric.dataset_meta = dataset.metainfo
        metric.process({}, predictions(dataset))
        outcomes.append(outcome(metric, metric.evaluate(len(dataset))))
    return outcomes


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Two datasets: one of `ROWS` images, whose ids are not in the order of its rows, and a small one."""
    init_default_scope('mmdet')
    path = tmp_path_factory.mktemp('ranks')
    rng = np.random.default_rng(0)
    boxes = [
        np.column_stack([rng.integers(0, 20, (n % 4, 2)), rng.integers(5, 20, (n % 4, 2))]) for n in range(1, ROWS + 1)
    ]
    write_tiny(path / 'ds', boxes=boxes, extra={'img_id': ('int64', np.arange(ROWS) * 7 % ROWS)})
    write_tiny(path / 'other')
    return path


@pytest.fixture(scope='module')
def alone(folder) -> dict[int, list[dict[str, Any]]]:
    """The outcomes of one process, by number of images."""
    return {number: evaluate_alone(first_images(str(folder / 'ds'), number)) for number in range(1, ROWS + 1)}


@pytest.fixture(scope='module')
def ranks(folder) -> list[dict[str, Any]]:
    """What each of several processes found; see `evaluating_ranks.main`."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-m', 'tests.support.evaluating_ranks']
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(PROCESSES)
    ]
    try:
        logs = [process.communicate(timeout=280)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, log in zip(processes, logs, strict=True):
        assert process.returncode == 0, log[-3000:]
    return [json.loads((folder / f'rank{rank}.json').read_text()) for rank in range(PROCESSES)]


def ways(world_size: int) -> dict[str, int]:
    """Names of all outcomes of some ranks, with the number of images."""
    return {
        f'{world_size} ranks, {images} images, {round_up=}, {batch_size=}': images
        for images, round_up, batch_size in product(range(1, ROWS + 1), ROUND_UP, BATCH_SIZES)
    }


@pytest.mark.parametrize('world_size', range(1, PROCESSES + 1))
def test_every_rank_has_the_numbers_of_one_process_for_every_number_of_images(alone, ranks, world_size):
    expected = {way: [{'values': one['values']} for one in alone[images]] for way, images in ways(world_size).items()}
    assert len(expected) == ROWS * len(ROUND_UP) * len(BATCH_SIZES)
    for rank in range(world_size):
        found = ranks[rank]['all_sizes']
        values = {way: [{'values': one['values']} for one in found[way]] for way in expected}
        assert values == expected
    # The numbers of a few images more or less differ, so that a lost or doubled image would show.
    assert len({json.dumps(values) for values in expected.values()}) > ROWS - 5


@pytest.mark.parametrize('world_size', range(1, PROCESSES + 1))
def test_every_image_is_counted_once_with_its_own_detections(folder, alone, ranks, world_size):
    ids = first_images(str(folder / 'ds'), ROWS).index.img_ids.tolist()
    for way, images in ways(world_size).items():
        for one, other in zip(ranks[0]['all_sizes'][way], alone[images], strict=True):
            assert one['img_ids'] == [sorted(ids[:images])] * 2, way
            assert one['detections'] == other['detections'], way
        for rank in range(1, world_size):
            assert all(list(one) == ['values'] for one in ranks[rank]['all_sizes'][way]), way


def test_a_rank_without_an_image_takes_part(alone, ranks):
    for batch_size in BATCH_SIZES:
        way = f'{PROCESSES} ranks, 1 images, round_up=False, {batch_size=}'
        for rank in range(PROCESSES):
            values = [one['values'] for one in ranks[rank]['all_sizes'][way]]
            assert values == [one['values'] for one in alone[1]]


@pytest.mark.parametrize('images', [1, PROCESSES + 1, ROWS])
def test_detections_can_be_gathered_through_files(folder, alone, ranks, images):
    assert ranks[0]['through_files'][str(images)] == alone[images]
    for rank in range(1, PROCESSES):
        found = ranks[rank]['through_files'][str(images)]
        assert found == [{'values': one['values']} for one in alone[images]]
    assert not (folder / 'collected').exists()


def test_several_datasets_on_several_ranks_have_the_numbers_of_each_alone(folder, ranks):
    expected = {}
    for prefix, name, images in (('one', 'ds', 5), ('two', 'other', 4)):
        dataset, metric = first_images(str(folder / name), images), DeepLakeVOCMetric()
        metric.dataset_meta = dataset.metainfo
        metric.process({}, predictions(dataset))
        expected |= {f'{prefix}/{key}': value for key, value in metric.evaluate(images).items()}
    assert [ranks[rank]['several_datasets'] for rank in (0, 1)] == [expected, expected]


@pytest.mark.parametrize(
    ('mistake', 'message'),
    [
        ('an image is missing', 'ConfigError: DeepLakeVOCMetric expected predictions for the 4 images'),
        ('an image comes twice', 'ConfigError: DeepLakeVOCMetric got several predictions for one image'),
        ('all images', 'ConfigError: DeepLakeVOCMetric got several predictions for one image: 6 predictions for 4'),
    ],
)
def test_images_that_are_not_predicted_once_are_refused(ranks, mistake, message):
    assert ranks[0]['refusals'].keys() == {*MISTAKES, 'a label'}
    assert message in ranks[0]['refusals'][mistake]
    assert 'Error: ' in ranks[1]['refusals'][mistake]  # no rank goes on


def test_a_wrong_label_of_one_rank_is_an_error_of_all(ranks):
    for rank in (0, 1):
        assert 'expected labels from 0 to ' in ranks[rank]['refusals']['a label']
