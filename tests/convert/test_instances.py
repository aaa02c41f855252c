"""Instances taken out of a row leave all its columns in step."""

from __future__ import annotations

import json

import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.convert.instances import select_instances
from deeplake_mmdet.convert.schema import Column, json_list, ragged

COLUMNS = [
    Column('boxes', types.BoundingBox('float64', 'ltwh', 'pixel'), 'float64', 2, per_instance=True),
    ragged('categories', 'uint32'),
    json_list('masks', 'coco_segmentation'),
    Column('file_name', types.Text(), 'text'),
]


def row(count):
    return {
        'boxes': np.arange(4.0 * count).reshape(-1, 4),
        'categories': np.arange(count, dtype=np.uint32),
        'masks': json.dumps([[[i, i + 0.1]] for i in range(count)]),
        'file_name': 'a',
    }


@pytest.mark.parametrize('keep', [[], [True], [False], [True, False, True], [False, False], [True, True]])
def test_every_column_keeps_the_same_instances_in_order(keep):
    before, keep = row(len(keep)), np.array(keep, bool)
    after = select_instances(before, COLUMNS, keep)
    kept = np.flatnonzero(keep).tolist()
    assert after['categories'].tolist() == kept and after['categories'].dtype == np.uint32
    assert after['boxes'].shape == (len(kept), 4) and after['boxes'][:, 0].tolist() == [4.0 * i for i in kept]
    assert json.loads(after['masks']) == [[[i, i + 0.1]] for i in kept]
    assert after['file_name'] == 'a'
    assert len(before['boxes']) == len(keep), 'the row that was given is not changed'
    for column in COLUMNS:
        column.check(after[column.name])


def test_a_column_that_is_out_of_step_is_named():
    with pytest.raises(ValueError, match=r"expected 2 entries in 'masks', but got 3"):
        select_instances(row(2) | {'masks': '[1,2,3]'}, COLUMNS, np.array([True, False]))
