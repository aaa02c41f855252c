"""TensorBoard: the record as a table, hyperparameters beside the run's scalars, images."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from deeplake_mmdet.lineage.trackers.drawn import drawn, image_name
from deeplake_mmdet.lineage.trackers.names import metric_name
from deeplake_mmdet.lineage.trackers.sink import Sink, identity, inputs


class TensorboardSink(Sink):
    """A log of TensorBoard; `experiment` is a ``SummaryWriter``."""

    def _start(self, experiment: Any, record: dict[str, Any]) -> None:
        experiment.add_text('lineage', _table(_flat(record)))
        # Without a declared experiment, TensorBoard's HParams page takes all scalars of the log for metrics.
        _, begin, _ = _hparams(_hyperparameters(record))
        experiment._get_file_writer().add_summary(begin)
        experiment.flush()

    def _metrics(self, experiment: Any, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            experiment.add_scalar(metric_name(name), value, step)

    def _checkpoint(self, experiment: Any, path: str, aliases: list[str], facts: dict[str, Any]) -> None:
        told = {'aliases': ', '.join(aliases), **{key: facts[key] for key in ('file', 'bytes', 'sha256')}}
        experiment.add_text('checkpoints', _table(told.items()), int(facts.get('iteration') or 0))

    def _predictions(self, experiment: Any, rows: list[dict[str, Any]], step: int) -> None:
        for row in rows:
            experiment.add_image(f'predictions/{image_name(row)}', drawn(row), step, dataformats='HWC')

    def _created(self, experiment: Any, kind: str, name: str, revision: dict[str, Any]) -> None:
        told = {'kind': kind, 'name': name, **identity(revision)}
        experiment.add_text(f'created/{metric_name(name)}', _table(told.items()))

    def _finish(self, experiment: Any, record: dict[str, Any]) -> None:
        experiment.add_text('lineage/final', _table(_flat(record)))
        _, _, end = _hparams({})
        experiment._get_file_writer().add_summary(end)
        experiment.flush()


def _hparams(values: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Summaries that declare an experiment, begin a session with these values, and end it."""
    from torch.utils.tensorboard.summary import hparams

    return hparams(dict(values), {})


def _hyperparameters(record: Mapping[str, Any]) -> dict[str, str | float]:
    """By what runs are compared: their data, seed, world size and config."""
    run = record['run']
    found: dict[str, str | float] = {'config': str(record.get('config', {}).get('digest') or '')[:12]}
    found |= {key: run[key] for key in ('seed', 'world_size') if isinstance(run.get(key), int | float)}
    for entry in inputs(record):
        key = f'{entry["split"]}.{entry.get("key") or ""}'.rstrip('.')
        found |= {f'{key}.{name}': str(entry.get(name) or '') for name in ('uri', 'commit_id', 'view_id', 'query')}
    return found


def _flat(value: Any, key: str = '') -> Iterable[tuple[str, Any]]:
    """All values of a record by their dotted keys; short lists as one value."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(item, f'{key}.{name}'.lstrip('.'))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            yield from _flat(item, f'{key}.{number}')
    else:
        yield key, value


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    """Markdown in which no text of a dataset is anything but text."""
    lines = [f'| {_cell(key)} | {_cell(value)} |' for key, value in rows]
    return '\n'.join(['| | |', '|---|---|', *lines])


def _cell(value: Any) -> str:
    text = ', '.join(map(str, value)) if isinstance(value, list) else '' if value is None else str(value)
    return html.escape(' '.join(text.split())).translate({ord(char): f'&#{ord(char)};' for char in '|`*_[]\\~'})
