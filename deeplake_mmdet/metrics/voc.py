"""PASCAL VOC metrics with the dataset's own annotations as ground truth.

The computation is MMDetection's. Its own `VOCMetric` takes the ground truth from the samples, so it needs a test
pipeline that loads annotations, and boxes that went through that pipeline; this one needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import VOCMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.metrics.average_precision import mean_average_precision
from deeplake_mmdet.metrics.evaluated_dataset import check_images_are_its_own, evaluated_dataset, images_of
from deeplake_mmdet.metrics.recall import recalls


@METRICS.register_module(force=True)
class DeepLakeVOCMetric(VOCMetric):
    """`VOCMetric` over a Deep Lake dataset: mAP or recall at one or several IoU thresholds.

    Difficult and crowd boxes are ignored: finding them is neither right nor wrong.

    Args:
        metric (str or list[str]): ``'mAP'``, or ``'recall'`` whatever the predicted class.
        iou_thrs (float or list[float]): IoU thresholds. Defaults to 0.5.
        eval_mode (str): ``'area'`` under the precision-recall curve, as in VOC 2012, or ``'11points'``, as in
            VOC 2007. Defaults to ``'area'``.
        proposal_nums (Sequence[int]): Numbers of best-scored boxes an image at which recall is measured.
        collect_device (str), prefix (str, optional): As in `mmdet.evaluation.VOCMetric`.

    Raises:
        ConfigError: The evaluated dataset is no `DeepLakeDataset`.

    Examples:
        >>> val_evaluator = dict(type='DeepLakeVOCMetric', metric='mAP', iou_thrs=[0.5, 0.75])
    """

    def __init__(
        self,
        metric: str | list[str] = 'mAP',
        iou_thrs: float | list[float] = 0.5,
        eval_mode: str = 'area',
        proposal_nums: Sequence[int] = (100, 300, 1000),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        thresholds = [iou_thrs] if isinstance(iou_thrs, (int, float)) else iou_thrs
        super().__init__(
            metric=metric,
            iou_thrs=[float(iou) for iou in thresholds],
            eval_mode=eval_mode,
            proposal_nums=proposal_nums,
            collect_device=collect_device,
            prefix=prefix,
        )

    def process(self, data_batch: dict[str, Any], data_samples: list[dict[str, Any]]) -> None:
        """Collect the predictions of a batch: for each class an array of (x1, y1, x2, y2, score)."""
        dataset = evaluated_dataset(self)
        check_images_are_its_own(self, dataset, data_samples)
        for sample in data_samples:
            predicted = sample['pred_instances']
            labels = predicted['labels'].cpu().numpy()
            boxes = np.column_stack([predicted['bboxes'].cpu().numpy(), predicted['scores'].cpu().numpy()])
            self.results.append((sample['img_id'], [boxes[labels == k] for k in range(len(dataset.index.classes))]))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Evaluate the predictions of all images.

        Args:
            results: Pairs of image id and predictions by class, of all ranks.

        Returns:
            Metric name to value.
        """
        dataset = evaluated_dataset(self)
        images = images_of(self, dataset, [img_id for img_id, _ in results])
        truths = [_truth(dataset, image) for image in images]
        if self.metric == 'mAP':
            return self._precision(dataset.index.classes, truths, [found for _, found in results])
        boxes = [truth['bboxes'] for truth in truths]
        found = recalls(boxes, [np.concatenate(found) for _, found in results], self.proposal_nums, self.iou_thrs)
        names = [(number, iou) for number in self.proposal_nums for iou in self.iou_thrs]
        measured = {f'recall@{number}@{iou}': value for (number, iou), value in zip(names, found.flat, strict=True)}
        if len(self.iou_thrs) > 1:
            measured |= {f'AR@{n}': row.mean() for n, row in zip(self.proposal_nums, found, strict=True)}
        return {name: float(value) for name, value in measured.items()}

    def _precision(
        self, classes: Sequence[str], truths: list[dict[str, np.ndarray]], found: list[list[np.ndarray]]
    ) -> dict[str, float]:
        logger = MMLogger.get_current_instance()
        means = [
            mean_average_precision(found, truths, classes, iou, self.eval_mode, logger=logger) for iou in self.iou_thrs
        ]
        at = {f'AP{int(iou * 100):02d}': round(mean, 3) for iou, mean in zip(self.iou_thrs, means, strict=True)}
        return {'mAP': sum(means) / len(means), **at}


def _truth(dataset: DeepLakeDataset, image: int) -> dict[str, np.ndarray]:
    """Annotations of one image in the form of MMDetection's `eval_map`: xyxy pixels and labels, ignored ones apart."""
    index = dataset.index
    objects = np.arange(index.offsets[image], index.offsets[image + 1])
    objects = objects[index.labels[objects] >= 0]
    boxes = index.xyxy(objects, image).reshape(-1, 4).astype(np.float32)
    labels = index.labels[objects]
    ignored = (index.crowd | index.difficult | index.ignored)[objects]
    return {
        'bboxes': boxes[~ignored],
        'labels': labels[~ignored],
        'bboxes_ignore': boxes[ignored],
        'labels_ignore': labels[ignored],
    }
