"""With deterministic_augmentation a sample depends on seed, epoch and index alone, whoever reads it and after what."""

from __future__ import annotations

import copy
import hashlib
import pickle
import random

import numpy as np
import pytest
import torch
from mmdet.datasets import MultiImageMixDataset
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import Subset

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.datasets.seeded_samples import SampleIndex, refuse_memories, seed_iteration, seed_samples
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.images import ImageReader
from tests.support.children import in_child
from tests.support.small_training import AUGMENT, LOAD, SCALE, dataset, write_images

COUNT = 9


@pytest.fixture(autouse=True, scope='module')
def mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('seeded') / 'ds', COUNT)


def wrapped(path) -> dict[str, dict]:
    """Datasets whose samples are drawn by lot, in every wrapper."""
    plain = dataset(path)
    return {
        'plain': plain,
        'python': {**plain, 'deeplake_dataloader_type': 'python'},
        'mosaic': dataset(path, mosaic=True),
        'repeat': dict(type='RepeatDataset', times=2, dataset=plain),
        'balanced': dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=plain),
        'concat': dict(type='ConcatDataset', datasets=[plain, plain]),
    }


def digest(sample: dict) -> str:
    instances = sample['data_samples'].gt_instances
    parts = [sample['inputs'].numpy(), instances.bboxes.numpy(), instances.labels.numpy()]
    return hashlib.sha256(b''.join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def read(config: dict, workers=0, batch_size=2, epochs=(0,), seed=3, deterministic=True) -> dict:
    """Hash of every sample by epoch and index, as a loader gives them."""
    loader = Runner.build_dataloader(
        dict(
            dataset=config,
            sampler=dict(type='DeepLakeSampler', deterministic_augmentation=deterministic),
            batch_size=batch_size,
            num_workers=workers,
            persistent_workers=workers > 0,
        ),
        seed=seed,
    )
    found = {}
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        order = list(loader.sampler)
        samples = (
            dict(inputs=image, data_samples=sample)
            for batch in loader
            for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True)
        )
        found |= {(epoch, int(index)): digest(sample) for index, sample in zip(order, samples, strict=True)}
    return found


@pytest.mark.parametrize('name', ['plain', 'python', 'mosaic', 'repeat', 'balanced', 'concat'])
def test_samples_are_the_same_in_batches_of_any_size_read_by_any_number_of_workers(path, name):
    config = wrapped(path)[name]
    alone = read(config, workers=0, batch_size=1)
    assert len(alone) >= COUNT
    assert read(config, workers=2, batch_size=3) == alone


def test_without_the_option_they_are_not(path):
    config = wrapped(path)['plain']
    assert read(config, workers=2, deterministic=False) != read(config, workers=0, deterministic=False)


def test_every_epoch_index_and_seed_gives_other_random_numbers(path):
    same_image = dict(type='RepeatDataset', times=4, dataset={**dataset(path), 'indices': 1})
    found = read(same_image, epochs=(0, 1, 2), workers=2)
    assert len(set(found.values())) == len(found) == 12
    assert not set(read(same_image, seed=4).values()) & set(found.values())


def test_a_wrapped_dataset_keeps_its_type_its_attributes_and_its_pickle(path):
    mixed = DATASETS.build(dataset(path, mosaic=True))
    seed_samples(mixed)
    seed_samples(mixed)
    assert isinstance(mixed, MultiImageMixDataset)
    assert type(mixed).__mro__[1] is MultiImageMixDataset
    assert type(mixed).__name__ == 'MultiImageMixDataset'
    mixed.update_skip_type_keys(['Mosaic'])
    index = SampleIndex(4, seed=3, epoch=1)
    expected = digest(mixed[index])
    for other in (pickle.loads(pickle.dumps(mixed)), copy.deepcopy(mixed)):
        assert type(other) is type(mixed)
        assert other._skip_type_keys == ['Mosaic']
        assert digest(other[pickle.loads(pickle.dumps(index))]) == expected


def send_digest(connection, opened: DeepLakeDataset, index: SampleIndex) -> None:
    connection.send(digest(opened[index]))


