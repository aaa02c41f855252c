"""Runs side by side: the data that they read, what differs in their configs, and their metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deeplake_mmdet.lineage.config_text import values_of
from deeplake_mmdet.lineage.reading import Run
from deeplake_mmdet.lineage.record import OF_ONE_RUN

_LEFT_OUT = (*OF_ONE_RUN, 'load_from')
_DATA = ('uri', 'branch', 'commit_id', 'view_id', 'query', 'rows', 'digest', 'columns', 'classes', 'bbox_format')
_ABSENT = '–'

Row = tuple[str, ...]


def comparison(runs: Sequence[Run]) -> dict[str, list[Row]]:
    """What differs between runs, and the metrics of all.

    Args:
        runs: Two or more.

    Returns:
        ``data``, ``config`` and ``metrics``: rows of a name and one value a run; of data and config only those that
        differ.

    Raises:
        LineageError: A config holds what is no data.
    """
    data = [_flat_data(run.record) for run in runs]
    configs = [_flat_config(run) for run in runs]
    metrics = [{name: f'{value:.4g}' for name, value in run.record['metrics'].items()} for run in runs]
    return {'data': _differing(data), 'config': _differing(configs), 'metrics': _rows(metrics)}


def _flat_data(record: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entries in record['data'].values():
        for entry in entries:
            found |= {f'{entry["key"]}.{name}': _text(entry.get(name)) for name in _DATA}
    seed, world = (record['run'].get(name) for name in ('seed', 'world_size'))
    weights = {name: _text(record['run'].get(name)) for name in ('load_from', 'load_from_sha256')}
    return {**found, 'seed': _text(seed), 'processes': _text(world), **weights}


def _flat_config(run: Run) -> dict[str, str]:
    if run.config_text is None:
        return {}
    values = values_of(run.config_text, repr(run.path))
    flat: dict[str, str] = {}
    _flatten('', {key: value for key, value in values.items() if key not in _LEFT_OUT}, flat)
    return {key: value for key, value in flat.items() if 'deeplake_' not in key}  # they stand with the data


def _flatten(key: str, node: Any, found: dict[str, str]) -> None:
    if isinstance(node, Mapping) and node:
        for name, child in node.items():
            _flatten(f'{key}.{name}' if key else str(name), child, found)
    elif isinstance(node, list | tuple) and any(isinstance(item, Mapping) for item in node):
        for place, child in enumerate(node):
            _flatten(f'{key}.{place}', child, found)
    else:
        found[key] = _text(node)


def _text(value: Any) -> str:
    return _ABSENT if value is None else ', '.join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _rows(columns: Sequence[Mapping[str, str]]) -> list[Row]:
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, *(column.get(name, _ABSENT) for column in columns)) for name in names]


def _differing(columns: Sequence[Mapping[str, str]]) -> list[Row]:
    return [row for row in _rows(columns) if len(set(row[1:])) > 1]
