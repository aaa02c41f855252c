"""The new values of edited rows: all columns of one entry an object, with the same entries left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from deeplake_mmdet.convert.instances import select_entries
from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.column_types import RESULTS
from deeplake_mmdet.versions.edit_plan import EditPlan
from deeplake_mmdet.versions.object_columns import Form, ObjectColumns
from deeplake_mmdet.versions.reading import columns_of, pieces, read_at, rows_at_once


def edited_values(plan: EditPlan, columns: ObjectColumns) -> dict[int, dict[str, Any]]:
    """What to write.

    Args:
        plan: The edit.
        columns: The columns of one entry an object.

    Returns:
        For each edited row the columns that change, and their new values, in the form in which Deep Lake stores them;
        null for results of a detector, which were of the row as it was.

    Raises:
        AnnotationError: A column has more or fewer entries in a row than there are boxes.
        SourceError: The storage failed.
    """
    stale = dict.fromkeys(name for name in _results(columns_of(plan.source)) if name not in columns.forms)
    found: dict[int, dict[str, Any]] = {row: {**stale} for row in sorted({*plan.objects, *plan.classes})}
    for row, classes in plan.classes.items():
        labels = np.array(plan.read(columns.labels, row))
        labels[list(classes)] = list(classes.values())
        found[row][columns.labels] = labels
    dropping = np.array(sorted(plan.objects), np.int64)
    for name, form in columns.forms.items() if len(dropping) else ():
        for piece in pieces(len(dropping), rows_at_once(columns_of(plan.source)[name])):
            rows = dropping[piece]
            for row, value in zip(rows.tolist(), read_at(plan.source, name, rows), strict=True):
                value = found[row].get(name, value)
                found[row][name] = _kept(value, form, plan.count(row), plan.objects[row], f'Column {name!r}, row {row}')
    return found


def _results(columns: dict[str, Any]) -> list[str]:
    """The columns of results, which are those of other annotations by now; of a type without null, they are kept."""
    return [name for name, dtype in columns.items() if name.startswith(RESULTS) and str(dtype).startswith('nullable')]


def _kept(value: Any, form: Form, count: int, dropped: set[int], where: str) -> Any:
    """One value of `count` entries without the dropped ones."""
    keep = np.array([index not in dropped for index in range(count)], bool)
    try:
        if form is Form.LAYERS:
            return np.moveaxis(select_entries(np.moveaxis(value, -1, 0), keep, where), 0, -1).copy()
        if form is Form.POLYGONS:
            polygons = [np.ascontiguousarray(points, np.float32) for points in value]
            kept = [points for points, is_kept in zip(polygons, keep, strict=True) if is_kept]
            return kept or np.zeros((0, 0, 2), np.float32)  # an empty list would be refused
        return select_entries(value, keep, where)
    except (TypeError, ValueError):  # nothing there, another number of entries, or no JSON
        raise AnnotationError(
            f'{where}: expected {count} entries, one a box, but got something else. Correct the row first.'
        ) from None