def test_a_spawned_process_gives_the_same_sample(path):
    opened = DATASETS.build(dataset(path))
    seed_samples(opened)
    index = SampleIndex(5, seed=3, epoch=1)
    assert in_child('spawn', send_digest, opened, index) == digest(opened[index])


def test_a_subset_gives_the_samples_of_its_own_indices(path):
    opened = DATASETS.build(dataset(path))
    seed_samples(opened)
    some = opened.get_subset([4, 2])
    expected = [digest(some[SampleIndex(i, 3, 0)]) for i in range(2)]
    random.random(), np.random.rand()
    assert [digest(some[SampleIndex(i, 3, 0)]) for i in range(2)] == expected


def test_plain_indices_draw_as_before(path):
    plain, seeded = (DATASETS.build(dataset(path)) for _ in range(2))
    seed_samples(seeded)
    found = []
    for opened in (plain, seeded):
        np.random.seed(7)
        found.append([digest(opened[i]) for i in range(4)])
    assert found[0] == found[1]


def test_the_generators_of_the_process_are_left_as_they_were(path):
    opened = DATASETS.build(dataset(path, mosaic=True))
    seed_samples(opened)

    def drawn(before):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        before()
        return random.random(), np.random.rand(), torch.rand(1).item()

    def failing():
        opened.pipeline[0].prob = 'no number'
        with pytest.raises(TypeError):
            opened[SampleIndex(2, 3, 0)]

    expected = drawn(lambda: None)
    assert drawn(lambda: opened[SampleIndex(2, 3, 0)]) == expected
    assert drawn(failing) == expected


def test_a_batch_is_still_read_in_one_call(path, monkeypatch):
    calls = []
    encoded = ImageReader.encoded
    monkeypatch.setattr(ImageReader, 'encoded', lambda self, rows: calls.append(len(rows)) or encoded(self, rows))
    found = read(dataset(path), batch_size=4)
    assert calls == [4, 4, 1]
    calls.clear()
    assert read({**dataset(path), 'deeplake_dataloader_type': 'python'}, batch_size=4) == found
    assert calls == [1] * COUNT


def test_a_dataset_that_reads_batches_its_own_way_is_asked_for_one_sample_after_another(path):
    opened = Subset(DATASETS.build(dataset(path)), list(range(COUNT)))
    assert read(opened, batch_size=3) == read(Subset(opened.dataset, list(range(COUNT))), batch_size=1)


def test_iterations_of_ranks_draw_different_numbers(monkeypatch):
    drawn = set()
    for seed, rank, iteration in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (2**63 + 1, 0, 0)]:
        for _ in range(2):
            seed_iteration(seed, rank, iteration)
            drawn.add((random.random(), np.random.rand(), torch.rand(1).item()))
    assert len(drawn) == 5
    assert len({part for numbers in drawn for part in numbers}) == 15


@pytest.mark.parametrize('name', ['CachedMosaic', 'CachedMixUp'])
def test_transforms_that_keep_images_are_refused_however_deep_they_are_wrapped(path, name):
    step = dict(type='RandomApply', transforms=[dict(type=name, img_scale=SCALE)])
    inner = {**dataset(path), 'pipeline': [*LOAD, step, *AUGMENT]}
    for config in (inner, dict(type='RepeatDataset', times=2, dataset=inner)):
        with pytest.raises(
            ConfigError, match=rf'got {name}, which mixes in .* Write {name[6:]} in the pipeline of a Mul'
        ):
            read(config)
        assert len(read(config, deterministic=False)) >= COUNT


def test_transforms_with_generators_of_their_own_are_refused(path):
    opened = DATASETS.build(dataset(path))

    class Albu:
        aug = type('Compose', (), {'set_random_seed': lambda self, seed: None})()

    opened.pipeline.transforms.insert(2, Albu())
    with pytest.raises(
        ConfigError, match=r'got Albu, whose library draws from its own. Write transforms of MMDetection'
    ):
        refuse_memories(opened)


def test_a_dataset_whose_class_cannot_be_replaced_is_refused():
    with pytest.raises(ConfigError, match='expected a dataset of a Python class, but got a list'):
        seed_samples([1, 2, 3])
