"""`DeepLakeSampler`: laws of the order, for every number of samples and ranks that can go wrong."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

from deeplake_mmdet.datasets import sampler as sampler_module
from deeplake_mmdet.datasets.sampler import DeepLakeSampler
from deeplake_mmdet.errors import ConfigError

SEED, EPOCH = 11, 2


class Shapes:
    """A dataset of which only heights and widths matter."""

    metainfo: dict = {}

    def __init__(self, wide):
        self.wide = wide

    def __len__(self):
        return len(self.wide)

    def get_data_info(self, index):
        return dict(height=2, width=3 if self.wide[index] else 1)


def sampler_of(monkeypatch, dataset, rank=0, world=1, **options) -> DeepLakeSampler:
    monkeypatch.setattr(sampler_module, 'get_dist_info', lambda: (rank, world))
    sampler = DeepLakeSampler(dataset, seed=SEED, **options)
    sampler.set_epoch(EPOCH)
    return sampler


def batches_of_ranks(
    monkeypatch, dataset, world, batch, drop_last=False, entered=None, **options
) -> list[list[list[int]]]:
    """Every batch of every rank, as PyTorch's loader makes them; and their number as it counts them."""
    ranks = []
    for rank in range(world):
        sampler = sampler_of(monkeypatch, dataset, rank, world, **options)
        sampler.set_batches(batch, drop_last)
        if entered is not None:
            sampler.enter(EPOCH, entered)
        batches = BatchSampler(sampler, batch, drop_last)
        ranks.append(list(batches))
        assert len(ranks[-1]) == sampler.steps_left()
        if entered is None:
            assert len(batches) == len(ranks[-1])
    return ranks


def global_batches(ranks: list[list[list[int]]]) -> list[list[int]]:
    """Samples of each global batch, in the global order; all ranks must have as many."""
    found = []
    for parts in zip(*ranks, strict=True):
        turns = itertools.zip_longest(*parts)
        found.append([index for turn in turns for index in turn if index is not None])
    return found


def expected_order(length: int) -> list[int]:
    """The order of MMEngine's sampler in a single process."""
    default = DefaultSampler(range(length), shuffle=True, seed=SEED)
    default.set_epoch(EPOCH)
    return list(default)


@pytest.mark.parametrize('drop_last', [False, True])
@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('world', [1, 2, 3, 4])
def test_ranks_take_equal_steps_through_one_global_order_and_miss_nothing(monkeypatch, world, batch, drop_last):
    size = world * batch
    for length in range(1, 34):
        if length < world or (drop_last and length < size):
            with pytest.raises(ConfigError):
                batches_of_ranks(monkeypatch, range(length), world, batch, drop_last)
            continue
        order = expected_order(length)
        found = global_batches(batches_of_ranks(monkeypatch, range(length), world, batch, drop_last))
        whole = length // size
        assert found[:whole] == [order[i * size : (i + 1) * size] for i in range(whole)]
        rest = order[whole * size :]
        if drop_last or not rest:
            assert len(found) == whole
            continue
        repeats = max(0, world - len(rest))
        assert found[whole:] == [rest + order[:repeats]]
        assert Counter(itertools.chain(*found)) == Counter(order) + Counter(order[:repeats])


def test_a_table_of_ten_samples():
    whole = {
        # ranks, batch, drop_last: batches of the ranks
        (1, 4, False): [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]],
        (2, 2, False): [[[0, 2], [4, 6], [8]], [[1, 3], [5, 7], [9]]],
        (4, 1, False): [[[0], [4], [8]], [[1], [5], [9]], [[2], [6], [0]], [[3], [7], [1]]],
        (2, 2, True): [[[0, 2], [4, 6]], [[1, 3], [5, 7]]],
        (3, 3, False): [[[0, 3, 6], [9]], [[1, 4, 7], [0]], [[2, 5, 8], [1]]],
        (3, 2, False): [[[0, 3], [6, 9]], [[1, 4], [7]], [[2, 5], [8]]],
    }
    for (world, batch, drop_last), expected in whole.items():
        with pytest.MonkeyPatch.context() as patch:
            assert batches_of_ranks(patch, range(10), world, batch, drop_last, shuffle=False) == expected


@pytest.mark.parametrize('drop_last', [False, True])
@pytest.mark.parametrize('world', [1, 2, 3, 4])
def test_ranks_that_know_nothing_of_batches_have_equally_many_samples(monkeypatch, world, drop_last):
    for length in range(world, 34):
        ranks = [list(sampler_of(monkeypatch, range(length), rank, world)) for rank in range(world)]
        assert len({len(rank) for rank in ranks}) == 1
        assert sorted(set(itertools.chain(*ranks))) == list(range(length))
        assert sum(map(len, ranks)) < length + world


