"""A checkpoint's classes are those of the data.

A detector's outputs are positions in the class list of its training. Read with another list, they are scored against
the wrong names, or its head is rebuilt for another number and stays random; nothing else would notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from deeplake_mmdet.engine.run_datasets import run_datasets
from deeplake_mmdet.errors import ConfigError


class CheckpointClasses(Hook):
    """Compares classes before a checkpoint, or a module with weights, is evaluated, and before a run is resumed.

    To start a training of other classes from a checkpoint is allowed.

    Args:
        resume: Whether the run is resumed.
    """

    def __init__(self, resume: bool) -> None:
        self._resume = resume
        self._loaded = False

    def after_load_checkpoint(self, runner: Any, checkpoint: Mapping[str, Any]) -> None:
        """Compare what the checkpoint says.

        Raises:
            ConfigError: It has other classes than the data.
        """
        self._loaded = True
        datasets = dict(run_datasets(runner))
        trains = any(key.startswith('train_dataloader') for key in datasets)
        if self._resume or not trains:
            check_classes(checkpoint, datasets)

    def before_test(self, runner: Any) -> None:
        """Compare what a module was trained on, where no checkpoint took the place of its weights.

        Raises:
            ConfigError: It has other classes than the data.
        """
        if not self._loaded:
            _compare(
                'The model', _classes(getattr(bare(runner.model), 'dataset_meta', None)), dict(run_datasets(runner))
            )


def check_classes(checkpoint: Mapping[str, Any], datasets: Mapping[str, Any]) -> None:
    """Compare the classes of a checkpoint with those of datasets.

    Args:
        checkpoint: Its content.
        datasets: Config key to `DeepLakeDataset`.

    Raises:
        ConfigError: They differ.
    """
    meta = checkpoint.get('meta') or {}
    _compare('The checkpoint', _classes(meta.get('dataset_meta')) or _classes(meta), datasets)


def bare(model: Any) -> Any:
    """A model without the wrapper of distributed training."""
    return model.module if is_model_wrapper(model) else model


def _classes(meta: Any) -> tuple[str, ...] | None:
    """The classes of a ``dataset_meta``, in the spelling of MMDetection 3 or 2; None where there are none."""
    named = {str(key).lower(): value for key, value in meta.items()} if isinstance(meta, Mapping) else {}
    classes = named.get('classes')
    return (classes,) if isinstance(classes, str) else tuple(classes) if classes else None


def _compare(owner: str, classes: tuple[str, ...] | None, datasets: Mapping[str, Any]) -> None:
    for key, dataset in datasets.items():
        expected = tuple(dataset.metainfo['classes'])
        if classes is not None and classes != expected:
            raise ConfigError(
                f'{owner} expected the classes that it was trained on, {_shown(classes)}, but {key} has '
                f'{_shown(expected)}. Labels are positions in this list: give {key}.metainfo=dict(classes=(…)) with '
                'the classes of the training, in their order, and data that have them all.'
            )


def _shown(classes: tuple[str, ...]) -> str:
    more = f', … ({len(classes)} classes)' if len(classes) > 20 else ''
    return f'({", ".join(map(repr, classes[:20]))}{more})'
