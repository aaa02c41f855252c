"""Which dataset is being evaluated: metrics find it through the metainfo that MMEngine hands them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset, identity, open_datasets
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


def own_metainfo(metric: Any, sources: Sequence[str]) -> Any:
    """The metainfo of the dataset that some images are of, where it is one of several.

    A `ConcatDataset` whose members differ in what was read only hands on the metainfo of its first member.

    Args:
        metric: An MMEngine metric of an evaluator of several datasets.
        sources: Key of the dataset that each image came from.

    Returns:
        The metric's own metainfo, unless it is another member's.
    """
    meta, keys = metric.dataset_meta, set(sources)
    if not isinstance(meta, dict) or 'cumulative_sizes' not in meta or len(keys) != 1:
        return meta
    named = open_datasets.find(identity(meta.get('deeplake', {})))
    if named is not None and named.images.key in keys:
        return meta
    classes = tuple(meta.get('classes', ()))
    of_images = [one for one in open_datasets.all() if one.images.key in keys and one.index.classes == classes]
    members = {identity(one.metainfo['deeplake']): one for one in of_images}
    if len(members) != 1:
        return meta
    return {**next(iter(members.values())).metainfo, 'cumulative_sizes': meta['cumulative_sizes']}


def check_images_are_its_own(metric: Any, dataset: DeepLakeDataset, sources: Sequence[str]) -> None:
    """Refuse predictions for images of another dataset.

    Args:
        metric: An MMEngine metric.
        dataset: The evaluated dataset.
        sources: Key of the dataset that each image came from; '' is not checked.

    Raises:
        ConfigError: An image is of another dataset.
    """
    foreign = set(sources) - {'', dataset.images.key}
    if foreign:
        raise ConfigError(
            f'{type(metric).__name__} got images of {sorted(foreign)[0]}, which is not {dataset.source.revision}. It '
            'evaluates one dataset: use MultiDatasetsEvaluator for several.'
        )


def images_of(metric: Any, dataset: DeepLakeDataset, img_ids: Sequence[Any]) -> list[int]:
    """Places in the dataset's index of the predicted images.

    Raises:
        ConfigError: An image is not in the dataset.
    """
    ids = dataset.index.img_ids
    place = {img_id: image for image, img_id in enumerate(ids if isinstance(ids, list) else ids.tolist())}
    unknown = [img_id for img_id in img_ids if img_id not in place]
    if unknown:
        raise ConfigError(
            f'{type(metric).__name__} got predictions for images that are not in {dataset.source.revision}: '
            f'img_id {unknown[:5]}. Evaluate the dataset that was predicted.'
        )
    return [place[img_id] for img_id in img_ids]
