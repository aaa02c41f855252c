"""A dataset whose annotations come from the cache is the one that reads them itself."""

from __future__ import annotations

import copy
import logging

import numpy as np
import pytest
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from deeplake_mmdet.annotations.cache import cached
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from tests.support.cached import files, is_cached
from tests.support.tiny import write_tiny

FILTERS = dict(filter_empty_gt=True, min_size=8)


@pytest.fixture
def path(tmp_path):
    boxes = [[[2, 3, 10, 12], [20, 5, 15, 30]], [], [[1, 1, 0.5, 4]], [[5, 5, 9, 9]], [[1, 1, 3, 3]], []]
    return write_tiny(tmp_path / 'ds', boxes=boxes, labels=[np.arange(len(some)) % 2 for some in boxes])


def everything(dataset):
    """All that a dataset says of its samples and of itself."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return infos, [dataset.get_cat_ids(i) for i in range(len(dataset))], dataset.metainfo


@pytest.mark.parametrize(
    'keys',
    [
        {},
        {'filter_cfg': FILTERS},
        {'filter_cfg': FILTERS, 'test_mode': True},
        {'metainfo': dict(classes=('dog',)), 'filter_cfg': FILTERS},
        {'indices': [3, 0]},
        {'on_error': 'skip', 'test_mode': True},
    ],
)
def test_samples_and_lineage_are_the_same_with_a_cache_and_without(path, monkeypatch, keys):
    made, found = (DeepLakeDataset(deeplake_path=path, **keys) for _ in range(2))
    assert is_cached(made.index)
    assert is_cached(found.index)
    assert made.source.rows is made.index.rows
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE', 'off')
    expected = DeepLakeDataset(deeplake_path=path, **keys)
    assert not is_cached(expected.index)
    assert expected.metainfo['deeplake']['digest']
    assert everything(made) == everything(found) == everything(expected)


def test_datasets_that_filter_differently_share_one_index(path):
    for keys in ({}, {'filter_cfg': FILTERS}, {'indices': 2}, {'test_mode': True}):
        DeepLakeDataset(deeplake_path=path, **keys)
    assert len(files()) == 1


def summaries(path, **keys):
    """What the log says of a dataset."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        DeepLakeDataset(deeplake_path=path, **keys)
    finally:
        logger.removeHandler(handler)
    return lines


@pytest.mark.parametrize(
    ('keys', 'counts'),
    [
        ({}, "6 images (2 without a box), boxes {'cat': 4, 'dog': 1}"),
        (
            {'filter_cfg': FILTERS},
            "4 images (0 without a box, 2 removed by filter_empty_gt), boxes {'cat': 4, 'dog': 1}",
        ),
        ({'indices': [0, 1, 0]}, "3 images (1 without a box), boxes {'cat': 1, 'dog': 1}"),
        ({'indices': [3, 4], 'metainfo': dict(classes=('dog',))}, "2 images (2 without a box), boxes {'dog': 0}"),
    ],
)
def test_the_log_counts_samples_and_their_boxes(path, keys, counts):
    for _ in range(2):
        lines = summaries(path, **keys)
        assert lines[0].endswith(f'6 rows: {counts}')
        assert lines[1:] == [f'The annotations are cached: {files()[0]}.']


def samples_of(dataset, method):
    loader = DataLoader(dataset, 2, num_workers=2, collate_fn=list, multiprocessing_context=method)
    return [sample for batch in loader for sample in batch]


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_give_the_samples_of_the_process_that_started_them(path, method, monkeypatch):
    dataset = DeepLakeDataset(deeplake_path=path, filter_cfg=FILTERS)
    monkeypatch.setattr(cached, 'build_index', None)  # nobody reads anything again
    assert samples_of(dataset, method) == [dataset[i] for i in range(len(dataset))]


def test_a_filter_of_empty_images_takes_no_memory_of_its_own(path):
    assert DeepLakeDataset(deeplake_path=path, filter_cfg=FILTERS)._order.origin[1] == 'nonempty'
    small = DeepLakeDataset(deeplake_path=path, filter_cfg=dict(filter_empty_gt=True, min_size=8), indices=[1])
    assert small._order.tolist() == [2]


def test_a_copy_of_a_dataset_shares_its_annotations(path):
    dataset = DeepLakeDataset(deeplake_path=path)
    for other in (copy.deepcopy(dataset), dataset.get_subset([1])):
        assert other.index.boxes is dataset.index.boxes
