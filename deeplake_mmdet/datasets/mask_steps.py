"""What a pipeline wants of masks, however deep the step that loads them is wrapped. Nobody's masks are not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

_STEPS = (BaseTransform, Compose)


def loads_masks(pipeline: Iterable[Any]) -> bool:
    """Whether a step loads masks, also one inside of `RandomApply`, `RandomChoice`, `MultiBranch` and others."""
    return any(True for _ in _mask_steps(pipeline))


def loads_polygons(pipeline: Iterable[Any]) -> bool:
    """Whether such a step keeps polygons (``poly2mask=False``), and so ignores objects whose masks are none."""
    return not all(getattr(step, 'poly2mask', True) for step in _mask_steps(pipeline))


def _mask_steps(pipeline: Iterable[Any]) -> Iterator[Any]:
    for step in pipeline:
        if getattr(step, 'with_mask', False):
            yield step
        if isinstance(step, _STEPS):
            yield from _mask_steps(_inner_steps(step))


def _inner_steps(step: Any) -> Iterator[Any]:
    """Steps that a step holds as attributes: alone, in a list, or in a dict of branches."""
    for held in vars(step).values():
        items = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else (held,)
        yield from (item for item in items if isinstance(item, _STEPS))
