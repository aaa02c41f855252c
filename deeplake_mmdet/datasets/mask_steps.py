"""What a pipeline wants of masks, however deep the step that loads them is wrapped. Nobody's masks are not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from deeplake_mmdet.datasets.pipeline_steps import steps_of


def loads_masks(pipeline: Iterable[Any]) -> bool:
    """Whether a step loads masks."""
    return any(True for _ in _mask_steps(pipeline))


def loads_polygons(pipeline: Iterable[Any]) -> bool:
    """Whether such a step keeps polygons (``poly2mask=False``), and so ignores objects whose masks are none."""
    return not all(getattr(step, 'poly2mask', True) for step in _mask_steps(pipeline))


def _mask_steps(pipeline: Iterable[Any]) -> Iterator[Any]:
    return (step for step in steps_of(pipeline) if getattr(step, 'with_mask', False))
