"""MLflow: dataset inputs, params, tags, and the record as an artifact."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.lineage.trackers.drawn import drawn, image_name
from deeplake_mmdet.lineage.trackers.names import artifact_name, metric_name
from deeplake_mmdet.lineage.trackers.sink import Sink, identity, inputs

_DIGEST, _NAME, _TEXT = 36, 500, 500  # most characters that MLflow's stores take of each
_PARAMS = ('uri', 'branch', 'commit_id', 'view_id', 'query', 'rows', 'digest')


class MlflowSink(Sink):
    """A run of MLflow; `experiment` is the module ``mlflow``."""

    def _start(self, experiment: Any, record: dict[str, Any]) -> None:
        datasets = list(inputs(record))
        run_id = _run_id(experiment)
        experiment.MlflowClient().log_inputs(run_id, [_input(found) for found in datasets])
        experiment.set_tags(_tags(record))
        experiment.log_dict(record, 'lineage.json')
        experiment.log_params(_params(datasets, record))  # last: a run that is continued refuses other values

    def _metrics(self, experiment: Any, values: dict[str, float], step: int) -> None:
        experiment.log_metrics({metric_name(name): value for name, value in values.items()}, step)

    def _checkpoint(self, experiment: Any, path: str, aliases: list[str], facts: dict[str, Any]) -> None:
        name = artifact_name(os.path.basename(path))
        experiment.log_dict(facts, f'checkpoints/{name}.json')
        if self._log_checkpoints:
            experiment.log_artifact(path, 'checkpoints')
        told = f'{facts["file"]} sha256:{facts["sha256"]}'
        experiment.set_tags({f'checkpoint.{artifact_name(alias)}': told for alias in aliases})

    def _predictions(self, experiment: Any, rows: list[dict[str, Any]], step: int) -> None:
        for row in rows:
            experiment.log_image(drawn(row), f'predictions/step_{step}/{image_name(row)}.png')

    def _created(self, experiment: Any, kind: str, name: str, revision: dict[str, Any]) -> None:
        told = {'kind': kind, 'name': name, **identity(revision)}
        experiment.log_dict(told, f'created/{artifact_name(name)}.json')
        experiment.set_tag(f'created.{artifact_name(name)}', json.dumps(told)[:_TEXT])

    def _finish(self, experiment: Any, record: dict[str, Any]) -> None:
        experiment.set_tags(_tags(record))
        experiment.log_dict(record, 'lineage.json')


def _run_id(mlflow: Any) -> str:
    """The id of this thread's run, which is begun if there is none."""
    return (mlflow.active_run() or mlflow.start_run()).info.run_id


def _input(found: Mapping[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    named = identity(found)
    dataset = Dataset(
        name=(named['uri'] or 'dataset')[-_NAME:],
        digest=(str(found.get('digest') or '') or artifact_name('', *named.values()))[:_DIGEST],
        source_type='deeplake',
        source=json.dumps(named),
        profile=json.dumps({'num_rows': found.get('rows')}),
    )
    return DatasetInput(dataset, [InputTag('mlflow.data.context', found['split'])])


def _params(datasets: list[dict[str, Any]], record: Mapping[str, Any]) -> dict[str, Any]:
    """Short facts, by which runs are sorted and compared."""
    counts: dict[str, int] = {}
    params = {f'lineage.{key}': record['run'].get(key) for key in ('seed', 'world_size')}
    for found in datasets:
        split = found['split']
        counts[split] = counts.get(split, 0) + 1
        place = split if counts[split] == 1 else f'{split}.{counts[split]}'
        params |= {f'lineage.{place}.{key}': str(found.get(key) or '')[:_TEXT] for key in _PARAMS}
    return params


def _tags(record: Mapping[str, Any]) -> dict[str, str]:
    code, run = record.get('code', {}), record['run']
    tags = {
        'run_id': run.get('id'),
        'config_digest': record.get('config', {}).get('digest'),
        'code_commit': code.get('commit'),
        'code_dirty': code.get('dirty'),
        'metrics': json.dumps(record.get('metrics', {}))[:_TEXT],
        'checkpoints': json.dumps(record.get('checkpoints', []))[:_TEXT],
    }
    return {f'lineage.{key}': str(value) for key, value in tags.items() if value not in (None, '{}', '[]')}
