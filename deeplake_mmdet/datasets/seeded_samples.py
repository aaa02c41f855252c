"""Random numbers of a sample that depend on nothing but its seed, its epoch and its index.

Transforms draw from the global generators of Python, NumPy and PyTorch, so what they do to a sample depends on which
process reads it and on what that process read before. Here the generators are seeded before each sample of the
outermost dataset: by then nothing was drawn, neither by its pipeline nor for the other images that a mosaic mixes in.

The epoch has to travel with the index, because worker processes that live on learn of no new epoch otherwise. And the
dataset stays the object that it is, because MMDetection's hooks set its pipeline and ask for its type: only its class
is replaced by a subclass that seeds.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.datasets.pipeline_steps import steps_of_dataset
from deeplake_mmdet.errors import ConfigError

# What seeds are for, so that equal numbers of different meaning give different ones.
_SAMPLE, _ITERATION = 0, 1


class SampleIndex(int):
    """An index that knows what its sample's random numbers come from.

    Args:
        index: Index of the sample.
        seed: Seed of the run.
        epoch: Number of the epoch.
    """

    seed: int
    epoch: int

    def __new__(cls, index: int, seed: int, epoch: int) -> SampleIndex:
        self = super().__new__(cls, index)
        self.seed, self.epoch = seed, epoch
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return SampleIndex, (int(self), self.seed, self.epoch)


def seed_samples(dataset: Any) -> None:
    """Let a dataset draw the random numbers of each sample from its `SampleIndex`; plain indices are as before.

    Args:
        dataset: The outermost dataset; it keeps its attributes, its type becomes a subclass of what it was.

    Raises:
        ConfigError: A transform keeps what no seed can bring back, or the dataset is no object of a Python class.
    """
    refuse_memories(dataset)
    if getattr(type(dataset), 'seeds_samples', False):
        return
    try:
        dataset.__class__ = _seeded(dataset.__class__)
    except TypeError:
        raise ConfigError(
            f'deterministic_augmentation=True expected a dataset of a Python class, but got a {type(dataset).__name__}.'
        ) from None


def refuse_memories(dataset: Any) -> None:
    """Refuse transforms that keep something from sample to sample.

    Args:
        dataset: The outermost dataset.

    Raises:
        ConfigError: A step of its pipelines does.
    """
    for step in steps_of_dataset(dataset):
        name = type(step).__name__
        if hasattr(step, 'results_cache'):
            raise ConfigError(
                f'deterministic_augmentation=True expected samples that depend on their index alone, but got {name}, '
                f'which mixes in what its worker process read before. Write {name.removeprefix("Cached")} in the '
                'pipeline of a MultiImageMixDataset, or train_dataloader.sampler.deterministic_augmentation=False.'
            )
        if hasattr(getattr(step, 'aug', None), 'set_random_seed'):
            raise ConfigError(
                f'deterministic_augmentation=True expected transforms that draw from the generators of random, numpy '
                f'and torch, but got {name}, whose library draws from its own. Write transforms of MMDetection, or '
                'train_dataloader.sampler.deterministic_augmentation=False.'
            )


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Seed all generators of a rank, those of its devices too, for one iteration of training."""
    torch.manual_seed(_seed_host(_ITERATION, seed, rank, iteration))


def _seed_host(*numbers: int) -> int:
    """Seed the generators of Python and NumPy; returns a seed for PyTorch's."""
    entropy = [number % 2**64 for number in numbers]
    first, second, third = np.random.SeedSequence(entropy).generate_state(3, np.uint64).tolist()
    random.seed(first)
    np.random.seed([second % 2**32, second >> 32])
    return third


@contextmanager
def _seeds_of(index: SampleIndex) -> Iterator[None]:
    """Seed for one sample, and leave the generators as they were: without workers, the model draws from them too."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    torch.default_generator.manual_seed(_seed_host(_SAMPLE, index.seed, index.epoch, int(index)))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@functools.cache
def _seeded(kind: Any) -> type:
    """A subclass of a class of datasets that seeds, of the same name."""

    class Seeded(kind):
        seeds_samples = True

        def __getitem__(self, index: Any) -> Any:
            if not isinstance(index, SampleIndex):
                return super().__getitem__(index)
            with _seeds_of(index):
                return super().__getitem__(int(index))

        def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
            """As an object of the class that it was made of: nobody can import this one."""
            make, arguments, *state = super().__reduce_ex__(protocol)
            return _remake, (make, tuple(kind if item is Seeded else item for item in arguments)), *state

    if not issubclass(kind, DeepLakeDataset):  # which reads a batch ahead, and asks itself for one sample after another
        Seeded.__getitems__ = None  # so does PyTorch then
    Seeded.__name__, Seeded.__qualname__, Seeded.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Seeded


def _remake(make: Any, arguments: tuple[Any, ...]) -> Any:
    made = make(*arguments)
    made.__class__ = _seeded(made.__class__)
    return made
