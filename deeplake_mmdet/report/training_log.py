"""The course of a training, out of the lines that MMEngine writes to ``vis_data/scalars.json`` of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Series = tuple[list[float], list[float]]  # steps and values
_BESIDE = ('time', 'data_time', 'memory', 'eta', 'step', 'iter', 'epoch')  # in a line of a validation


@dataclass(frozen=True)
class TrainingLog:
    """Values by name, each with the steps at which it was written.

    Attributes:
        losses: By iteration, the total first.
        rates: Learning rates, by iteration.
        metrics: By epoch or iteration, the main ones first.
        validation_unit: ``'epoch'`` or ``'iteration'``.
    """

    losses: Mapping[str, Series] = field(default_factory=dict)
    rates: Mapping[str, Series] = field(default_factory=dict)
    metrics: Mapping[str, Series] = field(default_factory=dict)
    validation_unit: str = 'epoch'

    def __bool__(self) -> bool:
        return bool(self.losses)

    @classmethod
    def read(cls, run: Path | str) -> TrainingLog:
        """The log of one run; an empty one if it did not train.

        Args:
            run: The run's folder, ``WORK_DIR/<timestamp>``.
        """
        file = Path(run, 'vis_data', 'scalars.json')
        if not file.is_file():
            return cls()
        return cls.of(_lines(file.read_text(encoding='utf-8', errors='replace').splitlines()))

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> TrainingLog:
        """The log that some lines make, empty if none is of a training.

        Values that are no finite numbers are left out, and so are metrics of -1, which COCO gives for "none".
        """
        found: dict[str, dict[str, Series]] = {'losses': {}, 'rates': {}, 'metrics': {}}
        by_epoch = False
        for line in lines:
            trains = 'iter' in line and any('loss' in key for key in line)
            by_epoch |= trains and 'epoch' in line
            for key, value in line.items():
                kind = _kind(key, trains)
                if kind and not (kind == 'metrics' and value == -1):
                    _add(found[kind], key, line.get('step'), value)
        if not found['losses']:  # a validation by itself
            return cls()
        if found['rates'].get('lr') == found['rates'].get('base_lr'):
            found['rates'].pop('base_lr', None)
        total_first = sorted(found['losses'].items(), key=lambda item: item[0] != 'loss')
        main_first = sorted(found['metrics'].items(), key=lambda item: _rank(item[0]))
        return cls(dict(total_first), found['rates'], dict(main_first), 'epoch' if by_epoch else 'iteration')


def _kind(key: str, trains: bool) -> str | None:
    """What a value of a line belongs to, if it is of interest."""
    if not trains:
        return None if key in _BESIDE else 'metrics'
    if key.rpartition('.')[2] in ('lr', 'base_lr'):
        return 'rates'
    return 'losses' if 'loss' in key else None


def _rank(metric: str) -> int:
    """Place of a metric among the others: the mean over all first, single classes last."""
    for place, end in enumerate(('mAP', 'mAP_50', 'mAP_75')):
        if metric.endswith(end):
            return place
    return 4 if metric.endswith('_precision') else 3


def _lines(texts: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    """The lines that are whole; a run that is killed may leave half of one."""
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def _add(series: dict[str, Series], key: str, step: Any, value: Any) -> None:
    numbers = all(isinstance(number, (int, float)) and math.isfinite(number) for number in (step, value))
    if numbers:
        steps, values = series.setdefault(key, ([], []))
        steps.append(step)
        values.append(value)
