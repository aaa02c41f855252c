"""PASCAL VOC metrics with the dataset's own annotations as ground truth.

The numbers are those of MMDetection's `eval_map` and `eval_recalls`. Its own `VOCMetric` takes the ground truth from
the samples, so it needs a test pipeline that loads annotations, and boxes that went through that pipeline; this one
needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from deeplake_mmdet.config.dicts import unknown_key
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.average_precision import EVAL_MODES, ClassPrecision, class_precisions
from deeplake_mmdet.metrics.detection_metric import DetectionMetric
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Evaluation
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.options import check_choices, iou_thresholds
from deeplake_mmdet.metrics.recall import proposal_numbers, recalls


@METRICS.register_module(force=True)
class DeepLakeVOCMetric(DetectionMetric):
    """`VOCMetric` over a Deep Lake dataset: mAP or recall at one or several IoU thresholds.

    Difficult and crowd boxes are ignored: finding them is neither right nor wrong. Widths and heights count the last
    pixel, as in PASCAL VOC's own evaluation. Where no object is to be found, the values are NaN.

    Args:
        metric (str or Sequence[str]): ``'mAP'``, and ``'recall'`` whatever the predicted class.
        iou_thrs (float or Sequence[float]): IoU thresholds. Defaults to 0.5.
        eval_mode (str): ``'area'`` under the precision-recall curve, as in VOC 2012, or ``'11points'``, as in
            VOC 2007. Defaults to ``'area'``.
        proposal_nums (Sequence[int]): Numbers of best-scored boxes an image at which recall is measured.
        scale_ranges: Not accepted: `VOCMetric` cannot report what it measures with them.
        collect_device, prefix, collect_dir: See `DetectionMetric`.
        **unknown: Any other argument is an error that suggests the right one.

    Raises:
        ConfigError: An argument is wrong, or the evaluated dataset is no `DeepLakeDataset`.

    Examples:
        >>> val_evaluator = dict(type='DeepLakeVOCMetric', metric='mAP', iou_thrs=[0.5, 0.75])
    """

    default_prefix = 'pascal_voc'

    def __init__(
        self,
        metric: str | Sequence[str] = 'mAP',
        iou_thrs: float | Sequence[float] = 0.5,
        eval_mode: str = 'area',
        proposal_nums: Sequence[int] = (100, 300, 1000),
        scale_ranges: Any = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        owner = type(self).__name__
        if unknown:
            known = [name for name in signature(DeepLakeVOCMetric).parameters if name != 'unknown']
            raise ConfigError(' '.join(unknown_key(f'{owner}.{name}', known) for name in unknown))
        if scale_ranges is not None:
            raise ConfigError(
                f'{owner}(scale_ranges=) expected no value, but got {scale_ranges!r}. For small, medium and large '
                'objects use DeepLakeCocoMetric.'
            )
        self.metrics = check_choices(f'{owner}(metric=)', metric, ('mAP', 'recall'))
        self.iou_thrs: list[float] = iou_thresholds(f'{owner}(iou_thrs=)', iou_thrs).tolist()
        [self.eval_mode] = check_choices(f'{owner}(eval_mode=)', [eval_mode], EVAL_MODES)
        self.proposal_nums = proposal_numbers(f'{owner}(proposal_nums=)', proposal_nums)

    def measure(self, truth: GroundTruth, detections: Detections) -> Evaluation:
        """Evaluate; see `DetectionMetric.measure`."""
        if truth.ignored.all():
            MMLogger.get_current_instance().warning(
                f'{type(self).__name__}: the {len(truth)} images have no object that is to be found; the metrics are '
                'NaN.'
            )
        values: dict[str, float] = {}
        columns: dict[str, np.ndarray] = {}
        if 'mAP' in self.metrics:
            columns, at = self._precisions(truth, detections)
            means = list(at.values())
            values |= {'mAP': sum(means) / len(means), **{name: round(mean, 3) for name, mean in at.items()}}
        if 'recall' in self.metrics:
            values |= self._recalls(truth, detections)
        revision = (self.dataset_meta or {}).get('deeplake', {})
        return Evaluation(type(self).__name__, revision, truth, detections, values, columns)

    def _precisions(self, truth: GroundTruth, detections: Detections) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Average precision of each class at each IoU threshold, float64 (K,), and its mean; NaN without an object."""
        columns, means = {}, {}
        measured = class_precisions(truth, detections, self.iou_thrs, self.eval_mode)
        for iou_thr, rows in zip(self.iou_thrs, measured, strict=True):
            name = f'AP{iou_thr * 100:02.10g}'
            with_objects = [row.ap for row in rows if row.objects]
            # In float32, as MMDetection takes it.
            means[name] = float(np.mean(with_objects)) if with_objects else float('nan')
            columns[name] = np.array([row.ap for row in rows], np.float64)
            table = _table(truth.classes, rows, means[name])
            MMLogger.get_current_instance().info(f'IoU threshold {iou_thr:g}\n{table}')
        return columns, means

    def _recalls(self, truth: GroundTruth, detections: Detections) -> dict[str, float]:
        boxes, counted = truth.boxes_xyxy.astype(np.float32), ~truth.ignored
        found = np.column_stack([detections.boxes, detections.scores])
        images = range(len(truth))
        at = recalls(
            [boxes[part][counted[part]] for part in map(truth.of_image, images)],
            [found[detections.of_image(image)] for image in images],
            self.proposal_nums,
            self.iou_thrs,
            legacy=True,
        )
        names = [f'recall@{number}@{iou_thr}' for number in self.proposal_nums for iou_thr in self.iou_thrs]
        values = dict(zip(names, at.ravel().tolist(), strict=True))
        if len(self.iou_thrs) > 1:
            means = at.mean(axis=1).tolist()
            values |= {f'AR@{number}': mean for number, mean in zip(self.proposal_nums, means, strict=True)}
        return values


def _table(classes: Sequence[str], rows: Sequence[ClassPrecision], mean: float) -> str:
    """For the log."""
    body = [
        [name, row.objects, row.detections, f'{row.recall:.3f}', f'{row.ap:.3f}']
        for name, row in zip(classes, rows, strict=True)
    ]
    table = AsciiTable([['class', 'gts', 'dets', 'recall', 'ap'], *body, ['mAP', '', '', '', f'{mean:.3f}']])
    table.inner_footing_row_border = True
    return str(table.table)
