"""Which images of an index are samples: filters and subsets, as arrays of image numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.errors import ConfigError, EmptyDatasetError
from deeplake_mmdet.source.handle import SourceHandle

# `bbox_min_size` marks boxes as ignored and removes no image.
_FILTERS = ('filter_empty_gt', 'min_size', 'bbox_min_size')


def filtered(index: AnnotationIndex, filter_cfg: Mapping[str, Any] | None) -> tuple[np.ndarray, dict[str, int]]:
    """Apply ``filter_cfg``.

    Returns:
        Image numbers that are left, int32, in the dataset's order; and how many images each filter removed.

    Raises:
        ConfigError: Unknown filter.
    """
    config = dict(filter_cfg or {})
    unknown = sorted(set(config) - set(_FILTERS))
    if unknown:
        raise ConfigError(f'DeepLakeDataset(filter_cfg=) expected the keys {", ".join(_FILTERS)}, but got {unknown}.')
    if not config:
        return np.arange(len(index), dtype=np.int32), {}
    keep = np.ones(len(index), bool)
    counts = {}
    passes = index.kept(
        filter_empty_gt=bool(config.get('filter_empty_gt', False)), min_size=int(config.get('min_size') or 0)
    )
    for name, passed in passes.items():
        counts[name] = int(np.sum(keep & ~passed))
        keep &= passed
    if config.get('filter_empty_gt') and keep.sum() == len(index.nonempty):
        return index.nonempty, counts  # an array that processes may share
    return np.flatnonzero(keep).astype(np.int32), counts


def smallest_box(filter_cfg: Mapping[str, Any] | None) -> float:
    """Width and height in pixels below which boxes are ignored; 0 where none are.

    Raises:
        ConfigError: It is no number, or negative.
    """
    least = (filter_cfg or {}).get('bbox_min_size') or 0
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least < math.inf:
        raise ConfigError(
            f'DeepLakeDataset(filter_cfg.bbox_min_size=) expected a number of pixels, but got {least!r}. Give 8, say.'
        )
    return least


def subset(order: np.ndarray, indices: int | Sequence[int] | None) -> np.ndarray:
    """The first (n > 0) or last (n < 0) n samples, or the given ones.

    Raises:
        TypeError: `indices` is neither an int nor a sequence.
        IndexError: An index is out of range.
    """
    if indices is None:
        return order
    if isinstance(indices, (int, np.integer)):
        return order[:indices] if indices >= 0 else order[indices:]
    if isinstance(indices, (Sequence, np.ndarray)):
        chosen = np.asarray(indices)
        if chosen.size and chosen.dtype.kind not in 'iu':
            raise TypeError(f'indices should be whole numbers, but got {indices!r:.80}')
        wrong = chosen[(chosen >= len(order)) | (chosen < -len(order))]
        if len(wrong):
            raise IndexError(f'indices should be below the {len(order)} samples, but got {int(wrong[0])}')
        return order[chosen.astype(np.int64)]
    raise TypeError(f'indices should be an int or a sequence of int, but got {type(indices).__name__}')


def check_not_empty(order: np.ndarray, index: AnnotationIndex, counts: Mapping[str, int], source: SourceHandle) -> None:
    """Refuse a dataset without samples.

    Raises:
        EmptyDatasetError: It says what removed how many.
    """
    if len(order):
        return
    if not len(index):
        raise EmptyDatasetError(f'{source.revision}: the dataset has no row.')
    removed = ', '.join(f'{name} removed {count}' for name, count in counts.items() if count)
    raise EmptyDatasetError(
        f'{source.revision}: no sample is left of {len(index)} images: {removed or "indices or on_error removed all"}. '
        f'The classes asked for are {list(index.classes)}. Check filter_cfg, metainfo.classes and indices.'
    )
