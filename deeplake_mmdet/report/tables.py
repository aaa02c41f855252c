"""The tables of the page as rows of texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.report.outcome import Outcome

NOTHING = '–'
_METRICS = ('bbox', 'segm')
_OF_METRIC = re.compile(rf'(?:^|/)({"|".join(_METRICS)})_(.*)$')  # a class's name may hold a slash too


@dataclass(frozen=True)
class Table:
    """A table, its first column names and the others numbers.

    Attributes:
        header: Names of the columns.
        rows: Texts, each row as long as the header.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def number(value: Any) -> str:
    """A value for people: three decimals, and a dash for NaN and for COCO's -1, which both mean that there is none."""
    if isinstance(value, (bool, str)) or value is None:
        return NOTHING if value is None else str(value)
    if not np.isfinite(value) or value == -1:
        return NOTHING
    return f'{value:.3f}' if isinstance(value, (float, np.floating)) else str(value)


def metric_table(values: Mapping[str, Any]) -> Table:
    """Every metric; those of boxes and of masks side by side where both were measured."""
    parts = {name: _OF_METRIC.search(name) for name in values}
    if {part[1] for part in parts.values() if part} != set(_METRICS):
        return Table(('metric', 'value'), [(name, number(value)) for name, value in values.items()])
    rows: dict[str, dict[str, str]] = {}
    for name, part in parts.items():
        row, column = (part[2], part[1]) if part else (name, 'other')
        rows.setdefault(row, {})[column] = number(values[name])
    columns = [*_METRICS, *(['other'] if any('other' in row for row in rows.values()) else [])]
    body = [(name, *(row.get(column, '') for column in columns)) for name, row in rows.items()]
    return Table(('metric', *columns), body)


def class_table(outcome: Outcome) -> Table:
    """A row a class: counts and rates at the best score threshold, and what the metric says of it."""
    evaluation = outcome.evaluation
    columns = {**outcome.per_class(), **evaluation.per_class}
    header = ('class', *(name.replace('_', ' ') for name in columns))
    return Table(header, _rows(evaluation.truth.classes, list(columns.values())))


def _rows(names: Sequence[str], columns: Sequence[np.ndarray]) -> list[tuple[str, ...]]:
    values = [np.asarray(column).tolist() for column in columns]
    return [(name, *(number(column[k]) for column in values)) for k, name in enumerate(names)]
