"""Which engine evaluates: the one that was asked for, or the fastest that proves itself on this run's data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from mmengine.logging import print_log

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.backends.backend import Backend, Settings
from deeplake_mmdet.metrics.backends.parity import disagreement
from deeplake_mmdet.metrics.backends.with_faster_coco_eval import FasterCocoEval
from deeplake_mmdet.metrics.backends.with_hotcoco import Hotcoco
from deeplake_mmdet.metrics.backends.with_pycocotools import Pycocotools
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.options import check_choices

AUTO = 'auto'
BACKENDS: dict[str, type[Backend]] = {kind.name: kind for kind in (Hotcoco, FasterCocoEval, Pycocotools)}


def check_backend(name: str) -> None:
    """Refuse a name that `choose_backend` would refuse.

    Raises:
        ConfigError: The name is unknown, or the engine is not installed or cannot be imported.
    """
    owner = 'DeepLakeCocoMetric(backend=)'
    check_choices(owner, [name], (AUTO, *BACKENDS))
    if name == AUTO:
        return
    if not _installed(BACKENDS[name]):
        raise ConfigError(
            f'{owner} expected an installed engine, but got {name!r}, which is not installed. '
            f"Run 'pip install {name}', or set {AUTO!r}."
        )
    try:
        import_module(BACKENDS[name].module)
    except Exception as error:
        raise ConfigError(
            f'{owner} expected a working engine, but importing {name!r} gives {type(error).__name__}: {error}. '
            f"Run 'pip install --force-reinstall --no-deps {name}', or set {AUTO!r}."
        ) from error


def choose_backend(
    name: str, truth: GroundTruth, detections: Detections, settings: Sequence[Settings]
) -> tuple[Backend, str]:
    """The engine of a run.

    Args:
        name: ``'auto'``, ``'hotcoco'``, ``'faster-coco-eval'`` or ``'pycocotools'``.
        truth: The annotations of the run.
        detections: Those of the same images.
        settings: Everything that will be evaluated.

    Returns:
        The engine, and a sentence for the log.

    Raises:
        ConfigError: The name is unknown, or the engine is not installed or cannot be imported.
    """
    check_backend(name)
    if name != AUTO:
        backend = BACKENDS[name]()
        return backend, f'COCO evaluation by {backend.version}, as configured'
    reference = Pycocotools()
    for kind in BACKENDS.values():
        if kind is Pycocotools or not _installed(kind):
            continue
        backend = kind()
        fault = disagreement(backend, reference, truth, detections, settings)
        if fault is None:
            return backend, (
                f'COCO evaluation by {backend.version}, which equals {reference.version} on images of this run'
            )
        print_log(
            f'{backend.version} is not used for the COCO evaluation: {fault}', logger='current', level=logging.WARNING
        )
    return reference, f"COCO evaluation by {reference.version}; 'pip install {Hotcoco.name}' makes it many times faster"


def _installed(kind: type[Backend]) -> bool:
    return find_spec(kind.module) is not None
