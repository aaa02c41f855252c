"""hotcoco: the same evaluation in Rust, on columns instead of a dict for each detection."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np

from deeplake_mmdet.metrics.backends.backend import Backend, BackendError, Settings
from deeplake_mmdet.metrics.backends.coco_dicts import category_dicts, image_dicts
from deeplake_mmdet.metrics.backends.columns import Columns
from deeplake_mmdet.metrics.ground_truth import GroundTruth


class Hotcoco(Backend):
    """The fastest engine. Its threads live as long as the process, and do not survive a fork."""

    name = 'hotcoco'
    module = 'hotcoco'
    _process_of_threads: ClassVar[int | None] = None

    def _build(self, truth: GroundTruth, objects: Columns) -> Any:
        from hotcoco import COCO

        self._refuse_after_fork()
        return COCO.from_arrays(
            image_dicts(truth),
            category_dicts(truth),
            objects.images,
            objects.categories,
            objects.boxes,
            area=objects.areas,
            iscrowd=objects.crowd.astype(np.int64),
            segmentation=objects.masks,
        )

    def _run(self, built: Any, found: Columns, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
        from hotcoco import COCOeval

        self._refuse_after_fork()
        rows = np.column_stack([found.images, found.boxes, found.scores, found.categories])
        results = built.load_res(rows, segmentation=found.masks)
        if found.masks is not None:
            # From rows it takes the areas of the boxes.
            results.update_anns(ids=np.arange(1, len(rows) + 1), area=found.areas)
        evaluation = COCOeval(built, results, settings.iou_type)
        evaluation.params.iou_thrs = settings.iou_thrs.tolist()
        evaluation.params.max_dets = sorted(settings.max_dets)
        evaluation.params.use_cats = settings.use_cats
        evaluation.evaluate()
        evaluation.accumulate()
        accumulated: Any = evaluation.eval  # copied at every access
        return accumulated['precision'], accumulated['recall']

    @classmethod
    def _refuse_after_fork(cls) -> None:
        """A forked child has the pool of threads, but no threads: it would wait for them for ever."""
        cls._process_of_threads = cls._process_of_threads or os.getpid()
        if cls._process_of_threads != os.getpid():
            raise BackendError(
                'hotcoco cannot evaluate in this process: it was forked from one in which hotcoco had evaluated. '
                "Evaluate in the parent process, or with backend='faster-coco-eval'."
            )