def test_every_epoch_and_every_seed_has_another_order(monkeypatch):
    orders = set()
    for seed, epoch in itertools.product((0, 100), range(4)):
        monkeypatch.setattr(sampler_module, 'get_dist_info', lambda: (0, 1))
        sampler = DeepLakeSampler(range(20), seed=seed)
        sampler.set_epoch(epoch)
        assert list(sampler) == list(sampler)
        orders.add(tuple(sampler))
    assert len(orders) == 8


@pytest.mark.parametrize('grouping', [False, True])
@pytest.mark.parametrize('worlds', [(1, 2), (2, 1), (4, 2), (3, 4), (2, 2)])
def test_an_epoch_goes_on_with_the_next_sample_on_another_number_of_ranks(monkeypatch, worlds, grouping):
    first, second = worlds
    for length, batch in itertools.product((7, 12, 33), (1, 3)):
        dataset = Shapes([i % 3 != 1 for i in range(length)])
        options = dict(group_by_aspect_ratio=grouping)
        before = global_batches(batches_of_ranks(monkeypatch, dataset, first, batch, **options))
        for done in range(len(before) + 1):
            entered = [(first * batch, done)] if done else []
            after = global_batches(batches_of_ranks(monkeypatch, dataset, second, batch, entered=entered, **options))
            seen = list(itertools.chain(*before[:done], *after))
            assert set(seen) == set(range(length))
            assert len(seen) < length + first + second  # repeats at the end only
            if not grouping:
                assert list(dict.fromkeys(seen)) == expected_order(length)
            if first == second:
                assert after == before[done:]


@pytest.mark.parametrize('grouping', [False, True])
def test_an_epoch_that_is_interrupted_twice_still_gives_every_sample_once(monkeypatch, grouping):
    dataset = Shapes([i % 3 != 1 for i in range(29)])
    options = dict(group_by_aspect_ratio=grouping)
    first = global_batches(batches_of_ranks(monkeypatch, dataset, 2, 2, **options))[:2]
    second = global_batches(batches_of_ranks(monkeypatch, dataset, 3, 2, entered=[(4, 2)], **options))[:1]
    third = global_batches(batches_of_ranks(monkeypatch, dataset, 1, 2, entered=[(4, 2), (6, 1)], **options))
    assert sorted(itertools.chain(*first, *second, *third)) == list(range(29))


def test_only_the_epoch_that_was_entered_begins_in_the_middle(monkeypatch):
    sampler = sampler_of(monkeypatch, range(9))
    sampler.enter(EPOCH, [(1, 4)])
    assert list(sampler) == expected_order(9)[4:]
    assert len(sampler) == 9
    sampler.set_epoch(EPOCH + 1)
    assert len(list(sampler)) == 9


@pytest.mark.parametrize('length', [1, 6, 20, 33])
def test_on_one_rank_batches_of_one_aspect_are_those_of_mmdetection(monkeypatch, length):
    dataset = Shapes(np.random.default_rng(length).random(length) < 0.6)
    stock = AspectRatioBatchSampler(sampler_of(monkeypatch, dataset), batch_size=3)
    [ours] = batches_of_ranks(monkeypatch, dataset, 1, 3, group_by_aspect_ratio=True)
    assert ours == list(stock)


def test_on_several_ranks_a_whole_global_batch_has_one_aspect(monkeypatch):
    dataset = Shapes([i % 3 != 1 for i in range(40)])
    found = global_batches(batches_of_ranks(monkeypatch, dataset, 2, 2, group_by_aspect_ratio=True))
    assert [len({dataset.wide[index] for index in batch}) for batch in found[:-1]] == [1] * 9
    assert sorted(itertools.chain(*found)) == list(range(40))


def test_more_ranks_than_samples_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match=r'at least one sample for each of the 4 processes, but got 3 in all. Train'):
        sampler_of(monkeypatch, range(3), world=4)


def test_dropping_the_only_batch_is_refused(monkeypatch):
    sampler = sampler_of(monkeypatch, range(7), world=2)
    sampler.set_batches(3, drop_last=True)
    with pytest.raises(ConfigError, match=r'7 samples are fewer than the 8 of one batch \(2 processes with 4 each\)'):
        sampler.set_batches(4, drop_last=True)


def test_mmengine_builds_it_from_a_config():
    loader = Runner.build_dataloader(
        dict(dataset=list(range(10)), sampler=dict(type='DeepLakeSampler'), batch_size=4, num_workers=0), seed=SEED
    )
    loader.sampler.set_epoch(EPOCH)
    assert list(itertools.chain(*loader)) == expected_order(10)
