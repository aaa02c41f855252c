"""When and how images are read: lazily, in batches, and what an unreadable one does."""

from __future__ import annotations

import copy
import pickle
import re

import mmcv
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from deeplake_mmdet import DeepLakeDataset
from deeplake_mmdet.errors import ImageReadError, SourceNotFoundError
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.tiny import write_tiny

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture
def reads(monkeypatch):
    """The rows of every read of the image column, one list a call."""
    calls = []
    original = SourceHandle.read

    def counting(self, column, rows):
        if column == 'images':
            calls.append(list(rows))
        return original(self, column, rows)

    monkeypatch.setattr(SourceHandle, 'read', counting)
    return calls


def _png(value: int) -> bytes:
    import cv2

    return cv2.imencode('.png', np.full((40, 40, 3), value, np.uint8))[1].tobytes()


def test_no_image_is_read_before_the_first_sample(tmp_path, reads):
    path = write_tiny(tmp_path / 'ds', sizes=False)
    dataset = DeepLakeDataset(deeplake_path=path, pipeline=PIPELINE, filter_cfg=dict(filter_empty_gt=True, min_size=8))
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert (info['height'], info['width']) == (40, 40)
        dataset.get_cat_ids(i)
    assert dataset.metainfo['classes'] == ('cat', 'dog')
    assert reads == []
    dataset[0]
    assert reads == [[0]]


def test_a_batch_is_read_in_one_call_and_gives_the_same_samples(tmp_path, reads):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), pipeline=PIPELINE)
    batch = dataset.__getitems__([4, 0, 2])
    assert reads == [[4, 0, 2]]
    for place, i in enumerate([4, 0, 2]):
        assert batch[place]['inputs'].equal(dataset[i]['inputs'])


def test_iterating_over_a_dataset_ends(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), pipeline=PIPELINE)
    assert len(list(dataset)) == len(dataset) == 6
    assert dataset[-1]['inputs'].equal(dataset[5]['inputs'])


def test_a_batch_is_read_once_also_beside_another_dataset_of_the_same_commit(tmp_path, reads):
    path = write_tiny(tmp_path / 'ds')
    datasets = [DeepLakeDataset(deeplake_path=path, pipeline=PIPELINE, indices=some) for some in ([0, 1], [4, 5])]
    for dataset in datasets:
        dataset.__getitems__([0, 1])
    assert reads == [[0, 1], [4, 5]]


def test_the_python_loader_reads_one_by_one(tmp_path, reads):
    path = write_tiny(tmp_path / 'ds')
    dataset = DeepLakeDataset(deeplake_path=path, pipeline=PIPELINE, deeplake_dataloader_type='python')
    dataset.__getitems__([4, 0, 2])
    assert reads == [[4], [0], [2]]


@pytest.mark.parametrize('method', ['fork', 'spawn', 'forkserver'])
def test_workers_of_every_start_method_give_the_same_samples(tmp_path, method):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), pipeline=PIPELINE)
    loader = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=list, multiprocessing_context=method)
    samples = [sample for batch in loader for sample in batch]
    assert len(samples) == 6
    for i, sample in enumerate(samples):
        assert sample['inputs'].equal(dataset[i]['inputs'])


def test_two_loaders_with_living_workers_do_not_disturb_each_other(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), pipeline=PIPELINE)
    loaders = [
        DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=list, persistent_workers=True) for _ in range(2)
    ]
    for _ in range(3):
        for first, second in zip(*loaders, strict=True):
            assert first[0]['inputs'].equal(second[0]['inputs'])


def test_copies_share_no_sample_state(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), pipeline=PIPELINE)
    for other in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset)), dataset.get_subset([0, 1])):
        info = other.get_data_info(0)
        assert info == dataset.get_data_info(0)
        info['instances'][0]['bbox'][0] = -1
        assert other.get_data_info(0) == dataset.get_data_info(0)
        assert other[1]['inputs'].equal(dataset[1]['inputs'])


def test_an_image_path_is_readable_as_long_as_its_dataset_lives(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'))
    path = dataset.get_data_info(3)['img_path']
    assert isinstance(path, str)
    assert path.endswith('/images/3.png')
    assert mmcv.imread(path).shape == (40, 40, 3)
    del dataset
    with pytest.raises(SourceNotFoundError, match='not open in this process'):
        mmcv.imread(path)


BAD_IMAGES = {'garbage': b'not an image at all', 'broken': _png(3)[:60], 'zeros': bytes(5000)}


@pytest.mark.parametrize('kind', BAD_IMAGES)
def test_an_unreadable_image_names_dataset_row_and_column(tmp_path, kind):
    images = [_png(0), BAD_IMAGES[kind], _png(2)]
    path = write_tiny(tmp_path / 'ds', boxes=[[[2, 3, 10, 12]]] * 3, images=images)
    dataset = DeepLakeDataset(deeplake_path=path, pipeline=PIPELINE)
    assert dataset[0]['inputs'].max() == 0
    for read in (lambda: dataset[1], lambda: dataset.__getitems__([0, 1])):
        with pytest.raises(ImageReadError, match=rf"{path}.*'images', row 1, "):
            read()


@pytest.mark.parametrize('kind', BAD_IMAGES)
def test_skipping_gives_the_next_readable_sample_and_counts(tmp_path, kind, monkeypatch):
    lines = []
    monkeypatch.setattr('deeplake_mmdet.datasets.image_faults.print_log', lambda line, **kwargs: lines.append(line))
    images = [_png(0), BAD_IMAGES[kind], _png(2), BAD_IMAGES[kind]]
    path = write_tiny(tmp_path / 'ds', boxes=[[[2, 3, 10, 12]]] * 4, images=images)
    dataset = DeepLakeDataset(deeplake_path=path, pipeline=PIPELINE, on_error='skip')
    values = [int(sample['inputs'].max()) for sample in dataset.__getitems__([0, 1, 2, 3])]
    assert values == [0, 2, 2, 0]
    assert sorted(re.search(r'row (\d+), ', line).group(1) for line in lines) == ['1', '3']
    assert [line.split(':')[0] for line in lines] == [f'Skipped ({n} so far in this process)' for n in (1, 2)]


def test_evaluation_leaves_unreadable_images_out_before_it_begins(tmp_path):
    images = [_png(0), b'garbage', _png(2)]
    path = write_tiny(tmp_path / 'ds', boxes=[[[2, 3, 10, 12]]] * 3, images=images)
    dataset = DeepLakeDataset(deeplake_path=path, pipeline=PIPELINE, on_error='skip', test_mode=True)
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [0, 2]
    with pytest.raises(ImageReadError, match='row 1'):
        list(DeepLakeDataset(deeplake_path=path, pipeline=PIPELINE, test_mode=True))


def test_an_error_of_a_transform_is_not_blamed_on_the_image(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), pipeline=[PIPELINE[0], _fail], on_error='skip')
    with pytest.raises(ZeroDivisionError):
        dataset[0]


def _fail(results):
    return 1 / 0
