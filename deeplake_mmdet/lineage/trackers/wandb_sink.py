"""Weights & Biases: run config, artifacts that join the lineage graph, tables of predictions.

One dataset (or view, or query) is one artifact, and a revision of it one version. The version holds a small file that
names the revision and a reference to the dataset, not its data. So whoever made a revision and whoever trains on it
log the same content under the same name, and W&B takes both for one node of its graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deeplake_mmdet.lineage.trackers.names import artifact_name
from deeplake_mmdet.lineage.trackers.sink import Sink, identity, inputs


class WandbSink(Sink):
    """A run of W&B; `experiment` is the module ``wandb``."""

    def _start(self, experiment: Any, record: dict[str, Any]) -> None:
        datasets = list(inputs(record))
        changes = {'input_datasets': datasets, 'lineage': record}
        experiment.run.config.update(changes, allow_val_change=True)
        for revision in {str(identity(found)): found for found in datasets}.values():
            _use(experiment.run, dataset_artifact(experiment, revision))

    def _metrics(self, experiment: Any, values: dict[str, float], step: int) -> None:
        experiment.run.log(values)

    def _checkpoint(self, experiment: Any, path: str, aliases: list[str], facts: dict[str, Any]) -> None:
        artifact = experiment.Artifact(artifact_name(f'model-{experiment.run.id}'), 'model', metadata=facts)
        with artifact.new_file('checkpoint.json', encoding='utf-8') as file:
            json.dump({key: facts[key] for key in ('file', 'bytes', 'sha256')}, file, sort_keys=True)
        if self._log_checkpoints:
            artifact.add_file(path, Path(path).name)
        else:
            _refer(artifact, Path(path).name, Path(facts['file']).as_uri(), facts['sha256'])
        experiment.run.log_artifact(artifact, aliases=[artifact_name(alias) for alias in aliases])

    def _predictions(self, experiment: Any, rows: list[dict[str, Any]], step: int) -> None:
        table = experiment.Table(columns=['row', 'img_id', 'image', 'annotated', 'detected', 'best score', 'step'])
        for row in rows:
            scores = [float(score) for score in row['scores']]
            counts = len(row['gt_boxes']), len(row['boxes']), max(scores, default=0.0)
            table.add_data(row['row'], str(row['img_id']), _image(experiment, row), *counts, step)
        experiment.run.log({'predictions': table})

    def _created(self, experiment: Any, kind: str, name: str, revision: dict[str, Any]) -> None:
        entry = {**identity(revision), 'kind': kind, 'name': name}
        before = list(experiment.run.config.get('output_datasets') or ())
        experiment.run.config.update({'output_datasets': [*before, entry]}, allow_val_change=True)
        artifact = dataset_artifact(experiment, revision, {'kind': kind, 'name': name})
        experiment.run.log_artifact(artifact, aliases=[artifact_name(name)])

    def _finish(self, experiment: Any, record: dict[str, Any]) -> None:
        experiment.run.config.update({'lineage': record}, allow_val_change=True)
        experiment.run.summary.update({**record.get('metrics', {}), 'checkpoints': record.get('checkpoints', [])})


def dataset_artifact(wandb: Any, revision: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Any:
    """The artifact of a revision; none of its data is copied, and equal revisions give equal digests.

    Args:
        wandb: The module.
        revision: See `identity`.
        metadata: More to show beside it.
    """
    named = identity(revision)
    readable = '-'.join(filter(None, (PurePosixPath(named['uri']).name, named['view_id'])))
    parts = (named[key] for key in ('uri', 'dataset_id', 'branch', 'view_id', 'query'))
    artifact = wandb.Artifact(artifact_name(readable, *parts), 'dataset', metadata={**revision, **(metadata or {})})
    with artifact.new_file('revision.json', encoding='utf-8') as file:
        json.dump(named, file, sort_keys=True)
    uri = named['uri'] if '://' in named['uri'] else Path(named['uri']).absolute().as_uri()
    _refer(artifact, 'dataset', uri, uri)
    return artifact


def _refer(artifact: Any, name: str, uri: str, digest: str) -> None:
    """Add a reference as it stands: ``add_reference`` asks the storage, or lists every file of a folder."""
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry

    artifact.manifest.add_entry(ArtifactManifestEntry(path=name, ref=uri, digest=digest))


def _use(run: Any, artifact: Any) -> None:
    """Make an artifact an input of the run.

    ``use_artifact`` refuses to work offline, and waits for the server, while losses queue up behind it that W&B would
    keep on the disk. So what it does inside is called.
    """
    run._log_artifact(artifact, aliases=[], is_user_created=True, use_after_commit=True)


def _image(wandb: Any, row: Mapping[str, Any]) -> Any:
    names = dict(enumerate(row['classes']))
    drawn = {'annotated': _boxes(row['gt_boxes'], row['gt_labels'], None, names)}
    drawn['detected'] = _boxes(row['boxes'], row['labels'], row['scores'], names)
    return wandb.Image(row['image'], boxes=drawn)


def _boxes(boxes: Any, labels: Any, scores: Any, names: Mapping[int, str]) -> dict[str, Any]:
    data = []
    for i, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        corners = dict(zip(('minX', 'minY', 'maxX', 'maxY'), map(float, box), strict=True))
        entry = {'position': corners, 'domain': 'pixel', 'class_id': int(label), 'box_caption': names[int(label)]}
        if scores is not None:
            score = float(scores[i])
            entry |= {'scores': {'score': score}, 'box_caption': f'{names[int(label)]} {score:.2f}'}
        data.append(entry)
    return {'box_data': data, 'class_labels': dict(names)}
