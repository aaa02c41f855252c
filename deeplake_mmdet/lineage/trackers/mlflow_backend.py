"""MMEngine's backend of MLflow, with a database below the work dir as its store, and without its pitfalls.

MMEngine chooses a store of files, which MLflow deprecates, even where ``MLFLOW_TRACKING_URI`` names a server. It passes
names of metrics and images on that MLflow refuses, and uploads all of the work dir, what trackers keep there included.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deeplake_mmdet.lineage.trackers.names import metric_name

DATABASE, ARTIFACTS, FILES = 'mlflow.db', 'mlartifacts', 'mlruns'
_EXPORTED = ('MLFLOW_TRACKING_URI', 'MLFLOW_EXPERIMENT_ID')  # by MLflow; the next run of this process is another
_OF_TRACKERS = {ARTIFACTS, FILES, 'wandb'}
_IMAGES = ('.png', '.jpg', '.jpeg', '.webp')


def prepare(backend: Any, work_dir: str) -> None:
    """Before the run begins: choose where it is kept, unless the config does.

    Args:
        backend: An ``MLflowVisBackend``; changed in place.
        work_dir: Holds the embedded store.
    """
    if backend._tracking_uri is None:
        backend._tracking_uri = os.environ.get('MLFLOW_TRACKING_URI') or None
    if backend._exp_name is None:
        backend._exp_name = os.environ.get('MLFLOW_EXPERIMENT_NAME') or None
    if backend._tracking_uri is not None:
        return
    folder = Path(work_dir).absolute()
    if not all(map(importlib.util.find_spec, ('sqlalchemy', 'alembic'))):
        os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')  # newer versions refuse one otherwise
        backend._tracking_uri = (folder / FILES).as_uri()
        return
    backend._tracking_uri = f'sqlite:///{folder / DATABASE}'
    # The experiment that MLflow makes by itself keeps its artifacts in the folder that the program was started in.
    backend._exp_name = backend._exp_name or folder.name or 'runs'
    backend._artifact_location = backend._artifact_location or (folder / ARTIFACTS).as_uri()


def init_env(backend: Any) -> None:
    """As of the backend. That says that a server must run where none does, and takes log handlers for files."""
    import mlflow

    backend._mlflow = mlflow
    before = {name: os.environ.get(name) for name in _EXPORTED}
    mlflow.set_tracking_uri(backend._tracking_uri)
    name = backend._exp_name or 'Default'
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=backend._artifact_location)
    mlflow.set_experiment(name)
    for variable, value in before.items():
        if value is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = value
    mlflow.start_run(run_name=backend._run_name)
    mlflow.set_tags(backend._tags or {})
    mlflow.log_params(backend._params or {})


def add_image(backend: Any, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
    """As of the backend. MLflow takes the name for that of a file: its ending is the format, and it has no step."""
    plain = name if name.lower().endswith(_IMAGES) else f'{metric_name(name)}_{step}.png'
    backend.experiment.log_image(image, plain)


def add_scalar(backend: Any, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
    """As of the backend, by a name that MLflow takes."""
    backend.experiment.log_metric(metric_name(name), value, step)


def add_scalars(
    backend: Any, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
) -> None:
    """As of the backend, by names that MLflow takes."""
    backend.experiment.log_metrics({metric_name(name): value for name, value in scalar_dict.items()}, step)


def close(backend: Any) -> None:
    """As of the backend; what trackers keep in the work dir is not uploaded."""
    from mmengine.utils import scandir

    config = getattr(backend, 'cfg', None)  # missing where it could not be recorded
    root = '' if config is None else str(config.get('work_dir') or '')
    for name in list(scandir(root, backend._artifact_suffix, True)) if root else ():
        relative = Path(name)
        if not _OF_TRACKERS & set(relative.parts):
            folder = None if relative.parent == Path() else relative.parent.as_posix()
            backend.experiment.log_artifact(os.path.join(root, name), folder)
    backend.experiment.end_run()


def abandon(backend: Any) -> None:
    """End the run as failed, or as killed where no error ended the program."""
    backend.experiment.end_run('FAILED' if getattr(sys, 'last_value', None) is not None else 'KILLED')


CHANGES: dict[str, Callable[..., Any]] = {
    '_init_env': init_env,
    'add_image': add_image,
    'add_scalar': add_scalar,
    'add_scalars': add_scalars,
    'close': close,
    'abandon': abandon,
}
