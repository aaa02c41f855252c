"""Keeping the record of a run: in its work dir, in every checkpoint, and in the trackers."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook

from deeplake_mmdet.config.redaction import scrubbed
from deeplake_mmdet.engine.run_datasets import run_datasets
from deeplake_mmdet.errors import LineageError
from deeplake_mmdet.lineage.environment import environment
from deeplake_mmdet.lineage.reading import checked
from deeplake_mmdet.lineage.record import (
    CONFIG,
    FILE,
    KEY,
    add_checkpoint,
    add_validation,
    file_digest,
    new_record,
    values_without_credentials,
)


class Lineage(Hook):
    """Begins the record when the loaders are built, and adds to it what the run gives.

    A training's record is ``<work_dir>/lineage.json`` and the same in the folder of its start; a test has the latter
    only, so that it does not replace the record of the training.

    Args:
        sinks: Where else the record goes; see `deeplake_mmdet.lineage.trackers`.
        given_model: Whether the model was built by the caller, and is in no config.
    """

    def __init__(self, sinks: Sequence[Any] = (), *, given_model: bool = False) -> None:
        self._sinks = sinks
        self._given_model = given_model
        self._record: dict[str, Any] = {}
        self._config = ''
        self._folders: tuple[str, ...] = ()
        self._saved = (0, 0)  # epoch and iteration of the checkpoint that is being written

    def before_run(self, runner: Any) -> None:
        """Begin the record."""
        if not is_main_process():
            return
        weights = None if runner.cfg.get('resume') else _absolute(runner.cfg.get('load_from'))
        run = {
            'id': uuid.uuid4().hex,
            'started': datetime.now(timezone.utc).isoformat(timespec='seconds'),
            'command': list(sys.argv),
            'seed': runner.seed,
            'world_size': get_world_size(),
            'work_dir': runner.work_dir,
            'given_model': self._given_model,
            'load_from': weights,
            'load_from_sha256': file_digest(weights) if weights and os.path.isfile(weights) else None,
            'continues': None,
        }
        datasets = [(key.split('_')[0], key, dataset) for key, dataset in run_datasets(runner)]
        self._record = scrubbed(new_record(run, datasets, runner.cfg, environment(runner.cfg.filename)))
        self._config = repr(scrubbed(values_without_credentials(runner.cfg)))
        trains = bool(self._record['data']['train'])
        self._folders = (runner.work_dir, runner.log_dir) if trains else (runner.log_dir,)
        self._write(runner)
        for sink in self._sinks:
            sink.start(self._copy())

    def after_load_checkpoint(self, runner: Any, checkpoint: Mapping[str, Any]) -> None:
        """Note which run is resumed, or whose weights are taken."""
        meta, resumes = checkpoint.get('meta') or {}, bool(runner.cfg.get('resume'))
        before = self._before(runner, meta.get(KEY)) if self._record else None
        if not self._record or not (before or resumes):
            return
        if before and resumes:
            self._record |= {part: before[part] for part in ('validations', 'metrics', 'checkpoints')}
            self._record['run'] |= {name: before['run'].get(name) for name in ('load_from', 'load_from_sha256')}
            file = str(runner._load_from or '')
            if os.path.isfile(file):  # which could not hold its own digest
                add_checkpoint(self._record, os.path.basename(file), file_digest(file), meta['epoch'], meta['iter'])
        self._record['run']['continues'] = {
            'run': before['run']['id'] if before else None,
            'how': 'resumed' if resumes else 'weights',
            'iteration': meta.get('iter'),
        }

    def _before(self, runner: Any, text: Any) -> dict[str, Any] | None:
        """The record in a checkpoint; one that cannot be read costs a warning."""
        if not isinstance(text, str):
            return None
        try:
            return checked('The checkpoint', json.loads(text))
        except (ValueError, LineageError) as error:
            runner.logger.warning(f'The record in the checkpoint is left out: {error}')
            return None

    def before_train(self, runner: Any) -> None:
        """Write what the checkpoint said."""
        self._write(runner)

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Add the metrics of a validation."""
        self._note(runner, metrics)

    def after_test_epoch(self, runner: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Add the metrics of a test, which MMEngine's ``LoggerHook`` sends to no tracker."""
        self._note(runner, metrics)
        for sink in self._sinks if self._record else ():
            sink.metrics(self._record['metrics'], runner.iter)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Put the record into the checkpoint."""
        if self._record:
            meta = checkpoint['meta']
            meta[KEY] = json.dumps(self._record)
            self._saved = (meta['epoch'], meta['iter'])

    def after_save_checkpoint(self, runner: Any, path: str) -> None:
        """Note a checkpoint that was written, with the SHA-256 of its file.

        Args:
            runner: The runner.
            path: The file.
        """
        if not self._record or not os.path.isfile(path):
            return
        name = os.path.basename(path)
        add_checkpoint(self._record, name, file_digest(path), *self._saved)
        self._write(runner)
        for sink in self._sinks:
            sink.checkpoint(path, ['best'] if name.startswith('best_') else ['latest'], self._copy())

    def after_train(self, runner: Any) -> None:
        """End the record of a training."""
        self._end(runner)

    def after_val(self, runner: Any) -> None:
        """End the record of a validation by itself."""
        if not self._record.get('data', {}).get('train'):
            self._end(runner)

    def after_test(self, runner: Any) -> None:
        """End the record of a test."""
        self._end(runner)

    def _end(self, runner: Any) -> None:
        """Tell the trackers, which the ``LoggerHook`` closes when the run ends."""
        if not self._record:
            return
        self._write(runner)
        for sink in self._sinks:
            sink.finish(self._copy())

    def _note(self, runner: Any, metrics: Mapping[str, Any] | None) -> None:
        if self._record and metrics:
            add_validation(self._record, runner.epoch, runner.iter, metrics)
            self._write(runner)

    def _copy(self) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(self._record))
        return copy

    def _write(self, runner: Any) -> None:
        """Replace the files as a whole; a full disk costs a warning."""
        if not self._record:
            return
        text = json.dumps({**self._record, CONFIG: self._config}, indent=1)
        for folder in self._folders:
            file = os.path.join(folder, FILE)
            try:
                os.makedirs(folder, exist_ok=True)
                with open(f'{file}.partial', 'w', encoding='utf-8') as partial:
                    partial.write(text)
                os.replace(f'{file}.partial', file)
            except OSError as error:
                runner.logger.warning(f'The record of this run cannot be written to {file!r}: {error.strerror}.')


def _absolute(address: str | None) -> str | None:
    """A file that is there by its whole path, so that it can be found from anywhere; else as it is."""
    return os.path.abspath(address) if address and os.path.isfile(address) else address
