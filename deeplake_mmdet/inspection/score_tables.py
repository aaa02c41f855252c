"""Scores of a dataset as tables for a terminal: the whole, the errors by class, the worst images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from deeplake_mmdet.scoring.columns import ERRORS
from deeplake_mmdet.scoring.image_table import ImageTable
from deeplake_mmdet.scoring.values import Part
from deeplake_mmdet.versions.text_table import text_table

_LISTED = ('loss', 'iou', 'tp', 'fp', 'fn', 'suspicion')
_SUMMARISED = ('iou', 'mean_iou', 'ap50', 'suspicion')


def score_tables(table: ImageTable, parts: Iterable[Part], dataset: Any, by: str, top: int) -> str:
    """The tables, as lines of text.

    Args:
        table: Numbers of all images.
        parts: The same images with their objects and detections.
        dataset: The `DeepLakeDataset` that was scored.
        by: Column that ranks the worst images.
        top: How many of them.

    Raises:
        ConfigError: There is no such column.
    """
    names = [name for name in table.numbers if name.startswith('loss') or name in _SUMMARISED or '.loss' in name]
    summary = text_table(
        ('of an image', 'mean', 'median', 'worst', 'images without'), [_summary(name, table) for name in names]
    )
    return '\n\n'.join([summary, _errors(parts, dataset.index.classes), _worst(table, dataset, by, top)])


def _summary(name: str, table: ImageTable) -> tuple[Any, ...]:
    values = table.numbers[name]
    known = values[~np.isnan(values)]
    if not len(known):
        return name, None, None, None, len(values)
    worst = values[table.worst(name, 1)[0]]
    return name, *map(_shown, (known.mean(), np.median(known), worst)), len(values) - len(known)


def _shown(value: float) -> str:
    return '–' if math.isnan(value) else f'{value:8.3f}'


def _errors(parts: Iterable[Part], classes: tuple[str, ...]) -> str:
    """Objects and detections of each class by what went wrong with them."""
    kinds = len(ERRORS)
    detections, missed = np.zeros((len(classes), kinds), np.int64), np.zeros(len(classes), np.int64)
    for part in parts:
        missed += np.sum(part.values['missed_by_class'], axis=0)
        for labels, errors in zip(part.values['labels'], part.values['prediction_error'], strict=True):
            np.add.at(detections, (labels, errors), 1)
    wrong = [kind for kind in ERRORS if kind not in ('missed', 'not counted')]
    rows = [
        (name, *(int(detections[k, ERRORS.index(kind)]) for kind in wrong), int(missed[k]))
        for k, name in enumerate(classes)
    ]
    return text_table(('detections', *wrong, 'objects missed'), rows)


def _worst(table: ImageTable, dataset: Any, by: str, top: int) -> str:
    names = [name for name in dict.fromkeys([by, *_LISTED]) if name in table.numbers]
    ids, rows, lines = dataset.index.img_ids, dataset.index.rows, []
    for i in table.worst(by, top).tolist():
        place = int(table.places[i])
        values = (table.numbers[name][i] for name in names)
        shown = (int(v) if name in ('tp', 'fp', 'fn') else _shown(v) for name, v in zip(names, values, strict=True))
        lines.append((int(rows[place]), str(ids[place]), *shown))
    return f'The worst by {by}:\n{text_table(("row", "img_id", *names), lines)}'
