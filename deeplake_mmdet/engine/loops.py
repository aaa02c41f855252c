"""Train loops that go on at the next sample, wherever a run was interrupted.

MMEngine's `EpochBasedTrainLoop` begins the epoch again, and its `IterBasedTrainLoop` reads again all that it skips.
Here the sampler is entered where the checkpoint says, so nothing is read twice; the validation that was due is made up
for; and both loops run through the same batches, so a checkpoint of one continues the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from deeplake_mmdet.engine.place import Place
from deeplake_mmdet.engine.resumable_loop import ResumableLoop


@LOOPS.register_module(force=True)
class DeepLakeEpochTrainLoop(ResumableLoop, EpochBasedTrainLoop):
    """`EpochBasedTrainLoop` that resumes in the middle of an epoch.

    Args:
        runner, dataloader: Passed by MMEngine; the loader's sampler is a `DeepLakeSampler`.
        **options: See `EpochBasedTrainLoop`.

    Raises:
        ConfigError: The loader has another sampler.
    """

    _epoch: int

    def run(self) -> Any:
        """Train."""
        if self._iter:
            self._resume()
        self.runner.call_hook('before_train')
        if self._iter and not self.place.before and not self.place.validated:
            self._validate_if_due(self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due(self._epoch, self._max_epochs)
        self.runner.call_hook('after_train')
        return self.runner.model

    def _resume(self) -> None:
        self._enter(self._epoch)
        self._epoch = self.place.epoch
        epochs_after = max(0, self._max_epochs - self._epoch - 1)
        if self._epoch < self._max_epochs:  # on another number of ranks an epoch has another number of batches
            self._max_iters = self._iter + self.sampler.steps_left() + epochs_after * len(self.dataloader)
            wrapper = self.runner.optim_wrapper
            if isinstance(wrapper, OptimWrapper):  # was told of the number before; it accumulates gradients by it
                wrapper.initialize_count_status(self.runner.model, self._iter, self._max_iters)

    def run_epoch(self) -> None:
        """Train for what is left of an epoch."""
        self.sampler.set_epoch(self._epoch)
        self.runner.call_hook('before_train_epoch')
        self._check_pipeline()
        self.runner.model.train()
        for number, batch in enumerate(self.dataloader, len(self.dataloader) - self.sampler.steps_left()):
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.place = Place(self._epoch, self._iter)

    def _place_of(self, meta: Mapping[str, Any]) -> Place:
        """After an epoch, MMEngine goes on with the next, which its loop has not begun yet."""
        return self.place if meta['epoch'] == self.place.epoch else Place(meta['epoch'], meta['iter'])


@LOOPS.register_module(force=True)
class DeepLakeIterTrainLoop(ResumableLoop, IterBasedTrainLoop):
    """`IterBasedTrainLoop` that resumes without reading what it skips.

    It runs through one epoch after the other, with the batches of a training by epochs.

    Args:
        runner, dataloader: Passed by MMEngine; the loader's sampler is a `DeepLakeSampler`.
        **options: See `IterBasedTrainLoop`.

    Raises:
        ConfigError: The loader has another sampler.
    """

    def __init__(self, runner: Any, dataloader: Any, **options: Any) -> None:
        super().__init__(runner, dataloader, **options)
        self.dataloader_iterator = self._batches()

    def run(self) -> Any:
        """Train."""
        if self._iter:
            self._enter(self._iter // len(self.dataloader))
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self._check_pipeline()
        if self._iter and not self.place.validated:
            self._validate_if_due(self._iter, self._max_iters)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate_if_due(self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _batches(self) -> Iterator[Any]:
        """The batches of all epochs, from where the run stands on."""
        while True:
            self.sampler.set_epoch(self.place.epoch)
            yield from self.dataloader
            self.place = Place(self.place.epoch + 1, self._iter)
