"""Data that are made while a program has a run of W&B or MLflow open are told to it as that run's output.

So the lineage graph joins the import of a dataset with the trainings on it. A program that has no such run open is not
made to load a tracker.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source.handle import SourceHandle

# Package to whether it has a run open, and the module and class of its sink.
_TRACKERS: Mapping[str, tuple[Callable[[Any], bool], str, str]] = {
    'wandb': (lambda wandb: getattr(wandb, 'run', None) is not None, 'wandb_sink', 'WandbSink'),
    'mlflow': (lambda mlflow: mlflow.active_run() is not None, 'mlflow_sink', 'MlflowSink'),
}


def tell_created(kind: str, name: str, dataset: Mapping[str, Any]) -> None:
    """Tell the runs that are open in this program of data that were made; a tracker that fails costs a warning.

    Args:
        kind: What was done, such as ``'converted'``.
        name: How people call the data.
        dataset: The ``deeplake_*`` keys of a dataset that reads them.
    """
    for package, (is_open, module, sink) in _TRACKERS.items():
        tracker = sys.modules.get(package)
        if tracker is None or not is_open(tracker):
            continue
        revision = SourceHandle.resolve(DatasetSpec.from_config(dataset)).revision.to_strings()
        kind_of_sink = getattr(importlib.import_module(f'deeplake_mmdet.lineage.trackers.{module}'), sink)
        kind_of_sink(_AtOnce(package, tracker)).created(kind, name, revision)


def tell_dataset(kind: str, path: str, views: Iterable[str], credentials: Any = None) -> None:
    """`tell_created` of a dataset and of each of its saved views: a training on a view names the view.

    Args:
        kind: What was done, such as ``'converted'``.
        path: The dataset.
        views: Names of its views.
        credentials: As ``deeplake_credentials``.
    """
    dataset = {'deeplake_path': path, 'deeplake_credentials': credentials}
    name = path.rstrip('/').rpartition('/')[2]
    tell_created(kind, name, dataset)
    for view in views:
        tell_created('view', f'{name}-{view}', {**dataset, 'deeplake_view_id': view})


class _AtOnce:
    """Has a sink's work done at once, by the run that is open.

    Args:
        tracker: Name of the package.
        experiment: What the sink works with.
    """

    def __init__(self, tracker: str, experiment: Any) -> None:
        self.tracker = tracker
        self._backend = SimpleNamespace(experiment=experiment)

    def submit(self, kind: str, function: Callable[[Any], Any]) -> None:
        try:
            function(self._backend)
        except Exception as error:  # whatever the tracker's library raises
            logging.getLogger(__name__).warning('%s was not told of %s: %s', self.tracker, kind, error)
