"""Tables of texts: nothing is left out, and what is no number is a dash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.tables import class_table, metric_table, number
from tests.support.evaluations import random_evaluation


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (0.41249, '0.412'),
        (np.float32(0.5), '0.500'),
        (7, '7'),
        (float('nan'), '–'),
        (float('inf'), '–'),
        (-1.0, '–'),
        (-1, '–'),
        (None, '–'),
        ('0.1 0.2', '0.1 0.2'),
    ],
)
def test_a_number_is_short_and_a_missing_one_is_a_dash(value, text):
    assert number(value) == text


def test_metrics_of_boxes_and_masks_stand_side_by_side():
    table = metric_table({'bbox_mAP': 0.5, 'bbox_mAP_50': 0.6, 'segm_mAP': 0.4, 'segm_mAP_s': -1.0, 'AR@100': 0.7})
    assert table.header == ('metric', 'bbox', 'segm', 'other')
    assert table.rows == [
        ('mAP', '0.500', '0.400', ''),
        ('mAP_50', '0.600', '', ''),
        ('mAP_s', '', '–', ''),
        ('AR@100', '', '', '0.700'),
    ]


def test_a_class_with_a_slash_in_its_name_stays_in_its_column():
    table = metric_table({'coco/bbox_car/bbox_x_precision': 0.5, 'coco/segm_car/bbox_x_precision': 0.4})
    assert table.header == ('metric', 'bbox', 'segm')
    assert table.rows == [('car/bbox_x_precision', '0.500', '0.400')]


def test_metrics_of_one_kind_are_listed_as_they_are_called():
    table = metric_table({'pascal_voc/mAP': 0.5, 'AP50': float('nan')})
    assert table.header == ('metric', 'value')
    assert table.rows == [('pascal_voc/mAP', '0.500'), ('AP50', '–')]


def test_every_class_has_a_row_with_all_columns():
    evaluation = random_evaluation(0)
    outcome = Outcome.of(replace(evaluation, per_class={'bbox_mAP_50': np.array([0.25, 0.5, np.nan])}))
    table = class_table(outcome)
    assert table.header == ('class', 'objects', 'detections', 'precision', 'recall', 'F1', 'bbox mAP 50')
    assert [row[0] for row in table.rows] == ['cat', 'dog', 'owl']
    assert [row[-1] for row in table.rows] == ['0.250', '0.500', '–']
    counts = outcome.per_class()
    assert [int(row[1]) for row in table.rows] == counts['objects'].tolist()
    assert table.rows[2][4] == '–'  # of a class without an object there is no recall
    assert {len(row) for row in table.rows} == {len(table.header)}
