"""`DeepLakeSampler`: one global order an epoch, the same on any number of ranks, that can be entered anywhere.

MMEngine's `DefaultSampler` gives each rank equally many samples by repeating some. Here only equally many steps are
asked for, and the order may begin in the middle, so a resumed run goes on with the sample after the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from deeplake_mmdet.datasets.aspects import wide_samples
from deeplake_mmdet.datasets.sample_order import Segment, grouped, left_count, left_of, permutation, share, total
from deeplake_mmdet.datasets.seeded_samples import SampleIndex, seed_samples
from deeplake_mmdet.errors import ConfigError


@DATA_SAMPLERS.register_module(force=True)
class DeepLakeSampler(Sampler):
    """Gives each rank its part of one global order.

    Every epoch holds every sample once. Global batch b is the same samples on any number of ranks; see `sample_order`.
    The train loops of this package tell it how batches are made (`set_batches`). Without them a global batch counts as
    one sample a rank: up to a sample a rank is repeated at the end of an epoch, so that all have equally many.

    Args:
        dataset (Sized): The outermost dataset; MMEngine passes it.
        shuffle (bool): Whether each epoch has another order: a permutation from seed and epoch.
        seed (int, optional): Defaults to the seed of the run, which MMEngine passes.
        group_by_aspect_ratio (bool): Whether batches hold only images that are wide, or only images that are high, in
            the place of ``batch_sampler=dict(type='AspectRatioBatchSampler')``.
        deterministic_augmentation (bool): Whether the random numbers of a sample come from seed, epoch and index
            alone, and not from the process that reads it; and those of a model from seed, rank and iteration.

    Raises:
        ConfigError: There are more ranks than samples, or a transform cannot be made deterministic.

    Examples:
        >>> train_dataloader = dict(
        ...     batch_size=8,
        ...     sampler=dict(type='DeepLakeSampler', shuffle=True, deterministic_augmentation=True),
        ...     dataset=dict(type='DeepLakeDataset', deeplake_path='data/bccd', deeplake_view_id='train'))
    """

    def __init__(
        self,
        dataset: Any,
        shuffle: bool = True,
        seed: int | None = None,
        group_by_aspect_ratio: bool = False,
        deterministic_augmentation: bool = False,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        if self.world_size > len(dataset):
            raise ConfigError(
                f'DeepLakeSampler(dataset=) expected at least one sample for each of the {self.world_size} processes, '
                f'but got {len(dataset)} in all. Train with fewer processes, or on more data.'
            )
        self.dataset, self.shuffle = dataset, shuffle
        self.seed: int = sync_random_seed() if seed is None else seed
        self.deterministic_augmentation = deterministic_augmentation
        self.epoch = 0
        self._batch_size, self._drop_last = 1, False
        self._entered: tuple[int, Sequence[Segment]] = (-1, ())
        self._wide = wide_samples(dataset) if group_by_aspect_ratio else None
        if deterministic_augmentation:
            seed_samples(dataset)

    def set_batches(self, batch_size: int, drop_last: bool) -> None:
        """Say how many samples a batch of one rank has, and what becomes of an incomplete last one.

        Raises:
            ConfigError: Every batch would be dropped.
        """
        self._batch_size, self._drop_last = batch_size, drop_last
        if drop_last and len(self.dataset) < self.global_batch:
            raise ConfigError(
                f'train_dataloader.drop_last is True, but the {len(self.dataset)} samples are fewer than the '
                f'{self.global_batch} of one batch ({self.world_size} processes with {batch_size} each), so all would '
                'be dropped. Write drop_last=False, or a smaller batch_size.'
            )

    @property
    def global_batch(self) -> int:
        """Samples of one batch of all ranks together."""
        return self._batch_size * self.world_size

    @property
    def order(self) -> dict[str, bool]:
        """What decides the order of an epoch, besides its seed; consumed samples are positions in it."""
        return {'shuffle': self.shuffle, 'group_by_aspect_ratio': self._wide is not None}

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is iterated next."""
        self.epoch = epoch

    def enter(self, epoch: int, consumed: Iterable[Segment]) -> None:
        """Begin an epoch after what was consumed of it; other epochs begin at their start.

        Args:
            epoch: The epoch.
            consumed: Size of the global batches and how many of them; several where the size changed meanwhile.
        """
        self._entered = (epoch, [(int(size), int(batches)) for size, batches in consumed])

    def steps_left(self) -> int:
        """How many batches the chosen epoch still gives to each rank."""
        return -(-self._total(left_count(len(self.dataset), self._consumed())) // self.global_batch)

    def __len__(self) -> int:
        """Samples of this rank in a whole epoch."""
        return len(range(self.rank, self._total(len(self.dataset)), self.world_size))

    def __iter__(self) -> Iterator[int]:
        """The samples of this rank that are left of the chosen epoch."""
        whole = permutation(len(self.dataset), self.seed + self.epoch) if self.shuffle else np.arange(len(self.dataset))
        left = grouped(left_of(whole, self._wide, self._consumed()), self._wide, self.global_batch)
        mine = share(left, self._total(len(left)), self.rank, self.world_size, repeats=whole)
        if self.deterministic_augmentation:
            seed, epoch = self.seed, self.epoch
            return (SampleIndex(index, seed, epoch) for index in mine)
        return map(int, mine)

    def _consumed(self) -> Sequence[Segment]:
        epoch, consumed = self._entered
        return consumed if epoch == self.epoch else ()

    def _total(self, left: int) -> int:
        return total(left, self.global_batch, self.world_size, drop_last=self._drop_last)
