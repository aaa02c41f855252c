"""Which columns go with the objects: decided by the data where it proves something, and refused by name elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ColumnError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.versions.object_columns import Form, find_object_columns
from tests.support.datasets import write_dataset

T = deeplake.types
VARYING, UNIFORM = [0, 1, 2, 0, 1], [2, 2, 2]


def forms(tmp_path: Path, columns: dict[str, tuple[Any, list[Any]]], counts: list[int], **said: Any) -> dict[str, Form]:
    """The forms that are found for a dataset of these columns, the boxes and labels aside."""
    path = str(tmp_path / 'dataset')
    write_dataset(
        path,
        len(counts),
        types={name: kind for name, (kind, _) in columns.items()},
        values={
            **{name: values for name, (_, values) in columns.items()},
            'boxes': [np.zeros((n, 4), 'float32') for n in counts],
            'categories': [np.zeros(n, 'uint32') for n in counts],
        },
    )
    source = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path}))
    found = find_object_columns(source, 'boxes', 'categories', **said).forms
    assert found.pop('boxes') == found.pop('categories') == Form.ARRAY
    return found


def numbers(counts: list[int], extra: int = 0) -> list[np.ndarray]:
    return [np.zeros(n + extra, 'float32') for n in counts]


ARRAY = T.Array('float32', 1)


def test_a_column_of_any_name_that_fits_all_rows_goes_with_the_objects(tmp_path: Path) -> None:
    columns = {
        'scores': (ARRAY, numbers(VARYING)),
        'notes': ('text', [json.dumps(['x'] * n) for n in VARYING]),
        'fewer': (ARRAY, [*numbers(VARYING[:-1]), np.zeros(0, 'float32')]),
        'names': ('text', ['a', 'b', '[c', 'd', 'e']),
        'captions': ('text', ['["one"]'] * 5),
    }
    assert forms(tmp_path, columns, VARYING) == {'scores': Form.ARRAY, 'notes': Form.JSON}


def test_known_names_count_where_the_number_of_boxes_never_varies(tmp_path: Path) -> None:
    columns = {'areas': (ARRAY, numbers(UNIFORM)), 'masks': ('text', ['[null, null]'] * 3)}
    assert forms(tmp_path, columns, UNIFORM) == {'areas': Form.ARRAY, 'masks': Form.JSON}


def test_rows_without_boxes_may_have_nothing_at_all(tmp_path: Path) -> None:
    nullable = [None if n == 0 else np.zeros(n, 'float32') for n in VARYING]
    assert forms(tmp_path, {'scores': (T.Nullable(ARRAY), nullable)}, VARYING) == {'scores': Form.ARRAY}


REFUSED: dict[str, tuple[dict[str, tuple[Any, list[Any]]], list[int], str]] = {
    'nothing proven': (
        {'pair': (ARRAY, numbers(UNIFORM))},
        UNIFORM,
        r"Column 'pair' has one entry a box, but all rows have the same number of boxes, which proves nothing. Say",
    ),
    'empty in some rows': (
        {'scores': (T.Nullable(ARRAY), [None, None, np.zeros(2, 'float32'), None, np.zeros(1, 'float32')])},
        VARYING,
        r"Column 'scores' is empty in 1 rows that have boxes, and fits the boxes in all others.*--per-object scores",
    ),
    'a known column that is damaged': (
        {'iscrowd': (ARRAY, numbers(VARYING, 1))},
        VARYING,
        r"Column 'iscrowd', row 0: expected one entry an object, but got 1 for 0 boxes.*before 5 rows are corrected",
    ),
    'bytes': (
        {'packed': ('bytes', [b'x'] * 5)},
        VARYING,
        r"Column 'packed' is of a type that cannot be taken apart.*--per-image packed \(per_image=\)",
    ),
    'a dict': ({'more': (T.Dict(), [{'a': 1}] * 5)}, VARYING, "Column 'more' is of a type that cannot be taken apart"),
    'lists of texts': (
        {'words': (T.Array('text', 1), [['a']] * 5)},
        VARYING,
        "Column 'words' is of a type that cannot be taken apart",
    ),
    'a map of classes': (
        {'map': (T.SegmentMask(sample_compression='lz4'), [np.zeros((4, 5), 'uint8')] * 5)},
        VARYING,
        "Column 'map' has masks that are not one a box",
    ),
    'masks of either order': (
        {'masks': (T.BinaryMask('lz4'), [np.zeros((2, 4, 2), bool)] * 3)},
        UNIFORM,
        "Column 'masks' has as many rows of pixels as layers",
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_a_column_is_refused_by_name_for(tmp_path: Path, case: str) -> None:
    columns, counts, message = REFUSED[case]
    with pytest.raises(ColumnError, match=message):
        forms(tmp_path, columns, counts)


@pytest.mark.parametrize('case', REFUSED)
def test_who_knows_better_says_that_it_stays(tmp_path: Path, case: str) -> None:
    columns, counts, _ = REFUSED[case]
    assert forms(tmp_path, columns, counts, per_image=list(columns)) == {}


def test_who_knows_better_says_that_it_goes_with_the_objects(tmp_path: Path) -> None:
    columns = {'pair': (ARRAY, numbers(UNIFORM)), 'notes': ('text', ['["a", "b"]'] * 3)}
    assert forms(tmp_path, columns, UNIFORM, per_object=['pair', 'notes']) == {'pair': Form.ARRAY, 'notes': Form.JSON}


def test_what_is_said_to_go_with_the_objects_must_fit_them(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match="Column 'scores', row 0: expected one entry an object"):
        forms(tmp_path, {'scores': (ARRAY, numbers(VARYING, 1))}, VARYING, per_object=['scores'])


@pytest.mark.parametrize('said', [{'per_image': ['score']}, {'per_image': ['scores'], 'per_object': ['scores']}])
def test_unknown_and_contradictory_columns_are_refused(tmp_path: Path, said: dict[str, Any]) -> None:
    with pytest.raises(ColumnError, match=r'expected columns, each in one of the two, but got .*The columns are'):
        forms(tmp_path, {'scores': (ARRAY, numbers(VARYING))}, VARYING, **said)


def test_labels_that_do_not_fit_the_boxes_are_damage(tmp_path: Path) -> None:
    path = str(tmp_path / 'dataset')
    write_dataset(path, 3, values={'categories': [np.zeros(2, 'uint32')] * 3})
    source = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path}))
    with pytest.raises(ColumnError, match="Column 'categories', row 0: expected one entry an object, but got 2 for 0"):
        find_object_columns(source, 'boxes', 'categories')
