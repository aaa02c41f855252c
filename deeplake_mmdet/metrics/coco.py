"""COCO metrics with the dataset's own annotations as ground truth.

The numbers are those of a pycocotools run on the original JSON: areas, crowd flags, image and category ids are the
annotated ones. (`CocoMetric` without an annotation file recomputes areas as width times height, and does not agree.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from deeplake_mmdet.errors import AnnotationError, ConfigError
from deeplake_mmdet.metrics.backends import Backend, BackendError, Settings, check_backend, choose_backend
from deeplake_mmdet.metrics.coco_json import write_results
from deeplake_mmdet.metrics.coco_summary import item_names, per_class, summarize, summary_lines
from deeplake_mmdet.metrics.detection_metric import DetectionMetric
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Curves, Evaluation
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.options import check_choices, iou_thresholds
from deeplake_mmdet.metrics.recall import proposal_numbers, recalls

_METRICS = ('bbox', 'segm', 'proposal', 'proposal_fast')


@METRICS.register_module(force=True)
class DeepLakeCocoMetric(DetectionMetric):
    """`CocoMetric` over a Deep Lake dataset.

    It finds the dataset through the metainfo that MMEngine hands to every metric.

    Args:
        ann_file: Not accepted: the ground truth is the dataset.
        metric (str or list[str]): ``'bbox'``, ``'segm'``, ``'proposal'``, ``'proposal_fast'``.
        classwise (bool): Log a table of classes, and give ``<class>_precision`` (with several metrics,
            ``bbox_<class>_precision`` and ``segm_<class>_precision``).
        proposal_nums (Sequence[int]): Numbers of best-scored detections of an image that count.
        iou_thrs (float or Sequence[float], optional): IoU thresholds. Defaults to 0.5 to 0.95 in steps of 0.05.
        metric_items (Sequence[str], optional): Which numbers to give: ``mAP``, ``mAP_50``, ``mAP_75``, ``mAP_s``,
            ``mAP_m``, ``mAP_l``, and with the default `proposal_nums` ``AR@100``, ``AR@300``, ``AR@1000``,
            ``AR_s@1000``, ``AR_m@1000``, ``AR_l@1000``. Defaults to the precisions, for proposals to the recalls.
        format_only (bool): Write result files and evaluate nothing; needs `outfile_prefix`.
        outfile_prefix (str, optional): Write the predictions to ``<prefix>.bbox.json`` and ``<prefix>.segm.json``.
        backend (str): The engine: ``'hotcoco'``, ``'faster-coco-eval'``, ``'pycocotools'``, or ``'auto'`` for the
            fastest one that is installed and agrees with pycocotools on the first images of the run.
        backend_args, sort_categories, use_mp_eval: Accepted for configs of `CocoMetric`; there is no annotation file
            that they could be about, and the engine is chosen by `backend`.
        collect_device, prefix, collect_dir: See `DetectionMetric`.

    Raises:
        ConfigError: An argument is wrong, or the evaluated dataset is no `DeepLakeDataset`.

    Examples:
        >>> val_evaluator = dict(type='DeepLakeCocoMetric', metric=['bbox', 'segm'], classwise=True)
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = 'bbox',
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        backend: str = 'auto',
        backend_args: Any = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
        sort_categories: bool = False,
        use_mp_eval: bool = False,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        owner = type(self).__name__
        if ann_file is not None:
            raise ConfigError(
                f'{owner}(ann_file=) expected no value, but got {ann_file!r}: the ground truth is the dataset itself. '
                "Put _delete_=True into the evaluator's dict to drop inherited keys."
            )
        if format_only and not outfile_prefix:
            raise ConfigError(f'{owner}(outfile_prefix=) expected where to write, as format_only=True, but got None.')
        self.metrics = check_choices(f'{owner}(metric=)', metric, _METRICS)
        self.classwise = classwise
        self.max_dets = proposal_numbers(f'{owner}(proposal_nums=)', proposal_nums)
        self.iou_thrs = iou_thresholds(f'{owner}(iou_thrs=)', iou_thrs)
        self.metric_items = None
        if metric_items is not None:
            self.metric_items = check_choices(f'{owner}(metric_items=)', metric_items, item_names(self.max_dets))
        if {'proposal', 'proposal_fast'} <= set(self.metrics):
            raise ConfigError(
                f"{owner}(metric=) expected 'proposal' or 'proposal_fast', but got both: their numbers have the same "
                'names. Use two evaluators with a prefix each.'
            )
        self.format_only, self.outfile_prefix = format_only, outfile_prefix
        check_backend(backend)
        self.backend = backend
        self.needs_masks = 'segm' in self.metrics
        self._engine: Backend | None = None

    def measure(self, truth: GroundTruth, detections: Detections) -> Evaluation:
        """Evaluate; see `DetectionMetric.measure`.

        Raises:
            AnnotationError: Masks are to be evaluated, and none were predicted.
        """
        logger = MMLogger.get_current_instance()
        if self.outfile_prefix:
            files = write_results(detections, truth, self.outfile_prefix)
            logger.info(f'The predictions are in {" and ".join(files.values())}')
        revision = (self.dataset_meta or {}).get('deeplake', {})
        if self.format_only:
            return Evaluation(type(self).__name__, revision, truth, detections, {})
        if self.needs_masks and detections.counts is None:
            raise AnnotationError(
                f"{type(self).__name__}(metric='segm') expected predicted masks, but the predictions have none. Use a "
                "detector with a mask head, or leave 'segm' out of the evaluator's metric."
            )
        if not len(truth.labels):
            logger.warning(f'{type(self).__name__}: none of the {len(truth)} images has an annotation; metrics are -1.')
        values: dict[str, float] = {}
        classes: dict[str, np.ndarray] = {}
        curves: dict[str, Curves] = {}
        for metric in self.metrics:
            logger.info(f'Evaluating {metric}...')
            if metric == 'proposal_fast':
                values |= self._fast_recalls(truth, detections)
                continue
            curves[metric] = self._curves(metric, truth, detections)
            values |= self._read_off(metric, curves[metric], truth)
            if metric != 'proposal':
                classes |= {f'{metric}_{name}': column for name, column in per_class(curves[metric]).items()}
        if self.classwise:
            values |= self._classwise(classes, truth.classes)
        return Evaluation(type(self).__name__, revision, truth, detections, values, classes, curves)

    def _curves(self, metric: str, truth: GroundTruth, detections: Detections) -> Curves:
        logger = MMLogger.get_current_instance()
        if self._engine is None:
            settings = [self._settings(metric) for metric in self.metrics if metric != 'proposal_fast']
            self._engine, why = choose_backend(self.backend, truth, detections, settings)
            logger.info(why)
        start = time.perf_counter()
        try:
            curves = self._engine.accumulate(truth, detections, self._settings(metric))
        except BackendError as error:
            if self.backend != 'auto' or self._engine.name == 'pycocotools':
                raise
            logger.warning(f'{error} This run goes on with pycocotools.')
            self._engine, _ = choose_backend('pycocotools', truth, detections, [])
            curves = self._engine.accumulate(truth, detections, self._settings(metric))
        logger.info(f'{self._engine.name} took {time.perf_counter() - start:.2f} s')
        return curves

    def _settings(self, metric: str) -> Settings:
        iou_type = 'segm' if metric == 'segm' else 'bbox'
        return Settings(iou_type, self.iou_thrs, self.max_dets, use_cats=metric != 'proposal')

    def _read_off(self, metric: str, curves: Curves, truth: GroundTruth) -> dict[str, float]:
        """The asked-for numbers of one metric, rounded as `CocoMetric` rounds them; the table goes to the log."""
        numbers = summarize(curves, truth.category_ids)
        logger = MMLogger.get_current_instance()
        logger.info('\n'.join(['', *summary_lines(numbers, self.iou_thrs, self.max_dets)]))
        names = list(numbers)
        rounded = {name: float(f'{value:.3f}') for name, value in numbers.items()}
        if metric == 'proposal':
            return {name: rounded[name] for name in self.metric_items or names[6:]}
        logger.info(f'{metric}_mAP_copypaste: {" ".join(f"{rounded[name]:.3f}" for name in names[:6])}')
        return {f'{metric}_{name}': rounded[name] for name in self.metric_items or names[:6]}

    def _classwise(self, columns: dict[str, np.ndarray], classes: Sequence[str]) -> dict[str, float]:
        """``<class>_precision`` of each class; the tables go to the log."""
        values: dict[str, float] = {}
        tables = [metric for metric in self.metrics if f'{metric}_mAP' in columns]
        for metric in tables:
            of_metric = {name: column for name, column in columns.items() if name.startswith(f'{metric}_')}
            rows = [[f'{column[k]:.3f}' for column in of_metric.values()] for k in range(len(classes))]
            header = ['category', *(name.removeprefix(f'{metric}_') for name in of_metric)]
            body = [[name, *row] for name, row in zip(classes, rows, strict=True)]
            MMLogger.get_current_instance().info(f'{metric} of each class\n{AsciiTable([header, *body]).table}')
            prefix = f'{metric}_' if len(tables) > 1 else ''
            found = columns[f'{metric}_mAP']
            values |= {f'{prefix}{name}_precision': round(float(found[k]), 3) for k, name in enumerate(classes)}
        return values

    def _fast_recalls(self, truth: GroundTruth, detections: Detections) -> dict[str, float]:
        """Recall of the best-scored boxes whatever their class, averaged over the IoU thresholds."""
        boxes, counted = truth.boxes_xyxy.astype(np.float32), ~truth.ignored
        image_of = detections.image_of
        by_score = np.lexsort((-detections.scores, image_of))  # equal scores stay in the detector's order
        rank = np.arange(len(by_score)) - detections.offsets[image_of]
        found = np.column_stack([detections.boxes[by_score], -rank]).astype(np.float32)
        objects = [truth.of_image(image) for image in range(len(truth))]
        at = recalls(
            [boxes[part][counted[part]] for part in objects],
            [found[detections.of_image(image)] for image in range(len(truth))],
            self.max_dets,
            self.iou_thrs.tolist(),
            legacy=False,
        ).mean(axis=1)
        values = {f'AR@{number}': float(value) for number, value in zip(self.max_dets, at, strict=True)}
        lines = [f'{name}\t{value:.4f}' for name, value in values.items()]
        MMLogger.get_current_instance().info('\n'.join(['', *lines]))
        return values
