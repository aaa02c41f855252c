"""The tables that `score` prints: what images have and lack, errors by class, the worst first."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from deeplake_mmdet.inspection.score_tables import score_tables
from deeplake_mmdet.scoring.columns import ERRORS
from deeplake_mmdet.scoring.image_table import ImageTable
from deeplake_mmdet.scoring.values import Part

DATASET = SimpleNamespace(
    index=SimpleNamespace(classes=('cat', 'dog'), img_ids=np.array([10, 11, 12]), rows=np.array([5, 6, 7]))
)
PARTS = [
    Part(
        np.array([2, 0, 1]),
        {
            'loss': [0.5, None, 2.25],
            'loss_cls': [None, None, None],
            'iou': [0.75, 0.5, 0.25],
            'tp': [1, 0, 3],
            'missed_by_class': [np.array([1, 0]), np.array([0, 2]), np.array([0, 0])],
            'labels': [np.array([0, 1]), np.array([], int), np.array([1, 1, 1])],
            'prediction_error': [np.array([0, 6]), np.array([], int), np.array([0, 0, 2])],
        },
    )
]


def lines(by: str = 'loss') -> dict[str, list[str]]:
    """The words of each line, by its first one."""
    text = score_tables(ImageTable(PARTS), PARTS, DATASET, by, 2)
    return {line.split()[0]: line.split() for line in text.splitlines() if line}


def test_images_without_a_finite_loss_are_counted_and_left_out_of_the_mean():
    assert lines()['loss'] == ['loss', '1.375', '1.375', '2.250', '1']
    assert lines()['loss_cls'] == ['loss_cls', '–', '–', '–', '3']
    assert lines()['iou'] == ['iou', '0.500', '0.500', '0.250', '0']


def test_errors_are_counted_by_the_class_of_the_detection_and_misses_by_that_of_the_object():
    header = lines()['detections']
    assert header == [
        'detections',
        *(kind for kind in ERRORS if kind not in ('missed', 'not counted')),
        'objects',
        'missed',
    ]
    assert lines()['cat'] == ['cat', '1', '0', '0', '0', '0', '0', '1']
    assert lines()['dog'] == ['dog', '2', '1', '0', '0', '0', '1', '2']


def test_the_worst_come_first_with_the_row_of_the_dataset_and_the_image_id():
    text = score_tables(ImageTable(PARTS), PARTS, DATASET, 'loss', 2)
    worst = [line.split() for line in text.partition('The worst by loss:\n')[2].splitlines()]
    assert worst == [
        ['row', 'img_id', 'loss', 'iou', 'tp'],
        ['6', '11', '2.250', '0.250', '3'],
        ['7', '12', '0.500', '0.750', '1'],
    ]
