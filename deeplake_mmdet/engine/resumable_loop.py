"""What a train loop needs to go on where a run was interrupted.

With ``deterministic_augmentation`` every iteration seeds the generators of its rank anew, from the seed of the run, the
rank and its number. So a checkpoint needs no states of generators, which would have to be gathered from all ranks
whenever one is written; and what a model draws depends neither on the workers nor on validations before.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.dist import get_rank
from mmengine.logging import print_log
from torch.utils.data import BatchSampler, DataLoader

from deeplake_mmdet.datasets.sampler import DeepLakeSampler
from deeplake_mmdet.datasets.seeded_samples import refuse_memories, seed_iteration
from deeplake_mmdet.engine.place import KeepsPlace, Place
from deeplake_mmdet.errors import ConfigError


class ResumableLoop:
    """What both loops share; to be put before MMEngine's loop.

    Attributes:
        place: Where the run stands in its data.
        saved: What the checkpoint that was loaded says of it.
    """

    runner: Any
    dataloader: DataLoader
    val_begin: int
    val_interval: int
    _iter: int

    def __init__(self, runner: Any, dataloader: Any, **options: Any) -> None:
        loader = _built(runner, dataloader)
        self.sampler = _sampler_of(loader)
        self.sampler.set_batches(loader.batch_size, loader.drop_last)
        self.place = Place()
        self.saved: Mapping[str, Any] | None = None
        runner.register_hook(KeepsPlace(self))
        self.sampler.enter(0, [(len(loader.dataset), 1)])  # MMEngine 0.10's loop makes an iterator, which reads ahead
        super().__init__(runner, loader, **options)  # type: ignore[call-arg]
        self.sampler.enter(0, ())

    def numbers(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What a checkpoint is to say, for `saved` of a later loop.

        Args:
            meta: Its ``meta``, with the epoch and the iteration that MMEngine goes on with.
        """
        place = self._place_of(meta)
        return {
            'epoch': place.epoch,
            'consumed': [list(segment) for segment in place.consumed(meta['iter'], self.sampler.global_batch)],
            'validated': place.validated,
            'seed': self.sampler.seed,
            'samples': len(self.sampler.dataset),
            'order': self.sampler.order,
        }

    def _place_of(self, meta: Mapping[str, Any]) -> Place:
        return self.place

    def _enter(self, first_epoch: int) -> None:
        """Go to where the checkpoint was taken.

        Args:
            first_epoch: Epoch to begin with where the checkpoint does not say more.
        """
        saved = self._usable()
        if saved is None:
            self.place = Place(first_epoch, self._iter, validated=True)
        else:
            self.sampler.seed = saved['seed']
            before = tuple((size, batches) for size, batches in saved['consumed'])
            self.place = Place(saved['epoch'], self._iter, before, saved['validated'])
        self.sampler.enter(self.place.epoch, self.place.before)
        self.sampler.set_epoch(self.place.epoch)
        if saved is not None:
            print_log(
                f'Resumed at iteration {self._iter}: {self.sampler.steps_left()} of {len(self.dataloader)} batches are '
                f'left of epoch {self.place.epoch + 1}.',
                logger='current',
            )

    def _usable(self) -> Mapping[str, Any] | None:
        """What the checkpoint says, unless it is of another training, number of samples or kind of order."""
        samples, order = len(self.sampler.dataset), self.sampler.order
        if self.saved is None:
            reason = 'does not say which samples were seen since, as one that MMEngine itself wrote'
        elif self.saved['samples'] != samples:
            reason = f'was taken on {self.saved["samples"]} samples, and there are {samples}'
        elif self.saved.get('order', order) != order:
            reason = f'was taken in an order with {self.saved["order"]}, and it is now one with {order}'
        else:
            return self.saved
        text = f'Resumed at iteration {self._iter}, at the beginning of an epoch: the checkpoint {reason}.'
        print_log(text, logger='current', level=logging.WARNING)
        return None

    def run_iter(self, *arguments: Any) -> None:
        """One iteration; with ``deterministic_augmentation`` the model's random numbers come from its number."""
        if self.sampler.deterministic_augmentation:
            seed_iteration(self.sampler.seed, get_rank(), self._iter)
        super().run_iter(*arguments)  # type: ignore[misc]

    def _check_pipeline(self) -> None:
        """Hooks may have switched the pipeline before an epoch."""
        if self.sampler.deterministic_augmentation:
            refuse_memories(self.sampler.dataset)

    def _validate_if_due(self, done: int, last: int) -> None:
        """Validate after so many epochs or iterations, if it is the turn."""
        self._decide_current_val_interval()  # type: ignore[attr-defined]
        due = done >= self.val_begin and (done % self.val_interval == 0 or done == last)
        if due and self.runner.val_loop is not None:
            self.runner.val_loop.run()


def _built(runner: Any, dataloader: Any) -> Any:
    """A dataloader, built as MMEngine's loops build it."""
    if not isinstance(dataloader, dict):
        return dataloader
    other_seeds = runner._randomness_cfg.get('diff_rank_seed', False)
    return runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=other_seeds)


def _sampler_of(loader: DataLoader) -> DeepLakeSampler:
    sampler, batches = loader.sampler, loader.batch_sampler
    if isinstance(sampler, DeepLakeSampler) and type(batches) is BatchSampler:
        return sampler
    found = type(sampler).__name__ if type(batches) is BatchSampler else f'batch_sampler {type(batches).__name__}'
    raise ConfigError(
        f"train_dataloader.sampler expected dict(type='DeepLakeSampler') and no batch_sampler, because train_cfg.type "
        f"is one of this package's loops, but got {found}. Write that sampler (with group_by_aspect_ratio=True in the "
        'place of AspectRatioBatchSampler), or a loop of MMEngine.'
    )
