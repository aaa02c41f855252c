"""What every engine does: take ground truth and detections, give curves in the order of the run's classes.

Images and classes are numbered by their positions, so that ties between equal scores are broken as in a run over the
original JSON: images in the order of their ids, and where classes count as one, classes in the order of the run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np

from deeplake_mmdet.errors import DeepLakeMMDetError
from deeplake_mmdet.metrics.backends.columns import Columns, columns_of_detections, columns_of_truth
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Curves
from deeplake_mmdet.metrics.ground_truth import GroundTruth

AREAS = 4  # all, small, medium, large
RECALL_THRS = np.linspace(0, 1, 101)
# What no engine is to blame for.
_NOT_ITS_FAULT = (DeepLakeMMDetError, KeyboardInterrupt, SystemExit, MemoryError)


class BackendError(DeepLakeMMDetError, RuntimeError):
    """An evaluation engine failed."""


@dataclass(frozen=True)
class Settings:
    """What is evaluated.

    Attributes:
        iou_type: ``'bbox'`` or ``'segm'``.
        iou_thrs: IoU thresholds, float64 (T,).
        max_dets: Numbers of best-scored detections of an image that count.
        use_cats: Whether a detection has to have the object's class; False for proposals.
    """

    iou_type: str
    iou_thrs: np.ndarray
    max_dets: tuple[int, ...]
    use_cats: bool = True


class Backend(ABC):
    """An evaluation engine.

    Attributes:
        name: Name in configs, and of its distribution.
        module: What is imported.
    """

    name: ClassVar[str]
    module: ClassVar[str]

    def __init__(self) -> None:
        self._built: dict[str, tuple[GroundTruth, Any]] = {}

    @property
    def version(self) -> str:
        """Name and version of the installed distribution; the name alone where it came without metadata."""
        try:
            return f'{self.name} {version(self.name)}'
        except PackageNotFoundError:
            return self.name

    def accumulate(self, truth: GroundTruth, detections: Detections, settings: Settings) -> Curves:
        """Precision and recall.

        What is built of the ground truth is kept until another one is evaluated.

        Args:
            truth: The annotations of N images, sorted by image id.
            detections: The detections of the same images in the same order.
            settings: What is evaluated.

        Returns:
            The curves, classes in the order of the run, `max_dets` rising.

        Raises:
            AnnotationError: Masks are missing, cannot be drawn, or have another size than their image.
            BackendError: The engine failed.
        """
        found = columns_of_detections(truth, detections, settings.iou_type)
        with self._blamed():
            precision, recall = self._run(self._ground_truth(truth, settings.iou_type), found, settings)
        classes = len(truth.classes) if settings.use_cats else 1
        shape = (len(settings.iou_thrs), classes, AREAS, len(settings.max_dets))
        if np.shape(precision) != (shape[0], len(RECALL_THRS), *shape[1:]) or np.shape(recall) != shape:
            raise BackendError(
                f'{self.version} expected to give a recall of shape {shape}, but gave {np.shape(recall)} with a '
                f"precision of shape {np.shape(precision)}. Set another backend, such as 'pycocotools'."
            )
        return Curves(
            precision=precision,
            recall=recall,
            iou_thrs=settings.iou_thrs,
            max_dets=tuple(sorted(settings.max_dets)),
        )

    def _ground_truth(self, truth: GroundTruth, iou_type: str) -> Any:
        kept = self._built.get(iou_type)
        if kept is None or kept[0] is not truth:
            kept = self._built[iou_type] = (truth, self._build(truth, columns_of_truth(truth, iou_type)))
        return kept[1]

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Name the engine in whatever goes wrong in it; a panic in Rust is no `Exception`."""
        try:
            yield
        except _NOT_ITS_FAULT:
            raise
        except BaseException as error:
            raise BackendError(
                f'{self.version} failed: {type(error).__name__}: {str(error).rstrip(". ")}. '
                "Set another backend, such as 'pycocotools'."
            ) from error

    @abstractmethod
    def _build(self, truth: GroundTruth, objects: Columns) -> Any:
        """The engine's own form of the ground truth."""

    @abstractmethod
    def _run(self, built: Any, found: Columns, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
        """Precision (T, R, K, A, M) and recall (T, K, A, M), float64, categories in the order of their numbers."""
