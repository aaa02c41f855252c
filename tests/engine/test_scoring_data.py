"""What is scored: all rows of a split, in the geometry of a test, with boxes that are scaled with their image."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mmengine.config import Config

from deeplake_mmdet.engine.scoring_data import scored_dataset, scoring_loader, scoring_pipeline, windows
from deeplake_mmdet.errors import ConfigError
from tests.support.small_training import AUGMENT, LOAD, MOSAIC, TEST
from tests.support.street import SIZE, write_street

SCALE = (128, 96)
RESIZED = [LOAD[0], dict(type='Resize', scale=SCALE, keep_ratio=True), LOAD[1], dict(type='PackDetInputs')]


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_street(tmp_path_factory.mktemp('street') / 'data', 12)[0]


def config(path, train_pipeline=(*LOAD, *AUGMENT), **dataset) -> Config:
    node = dict(type='DeepLakeDataset', deeplake_path=path, pipeline=list(train_pipeline), **dataset)
    test = dict(type='DeepLakeDataset', deeplake_path=path, pipeline=copy.deepcopy(RESIZED), test_mode=True)
    return Config(dict(train_dataloader=dict(dataset=node), test_dataloader=dict(dataset=test)))


def test_boxes_are_scaled_with_the_image_although_the_test_loads_them_after_it(path):
    dataset = scored_dataset(config(path), 'train')
    infos, found = [dataset.get_data_info(i) for i in range(3)], [dataset[i]['data_samples'] for i in range(3)]
    factor = SCALE[1] / SIZE[0]
    for info, sample in zip(infos, found, strict=True):
        whole = sum(len(sample.get(name)) for name in ('gt_instances', 'ignored_instances'))
        assert whole == len(info['instances'])
        kept = [item['bbox'] for item in info['instances'] if not item['ignore_flag']]
        assert sample.gt_instances.bboxes.numpy() == pytest.approx(np.float32(kept).reshape(-1, 4) * factor, abs=1e-3)
        assert sample.img_shape == (96, 128)


def test_rows_that_training_leaves_out_are_scored_too(path):
    filtered = config(path, filter_cfg=dict(filter_empty_gt=True))
    assert len(scored_dataset(filtered, 'train')) == 12
    assert scored_dataset(filtered, 'train').sample_images.tolist() == list(range(12))


def test_nothing_random_is_left_and_masks_are_loaded_as_in_training(path):
    masked = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
    steps = scoring_pipeline(config(path, [LOAD[0], masked, *AUGMENT]))
    assert [step['type'] for step in steps] == ['LoadImageFromFile', 'LoadAnnotations', 'Resize', 'PackDetInputs']
    assert steps[1] == masked
    assert {'img_id', 'sample_idx', 'scale_factor'} <= set(steps[-1]['meta_keys'])


def test_a_dataset_below_a_wrapper_is_found(path):
    wrapped = config(path, LOAD)
    inner = wrapped.train_dataloader.dataset
    wrapped.train_dataloader.dataset = dict(type='MultiImageMixDataset', dataset=inner, pipeline=MOSAIC)
    steps = [type(step).__name__ for step in scored_dataset(wrapped, 'train').pipeline.transforms]
    assert steps == ['LoadImageFromFile', 'LoadAnnotations', 'Resize', 'PackDetInputs']


def test_two_datasets_and_none_are_refused(path):
    two = config(path)
    two.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[two.train_dataloader.dataset] * 2)
    with pytest.raises(ConfigError, match=r'one Deep Lake dataset in train_dataloader, but got .*datasets\.0, .*\.1'):
        scored_dataset(two, 'train')
    with pytest.raises(ConfigError, match='one Deep Lake dataset in val_dataloader, but got none'):
        scored_dataset(two, 'val')


def test_a_test_pipeline_that_packs_nothing_is_refused(path):
    broken = config(path)
    broken.test_dataloader.dataset.pipeline = RESIZED[:-1]
    with pytest.raises(ConfigError, match=r"to end with PackDetInputs, but got .'LoadImageFromFile', 'Resize'"):
        scored_dataset(broken, 'train')


class Sizes:
    """A dataset of nothing but image sizes."""

    def __init__(self, sizes):
        self.sample_sizes = np.array(sizes)

    def __len__(self):
        return len(self.sample_sizes)


@pytest.mark.parametrize('world', [1, 2, 3])
@pytest.mark.parametrize('count', [1, 7, 2500])
def test_every_sample_is_scored_once_in_batches_of_one_size_of_neighbouring_rows(world, count):
    dataset = Sizes(np.random.default_rng(0).integers(1, 3, (count, 2)) * 32)
    seen = []
    for rank in range(world):
        for window in windows(dataset, 4, rank, world):
            places = [place for batch in window for place in batch]
            assert max(places) - min(places) < 1024
            seen += places
            for batch in window:
                assert len(batch) <= 4
                assert len({tuple(dataset.sample_sizes[place]) for place in batch}) == 1
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize('workers', [0, 1])
def test_the_loader_gives_the_batches_that_were_asked_for(path, workers):
    dataset = scored_dataset(config(path, TEST), 'train')
    batches = list(scoring_loader(dataset, [[3, 1], [0]], workers))
    assert [[sample.sample_idx for sample in batch['data_samples']] for batch in batches] == [[3, 1], [0]]
    assert [len(batch['inputs']) for batch in batches] == [2, 1]
