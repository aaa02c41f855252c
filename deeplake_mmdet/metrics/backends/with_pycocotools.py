"""pycocotools: the reference, slow in Python's loops, always installed.

Its functions print; what this thread writes to standard output meanwhile is dropped, and only that.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

import numpy as np

from deeplake_mmdet.metrics.backends.backend import Backend, Settings
from deeplake_mmdet.metrics.backends.coco_dicts import dataset_dict
from deeplake_mmdet.metrics.backends.columns import Columns
from deeplake_mmdet.metrics.ground_truth import GroundTruth


class Pycocotools(Backend):
    """The engine that defines the numbers."""

    name = 'pycocotools'
    module = 'pycocotools'

    def _build(self, truth: GroundTruth, objects: Columns) -> Any:
        return truth, _api(truth, objects)

    def _run(self, built: Any, found: Columns, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
        from pycocotools.cocoeval import COCOeval

        truth, known = built
        evaluation = COCOeval(known, _api(truth, found), settings.iou_type)
        evaluation.params.iouThrs = settings.iou_thrs
        evaluation.params.maxDets = list(settings.max_dets)
        evaluation.params.useCats = int(settings.use_cats)
        with _silence():
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation.eval['precision'], evaluation.eval['recall']


def _api(truth: GroundTruth, columns: Columns) -> Any:
    """Built by hand: `loadRes` cannot take an empty list, and takes the areas of boxes where masks have some."""
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = dataset_dict(truth, columns)
    with _silence():
        coco.createIndex()
    return coco


class _Muted(io.TextIOBase):
    """A stream to which one thread writes in vain."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def _silence() -> Iterator[None]:
    with redirect_stdout(_Muted(sys.stdout)):
        yield
