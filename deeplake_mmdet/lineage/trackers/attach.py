"""Guarding the trackers among a visualizer's backends, and finding the sinks of those that are known."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.dist import is_main_process
from mmengine.visualization import LocalVisBackend

from deeplake_mmdet.lineage.trackers import mlflow_backend, wandb_backend
from deeplake_mmdet.lineage.trackers.guarded import PATIENCE, GuardedBackend
from deeplake_mmdet.lineage.trackers.sink import Sink


@dataclass(frozen=True)
class _Known:
    """A tracker that has a sink.

    Attributes:
        name: For messages.
        package: What it needs.
        sink: Module and class of its sink.
        changes: What stands in for methods of MMEngine's backend.
        in_thread: Whether its `experiment` is bound to a thread.
    """

    name: str
    package: str
    sink: tuple[str, str]
    changes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    in_thread: bool = False


_KNOWN = {
    'WandbVisBackend': _Known('W&B', 'wandb', ('wandb_sink', 'WandbSink'), wandb_backend.CHANGES),
    'MLflowVisBackend': _Known(
        'MLflow',
        'mlflow',
        ('mlflow_sink', 'MlflowSink'),
        mlflow_backend.CHANGES,
        in_thread=True,
    ),
    'TensorboardVisBackend': _Known('TensorBoard', 'tensorboard', ('tensorboard_sink', 'TensorboardSink')),
}


def guard_backends(
    visualizer: Any,
    *,
    strict: bool = False,
    work_dir: str | None = None,
    log_checkpoints: bool = False,
    patience: float | None = None,
) -> list[Sink]:
    """Put guards around the trackers of a visualizer, before anything is recorded; harmless when called again.

    Args:
        visualizer: An ``mmengine.visualization.Visualizer``. Its local backend stays as it is.
        strict: Whether what a tracker cannot record ends the run, see `GuardedBackend`.
        work_dir: Of the run; an embedded store of MLflow is made there. Defaults to the backend's own folder.
        log_checkpoints: Whether checkpoints are uploaded, see `Sink`.
        patience: How many seconds the end of the run waits for a tracker at most; defaults to 60, or ten times as many
            where checkpoints are uploaded.

    Returns:
        The sinks of W&B, MLflow and TensorBoard; none in other processes of a run than the first.
    """
    patience = patience or (10 * PATIENCE if log_checkpoints else PATIENCE)
    backends = visualizer._vis_backends
    for key, backend in backends.items():
        if isinstance(backend, GuardedBackend) and backend.closed:
            backend = backend.wrapped
            backend._env_initialized = False  # of the run that was closed; this one begins its own
        if not isinstance(backend, LocalVisBackend | GuardedBackend):
            backends[key] = _guarded(backend, strict, work_dir, log_checkpoints, patience)
    if not is_main_process():
        return []
    return [guard.sink for guard in backends.values() if isinstance(guard, GuardedBackend) and guard.sink is not None]


def _guarded(
    backend: Any, strict: bool, work_dir: str | None, log_checkpoints: bool, patience: float
) -> GuardedBackend:
    base, known = _known(backend)
    if known is None:
        return GuardedBackend(backend, strict=strict, patience=patience)
    if is_main_process():
        # Here, and not in the tracker's thread: a process that is forked in the middle of an import waits without end
        # for a module that it imports too.
        with contextlib.suppress(ImportError):
            importlib.import_module(known.package)
    if known.package == 'wandb':
        wandb_backend.prepare(backend, patience)
    elif known.package == 'mlflow':
        mlflow_backend.prepare(backend, work_dir or backend._save_dir)
    # What a subclass defines by itself stays.
    own = {name: change for name, change in known.changes.items() if _inherits(type(backend), base, name)}
    guard = GuardedBackend(
        backend, known.name, strict=strict, patience=patience, changes=own, in_thread=known.in_thread
    )
    module, name = known.sink
    sink = getattr(importlib.import_module(f'deeplake_mmdet.lineage.trackers.{module}'), name)
    guard.sink = sink(guard, log_checkpoints)
    return guard


def _known(backend: Any) -> tuple[type, _Known | None]:
    for base in type(backend).__mro__:
        if base.__name__ in _KNOWN:
            return base, _KNOWN[base.__name__]
    return object, None


def _inherits(kind: type, base: type, name: str) -> bool:
    return getattr(kind, name, None) is getattr(base, name, None)
