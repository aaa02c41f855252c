"""COCO metrics with the dataset's own annotations as ground truth.

The numbers are those of a pycocotools run on the original JSON: areas, crowd flags, image and category ids are the
annotated ones. (`CocoMetric` without an annotation file recomputes areas as width times height, and does not agree.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation.metrics import CocoMetric
from mmdet.registry import METRICS

from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset, identity, open_datasets
from deeplake_mmdet.datasets.image_uri import parse_uri
from deeplake_mmdet.errors import ConfigError


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
        super().__init__(metric=metric, **kwargs)
        self._coco_api = None

    def process(self, data_batch: dict[str, Any], data_samples: list[dict[str, Any]]) -> None:
        """Collect the predictions of a batch; see `CocoMetric.process`."""
        key = self._dataset().images.key
        for sample in data_samples:
            path = sample.get('img_path')
            if path is not None and parse_uri(path)[0] != key:
                raise ConfigError(
                    f'DeepLakeCocoMetric got {path}, which is no image of {self._dataset().source.revision}. It '
                    'evaluates one dataset: use MultiDatasetsEvaluator for several.'
                )
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
        dataset = self._dataset()
        img_ids = [truth['img_id'] for truth, _ in results]
        if len(set(img_ids)) < len(img_ids):
            raise ConfigError(
                'DeepLakeCocoMetric got several predictions for one image. It evaluates one dataset, every image once: '
                'use MultiDatasetsEvaluator for several datasets, and no RepeatDataset.'
            )
        self._coco_api = ground_truth(dataset, img_ids, masks='segm' in self.metrics)
        self.cat_ids, self.img_ids = list(dataset.index.category_ids), img_ids
        return super().compute_metrics(results)

    def _dataset(self) -> DeepLakeDataset:
        meta = self.dataset_meta if isinstance(self.dataset_meta, dict) else {}
        dataset = open_datasets.find(identity(meta.get('deeplake', {})))
        if dataset is None:
            raise ConfigError(
                'DeepLakeCocoMetric expected the evaluated dataset to be one DeepLakeDataset of this process, but its '
                f'metainfo has the keys {sorted(meta)}. Use CocoMetric for other datasets, and MultiDatasetsEvaluator '
                'for several.'
            )
        return dataset


def ground_truth(dataset: DeepLakeDataset, img_ids: list[Any], *, masks: bool) -> COCO:
    """The annotations of some images as a COCO API object.

    Args:
        dataset: The dataset.
        img_ids: Ids of the images.
        masks: Whether segmentations are needed.

    Raises:
        ConfigError: An id is not in the dataset.
    """
    index = dataset.index
    ids = index.img_ids if isinstance(index.img_ids, list) else index.img_ids.tolist()
    place = {img_id: image for image, img_id in enumerate(ids)}
    unknown = [img_id for img_id in img_ids if img_id not in place]
    if unknown:
        raise ConfigError(
            f'DeepLakeCocoMetric got predictions for images that are not in {dataset.source.revision}: '
            f'img_id {unknown[:5]}. Evaluate the dataset that was predicted.'
        )
    images = np.asarray([place[img_id] for img_id in img_ids], np.int64)
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
    dataset: DeepLakeDataset, index: AnnotationIndex, ids: list[Any], images: np.ndarray, masks: bool
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
