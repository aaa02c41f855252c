"""Aspects of samples are known without reading an image or a mask, in any wrapper."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from deeplake_mmdet.datasets.aspects import wide_samples
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from tests.support.small_training import LOAD
from tests.support.tiny import write_tiny

SIZES = [(20, 30), (30, 20), (25, 25), (40, 10), (10, 40), (31, 30)]


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    init_default_scope('mmdet')
    images = [cv2.imencode('.png', np.zeros((*size, 3), np.uint8))[1].tobytes() for size in SIZES]
    path = write_tiny(tmp_path_factory.mktemp('aspects') / 'ds', images=images, boxes=[[[1, 1, 5, 5]]] * 6, sizes=False)
    return dict(type='DeepLakeDataset', deeplake_path=path, indices=[5, 3, 1, 0, 2, 4], pipeline=LOAD)


@pytest.mark.parametrize(
    'wrapper',
    [
        lambda plain: plain,
        lambda plain: dict(type='RepeatDataset', times=2, dataset=plain),
        lambda plain: dict(type='ClassBalancedDataset', oversample_thr=2.0, dataset=plain),
        lambda plain: dict(type='ConcatDataset', datasets=[plain, dict(type='RepeatDataset', times=2, dataset=plain)]),
        lambda plain: dict(type='MultiImageMixDataset', dataset=plain, pipeline=[]),
    ],
    ids=['plain', 'repeated', 'balanced', 'concatenated', 'mixed'],
)
def test_they_are_those_of_the_samples_infos(plain, wrapper, monkeypatch):
    dataset = DATASETS.build(wrapper(plain))
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    monkeypatch.setattr(DeepLakeDataset, 'get_data_info', None)
    expected = [info['width'] >= info['height'] for info in infos]
    assert wide_samples(dataset).tolist() == expected
    assert {True, False} == set(expected)
