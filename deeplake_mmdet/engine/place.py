"""Where a training stands in its data, as plain numbers in every checkpoint.

MMEngine saves how many epochs and iterations are done. That is not enough to go on in the middle of an epoch with other
batches, on more or fewer ranks: it takes what was consumed of which epoch, and the seed of its order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.hooks import Hook

from deeplake_mmdet.datasets.sample_order import Segment
from deeplake_mmdet.engine.checkpoint_classes import bare

KEY = 'deeplake_place'  # in checkpoint['meta']


@dataclass
class Place:
    """A place in the data.

    Attributes:
        epoch: Epoch of the order; of a training by iterations, too.
        began: Number of iterations that were done when this process began to consume it.
        before: What other processes, that the run was interrupted in, consumed of it.
        validated: Whether the validation that follows the last iteration is done.
    """

    epoch: int = 0
    began: int = 0
    before: tuple[Segment, ...] = ()
    validated: bool = False

    def consumed(self, iterations: int, global_batch: int) -> list[Segment]:
        """What is consumed of the epoch when `iterations` are done."""
        batches = iterations - self.began
        return [*self.before, (global_batch, batches)] if batches else [*self.before]


class KeepsPlace(Hook):
    """Writes the place of a train loop into checkpoints, and gives the loop what a checkpoint says.

    Args:
        loop: A train loop of this package.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self._loop.place.validated = False

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self._loop.place.validated = True

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        meta = checkpoint['meta']
        meta[KEY] = {**self._loop.numbers(meta), 'sizes': _sizes(runner.model)}

    def after_load_checkpoint(self, runner: Any, checkpoint: Mapping[str, Any]) -> None:
        self._loop.saved = (checkpoint.get('meta') or {}).get(KEY)
        _set_sizes(runner.model, (self._loop.saved or {}).get('sizes', {}))


def _sizes(model: Any) -> dict[str, list[int]]:
    """The size that each `BatchSyncRandomResize` of a model resizes to at present, by its name in the model.

    It is drawn every few iterations, and in no state dict.
    """
    found = ((name, getattr(module, '_input_size', None)) for name, module in _resizing(model))
    return {name: [int(side) for side in size] for name, size in found if size is not None}


def _set_sizes(model: Any, sizes: Mapping[str, Any]) -> None:
    for name, module in _resizing(model):
        if name in sizes:
            module._input_size = tuple(sizes[name])


def _resizing(model: Any) -> list[tuple[str, Any]]:
    from mmdet.models.data_preprocessors import BatchSyncRandomResize

    return [item for item in bare(model).named_modules() if isinstance(item[1], BatchSyncRandomResize)]
