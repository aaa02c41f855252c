"""The steps of a pipeline, however deep they are wrapped, and of all pipelines of a dataset and what it wraps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

_STEPS = (BaseTransform, Compose)


def steps_of(pipeline: Iterable[Any]) -> Iterator[Any]:
    """Every step, also those inside of `RandomApply`, `RandomChoice`, `MultiBranch` and others."""
    for step in pipeline:
        yield step
        if isinstance(step, _STEPS):
            yield from steps_of(_inner_steps(step))


def steps_of_dataset(dataset: Any) -> Iterator[Any]:
    """Every step of a dataset's own pipeline and of those of the datasets that it wraps."""
    pipeline = getattr(dataset, 'pipeline', None) or ()
    yield from steps_of(getattr(pipeline, 'transforms', pipeline))
    for inner in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
        if inner is not None:
            yield from steps_of_dataset(inner)


def _inner_steps(step: Any) -> Iterator[Any]:
    """Steps that a step holds as attributes: alone, in a list, or in a dict of branches."""
    for held in vars(step).values():
        items = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else (held,)
        yield from (item for item in items if isinstance(item, _STEPS))
