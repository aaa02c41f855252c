"""Some instances of a row, taken out of all columns that have an entry an instance, so that these keep in step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.convert.schema import Column


def select_instances(row: Mapping[str, Any], columns: Sequence[Column], keep: np.ndarray) -> dict[str, Any]:
    """A row with some of its instances.

    Args:
        row: The value of each column; it is not changed.
        columns: Those of the dataset; `Column.per_instance` says which have an entry an instance: an array along its
            first axis, or a JSON list.
        keep: Which instances remain, bool, (N,).

    Returns:
        The row, with new values where `columns` have an entry an instance.

    Raises:
        ValueError: A column has another number of entries.
    """
    selected = dict(row)
    for column in columns:
        if column.per_instance:
            selected[column.name] = select_entries(row[column.name], keep, column.name)
    return selected


def select_entries(value: Any, keep: np.ndarray, name: str) -> Any:
    """One column's value, an array or a JSON list, with some of its entries; see `select_instances`."""
    entries = json.loads(value) if isinstance(value, str) else value
    if len(entries) != len(keep):
        raise ValueError(
            f'select_instances(row=) expected {len(keep)} entries in {name!r}, but got {len(entries)}. '
            'Give one for each instance.'
        )
    if isinstance(value, str):
        return json.dumps([entries[place] for place in np.flatnonzero(keep)], separators=(',', ':'))
    return entries[keep]
