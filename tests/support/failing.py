"""A transform and hooks with which a run goes wrong in a chosen place, by name in a config of any process."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deeplake
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import IterBasedTrainLoop


class Failure(Exception):
    """What goes wrong by an exception."""


def fail(how: str) -> None:
    """Go wrong: by the name of a signal, ``'exit'``, ``'hang'``, ``'deaf'``, ``'memory'`` or ``'exception'``."""
    if how == 'exit':
        os._exit(3)
    if how == 'memory':
        raise MemoryError('Unable to allocate 9.9 TiB')
    if how == 'exception':
        raise Failure('of this rank alone')
    if how in ('hang', 'deaf'):  # the second keeps all other threads of the process from running, too
        (time.sleep if how == 'hang' else ctypes.PyDLL(None).sleep)(1000)
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(0.5)


@LOOPS.register_module(force=True)
class StockLoop(IterBasedTrainLoop):
    """MMEngine's own loop under another name, in whose place none of this package is put."""


@TRANSFORMS.register_module(force=True)
class FailsAt(BaseTransform):
    """Goes wrong at one image.

    Args:
        how: See `fail`.
        img_id: Of the image.
    """

    def __init__(self, how: str, img_id: int) -> None:
        self._how, self._img_id = how, img_id

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if results['img_id'] == self._img_id:
            fail(self._how)
        return results


@HOOKS.register_module(force=True)
class FailsOn(Hook):
    """Goes wrong on one rank, after an iteration.

    Args:
        rank: Of the rank.
        how: See `fail`.
        iteration: After how many iterations.
    """

    def __init__(self, rank: int, how: str = 'exception', iteration: int = 2) -> None:
        self._rank, self._how, self._iteration = rank, how, iteration

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if get_rank() == self._rank and runner.iter + 1 == self._iteration:
            Path(runner.work_dir, 'failed').touch()
            fail(self._how)


def _write_on(path: str) -> None:
    dataset = deeplake.open(path)
    dataset['boxes'][1] = dataset['boxes'][1][::-1] + 1
    dataset['images'][2] = dataset['images'][3]
    dataset.delete(0)
    dataset.commit('by somebody else')


def _delete_view(path: str) -> None:
    deeplake.open(path).tags['some'].delete()


def _save_view_anew(path: str) -> None:
    _delete_view(path)
    deeplake.open(path).query('select * where ROW_NUMBER() > 2').tag('some')


def _delete_files(path: str) -> None:
    for file in Path(path).rglob('*'):
        if file.is_file() and not file.relative_to(path).parts[0].startswith('_deeplake'):
            file.unlink()


_CHANGES: dict[str, Callable[[str], None]] = {
    'rows': _write_on,
    'view': _delete_view,
    'another view': _save_view_anew,
    'files': _delete_files,
    'folder': shutil.rmtree,
}


@HOOKS.register_module(force=True)
class SomebodyElse(Hook):
    """Changes the dataset after the first epoch.

    Args:
        what: What is changed or taken away, of `_CHANGES`.
        path: The dataset.
    """

    def __init__(self, what: str, path: str) -> None:
        self._what, self._path = what, path

    def after_train_epoch(self, runner: Any) -> None:
        if runner.epoch == 0:
            _CHANGES[self._what](self._path)
