"""Which dataset is being evaluated: metrics find it through the metainfo that MMEngine hands them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset, identity, open_datasets
from deeplake_mmdet.datasets.image_uri import parse_uri
from deeplake_mmdet.errors import ConfigError


def evaluated_dataset(metric: Any) -> DeepLakeDataset:
    """The dataset of a metric.

    Args:
        metric: An MMEngine metric.

    Raises:
        ConfigError: The evaluated dataset is no `DeepLakeDataset` of this process.
    """
    meta = metric.dataset_meta if isinstance(metric.dataset_meta, dict) else {}
    dataset = open_datasets.find(identity(meta.get('deeplake', {})))
    if dataset is None:
        raise ConfigError(
            f'{type(metric).__name__} expected the evaluated dataset to be one DeepLakeDataset of this process, but '
            f'its metainfo has the keys {sorted(meta)}. Use the metric of MMDetection for other datasets, and '
            'MultiDatasetsEvaluator for several.'
        )
    return dataset


def check_images_are_its_own(metric: Any, dataset: DeepLakeDataset, samples: Sequence[dict[str, Any]]) -> None:
    """Refuse predictions for images of another dataset.

    Raises:
        ConfigError: A sample's path belongs to another dataset.
    """
    for sample in samples:
        path = sample.get('img_path')
        if path is not None and parse_uri(path)[0] != dataset.images.key:
            raise ConfigError(
                f'{type(metric).__name__} got {path}, which is no image of {dataset.source.revision}. It '
                'evaluates one dataset: use MultiDatasetsEvaluator for several.'
            )


def images_of(metric: Any, dataset: DeepLakeDataset, img_ids: Sequence[Any]) -> list[int]:
    """Places in the dataset's index of the predicted images.

    Raises:
        ConfigError: An image was predicted twice, or is not in the dataset.
    """
    if len(set(img_ids)) < len(img_ids):
        raise ConfigError(
            f'{type(metric).__name__} got several predictions for one image. It evaluates one dataset, every image '
            'once: use MultiDatasetsEvaluator for several datasets, and no RepeatDataset.'
        )
    ids = dataset.index.img_ids
    place = {img_id: image for image, img_id in enumerate(ids if isinstance(ids, list) else ids.tolist())}
    unknown = [img_id for img_id in img_ids if img_id not in place]
    if unknown:
        raise ConfigError(
            f'{type(metric).__name__} got predictions for images that are not in {dataset.source.revision}: '
            f'img_id {unknown[:5]}. Evaluate the dataset that was predicted.'
        )
    return [place[img_id] for img_id in img_ids]
