"""Which samples are wide and which are high, from the annotations' arrays: no image and no mask is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.datasets import MultiImageMixDataset

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset


def wide_samples(dataset: Any) -> np.ndarray:
    """Whether each sample is at least as wide as it is high, bool (N,).

    Args:
        dataset: A dataset in any nesting of wrappers; of other datasets than ours each sample's info is asked for.
    """
    if isinstance(dataset, DeepLakeDataset):
        sizes = dataset.sample_sizes
        return sizes[:, 1] >= sizes[:, 0]
    if hasattr(dataset, 'datasets'):
        return np.concatenate([wide_samples(member) for member in dataset.datasets])
    if isinstance(dataset, MultiImageMixDataset):
        return wide_samples(dataset.dataset)
    if hasattr(dataset, 'dataset') and hasattr(dataset, '_get_ori_dataset_idx'):  # repeated, or balanced by class
        places = [dataset._get_ori_dataset_idx(index) for index in range(len(dataset))]
        return wide_samples(dataset.dataset)[places]
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return np.array([info['width'] >= info['height'] for info in infos], bool)
