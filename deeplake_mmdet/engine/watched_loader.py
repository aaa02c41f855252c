"""Dataloaders of a run: their workers stop when told to, note what they read, and are not waited for without end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.datasets.being_read import NotingWorker, Readings
from deeplake_mmdet.engine.preemption import ObedientWorker

TIMEOUT_S = 600  # a worker that gave no batch for so long is stuck


def with_timeout(loader: Any) -> Any:
    """A dataloader's dict, in which the wait for a batch of its workers has an end unless it says itself.

    Args:
        loader: What MMEngine builds a dataloader from, or a dataloader.
    """
    if not isinstance(loader, Mapping):
        return loader
    if not loader.get('num_workers'):
        return {**loader, 'timeout': 0}  # PyTorch refuses another one
    return loader if loader.get('timeout') is not None else {**loader, 'timeout': TIMEOUT_S}


def watched(loader: Any) -> Any:
    """The same dataloader; its workers, which have not begun, are watched.

    Args:
        loader: A ``torch.utils.data.DataLoader``.
    """
    if loader.num_workers and not isinstance(loader.worker_init_fn, ObedientWorker):
        loader.worker_init_fn = ObedientWorker(NotingWorker(Readings(loader.num_workers), loader.worker_init_fn))
    return loader
