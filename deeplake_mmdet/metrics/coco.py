"""COCO metrics with the dataset's own annotations as ground truth.

The numbers are those of a pycocotools run on the original JSON: areas, crowd flags, image and category ids are the
annotated ones. (`CocoMetric` without an annotation file recomputes areas as width times height, and does not agree.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation.metrics import CocoMetric
from mmdet.registry import METRICS

from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.evaluated_dataset import check_images_are_its_own, evaluated_dataset, images_of


@METRICS.register_module(force=True)
class DeepLakeCocoMetric(CocoMetric):
    """`CocoMetric` over a Deep Lake dataset.

    It finds the dataset through the metainfo that MMEngine hands to every metric. All arguments but ``ann_file`` are
    those of `CocoMetric`.

    Args:
        metric (str or list[str]): ``'bbox'``, ``'segm'``, ``'proposal'``, ``'proposal_fast'``.
        ann_file: Not accepted: the ground truth is the dataset.
        **kwargs: See `mmdet.evaluation.CocoMetric`.

    Raises:
        ConfigError: `ann_file` is given, or the evaluated dataset is no `DeepLakeDataset`.

    Examples:
        >>> val_evaluator = dict(type='DeepLakeCocoMetric', metric='bbox', classwise=True)
    """

    def __init__(self, ann_file: str | None = None, metric: str | list[str] = 'bbox', **kwargs: Any) -> None:
        if ann_file is not None:
            raise ConfigError(
                f'DeepLakeCocoMetric(ann_file=) expected no value, but got {ann_file!r}: the ground truth is the '
                "dataset itself. Put _delete_=True into the evaluator's dict to drop inherited keys."
            )
        if kwargs.get('iou_thrs') is not None:
            # A config holds a number or a list, and pycocotools compares with an array.
            kwargs['iou_thrs'] = np.atleast_1d(np.asarray(kwargs['iou_thrs'], np.float64))
        super().__init__(metric=metric, **kwargs)
        self._coco_api = None

    def process(self, data_batch: dict[str, Any], data_samples: list[dict[str, Any]]) -> None:
        """Collect the predictions of a batch; see `CocoMetric.process`."""
        check_images_are_its_own(self, evaluated_dataset(self), data_samples)
        # The base class asks for ground truth in the samples unless an API object is there.
        self._coco_api = self._coco_api or COCO()
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Evaluate the predictions of all images.

        Args:
            results: Pairs of image facts and predictions, one an image, of all ranks.

        Returns:
            Metric name to value.
        """
        dataset = evaluated_dataset(self)
        img_ids = [truth['img_id'] for truth, _ in results]
        images = images_of(self, dataset, img_ids)
        self._coco_api = ground_truth(dataset, images, masks='segm' in self.metrics)
        self.cat_ids, self.img_ids = list(dataset.index.category_ids), img_ids
        return super().compute_metrics(results)


def ground_truth(dataset: DeepLakeDataset, images: Sequence[int], *, masks: bool) -> COCO:
    """The annotations of some images as a COCO API object.

    Args:
        dataset: The dataset.
        images: Places of the images in the dataset's index.
        masks: Whether segmentations are needed.
    """
    index = dataset.index
    ids = index.img_ids if isinstance(index.img_ids, list) else index.img_ids.tolist()
    coco = COCO()
    coco.dataset = {
        'info': {},
        'images': [
            {'id': ids[image], 'height': int(index.sizes[image, 0]), 'width': int(index.sizes[image, 1])}
            for image in images
        ],
        'categories': [{'id': c, 'name': name} for c, name in zip(index.category_ids, index.classes, strict=True)],
        'annotations': _annotations(dataset, index, ids, images, masks),
    }
    coco.createIndex()
    # Names that OpenMMLab's wrapper adds beside pycocotools' own.
    coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
    return coco


def _annotations(
    dataset: DeepLakeDataset, index: AnnotationIndex, ids: list[Any], images: Sequence[int], masks: bool
) -> list[dict[str, Any]]:
    boxes, areas = index.xywh(slice(None)).tolist(), index.areas.tolist()
    crowd = (index.crowd | index.difficult).astype(int).tolist()
    all_masks = dataset.all_masks() if masks else []
    annotations = []
    for image in images:
        segmentations = all_masks[image] if masks else None
        start = int(index.offsets[image])
        for i in range(start, int(index.offsets[image + 1])):
            if index.labels[i] < 0:
                continue
            annotation = {
                'id': i + 1,
                'image_id': ids[image],
                'category_id': index.category_ids[index.labels[i]],
                'bbox': boxes[i],
                'area': areas[i],
                'iscrowd': crowd[i],
            }
            if segmentations is not None:
                annotation['segmentation'] = segmentations[i - start] or []
            annotations.append(annotation)
    return annotations
