"""What a tracker is told of a run's data, models and predictions: one small interface, one module a tracker.

A sink only asks: its guard has the work done in the tracker's thread, and a failure is a warning there. Every text
passes the redaction first, and what the caller may change is copied.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deeplake_mmdet.config.redaction import scrubbed
from deeplake_mmdet.lineage.record import file_digest
from deeplake_mmdet.lineage.trackers.copied import copied
from deeplake_mmdet.lineage.trackers.guarded import GuardedBackend

MOST_IMAGES = 32  # of one validation
_IDENTITY = ('uri', 'dataset_id', 'branch', 'commit_id', 'view_id', 'query')


class Sink(ABC):
    """One tracker of a run.

    Args:
        guard: The backend that reaches it.
        log_checkpoints: Whether checkpoints are uploaded. If not, the tracker gets their path, digest and metadata:
            with the optimizer's state they are several times the size of the model, and MMEngine's own backends upload
            none.
    """

    def __init__(self, guard: GuardedBackend, log_checkpoints: bool = False) -> None:
        self._guard, self._log_checkpoints = guard, log_checkpoints

    @property
    def tracker(self) -> str:
        """The tracker's name."""
        return self._guard.tracker

    def start(self, record: Mapping[str, Any]) -> None:
        """Tell what the run reads; to be called once its dataloaders are built.

        Args:
            record: The record of the run, see `deeplake_mmdet.lineage.record`.
        """
        self._send('the lineage', self._start, scrubbed(dict(record)))

    def metrics(self, values: Mapping[str, Any], step: int) -> None:
        """Tell numbers that MMEngine's ``LoggerHook`` does not send: it does those of training and validation.

        Args:
            values: Name to number; what is no number is left out.
            step: Epoch or iteration.
        """
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        self._send('metrics', self._metrics, numbers, step)

    def checkpoint(self, path: str | os.PathLike[str], aliases: Sequence[str], record: Mapping[str, Any]) -> None:
        """Tell of a checkpoint that was written.

        Args:
            path: The file.
            aliases: Such as ``['latest']`` or ``['latest', 'best']``.
            record: The record of the run. Where its ``checkpoints`` name the file, its digest is taken from there.
        """
        path = os.path.abspath(path)
        known = _known_facts(path, scrubbed(dict(record)))

        def tell(backend: Any) -> None:
            facts = {**known, 'sha256': known.get('sha256') or file_digest(path)}
            self._checkpoint(backend.experiment, path, list(aliases), facts)

        self._guard.submit('checkpoints', tell)

    def predictions(self, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Show images with what is annotated and what was detected; of many, the first 32.

        Args:
            rows: Dicts of ``image`` (uint8 (H, W, 3), RGB), ``img_id``, ``row``, ``gt_boxes`` and ``boxes`` (float
                (N, 4), xyxy in pixels of the image), ``gt_labels`` and ``labels`` (int (N,)), ``scores`` (float (N,))
                and ``classes`` (their names).
            step: Epoch or iteration.
        """
        self._send('predictions', self._predictions, [copied(dict(row)) for row in rows[:MOST_IMAGES]], step)

    def created(self, kind: str, name: str, revision: Mapping[str, Any]) -> None:
        """Tell of data that were made: a converted dataset, a saved view, a write-back.

        Args:
            kind: What was done, such as ``'converted'``.
            name: How people call it.
            revision: What a run that reads it will record: ``uri``, ``dataset_id``, ``branch``, ``commit_id``,
                ``view_id``, ``query``.
        """
        self._send('created data', self._created, kind, name, scrubbed(dict(revision)))

    def finish(self, record: Mapping[str, Any]) -> None:
        """Tell the final record, with metrics and checkpoints; before the visualizer is closed."""
        self._send('the final record', self._finish, scrubbed(dict(record)))

    def _send(self, kind: str, function: Any, *args: Any) -> None:
        self._guard.submit(kind, lambda backend: function(backend.experiment, *args))

    @abstractmethod
    def _start(self, experiment: Any, record: dict[str, Any]) -> None: ...

    @abstractmethod
    def _metrics(self, experiment: Any, values: dict[str, float], step: int) -> None: ...

    @abstractmethod
    def _checkpoint(self, experiment: Any, path: str, aliases: list[str], facts: dict[str, Any]) -> None: ...

    @abstractmethod
    def _predictions(self, experiment: Any, rows: list[dict[str, Any]], step: int) -> None: ...

    @abstractmethod
    def _created(self, experiment: Any, kind: str, name: str, revision: dict[str, Any]) -> None: ...

    @abstractmethod
    def _finish(self, experiment: Any, record: dict[str, Any]) -> None: ...


def inputs(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The datasets of a record, each with its ``split``, and without its classes and columns."""
    for split, entries in record['data'].items():
        for entry in entries:
            facts = {key: entry.get(key) for key in (*_IDENTITY, 'rows', 'digest', 'format', 'key') if key in entry}
            yield {**facts, 'split': split}


def identity(revision: Mapping[str, Any]) -> dict[str, str]:
    """What names one revision of a dataset, and nothing else: the same for who made it and for who reads it."""
    return {key: str(revision.get(key) or '') for key in _IDENTITY}


def _known_facts(path: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """What can be told of a checkpoint without reading it: it may be deleted before a slow tracker is told."""
    name = os.path.basename(path)
    noted = [entry for entry in record.get('checkpoints', ()) if os.path.basename(str(entry.get('file'))) == name]
    return {
        **(noted[-1] if noted else {}),
        'file': path,
        'bytes': os.path.getsize(path) if os.path.isfile(path) else None,
        'data': list(inputs(record)),
        'config': dict(record.get('config', {})),
        'metrics': dict(record.get('metrics', {})),
    }
