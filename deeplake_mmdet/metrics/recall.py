"""Recall of the best-scored boxes, whatever their class, equal to MMDetection's `eval_recalls`.

That function cannot take images with different numbers of boxes under NumPy 1.24 and later, and goes through the
images one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.box_pairs import pair_ious


def recalls(
    truths: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    numbers: Sequence[int],
    iou_thrs: Sequence[float],
    *,
    legacy: bool,
) -> np.ndarray:
    """Recall at numbers of boxes an image and at IoU thresholds.

    Each true box is paired with one found box, the best pairs first.

    Args:
        truths: True boxes of each image, xyxy pixels (m, 4).
        found: Found boxes of each image with their scores, float32 (n, 5).
        numbers: How many of the best-scored boxes of an image count.
        iou_thrs: IoU thresholds.
        legacy: Whether widths and heights count the last pixel, as PASCAL VOC does and COCO does not.

    Returns:
        float64 (len(numbers), len(iou_thrs)); NaN where there is no true box.
    """
    total = sum(len(boxes) for boxes in truths)
    thresholds = np.asarray(iou_thrs, np.float64)
    result = np.full((len(numbers), len(thresholds)), np.nan)
    if not total:
        return result
    pairs = _close_pairs(truths, found, max(numbers), thresholds.min(), legacy)
    for n, number in enumerate(numbers):
        counts = pairs.ranks < number
        best = _pair_up(pairs.true[counts], pairs.found[counts], pairs.ious[counts])
        result[n] = [np.sum(best >= threshold) / total for threshold in thresholds]
    return result


def proposal_numbers(key: str, given: int | Sequence[int]) -> tuple[int, ...]:
    """Numbers of best-scored boxes of an image, as a metric's argument gives them, sorted.

    Raises:
        ConfigError: They are no positive integers.
    """
    numbers = tuple(given) if isinstance(given, Sequence) else (given,)
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in numbers)
    if not numbers or not whole:
        raise ConfigError(f'{key} expected positive integers such as (100, 300, 1000), but got {given!r}.')
    return tuple(sorted(set(numbers)))


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a true and a found box of one image, the best first.

    Attributes:
        true, found: Number of the box among those of all images, int64 (p,).
        ranks: How many boxes of the image are scored better than the found one, int64 (p,).
        ious: float32 (p,).
    """

    true: np.ndarray
    found: np.ndarray
    ranks: np.ndarray
    ious: np.ndarray


def _close_pairs(
    truths: Sequence[np.ndarray], found: Sequence[np.ndarray], number: int, least: np.float64, legacy: bool
) -> _Pairs:
    """The pairs with at least some IoU.

    Args:
        truths, found, legacy: As in `recalls`.
        number: How many of the best-scored boxes of an image count.
        least: The IoU.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    first_true = first_found = 0
    for boxes, candidates in zip(truths, found, strict=True):
        by_score = np.argsort(candidates[:, 4])[::-1][:number]  # equal scores as MMDetection leaves them
        boxes, candidates = boxes.astype(np.float32), candidates[by_score, :4].astype(np.float32)
        ious = pair_ious(boxes[:, None], candidates[None], legacy=legacy)
        true, ranks = np.nonzero(ious >= least)
        parts.append((first_true + true, first_found + ranks, ranks, ious[true, ranks]))
        first_true, first_found = first_true + len(boxes), first_found + len(candidates)
    true, places, ranks, ious = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(-ious, kind='stable')
    return _Pairs(true[order], places[order], ranks[order], ious[order])


def _pair_up(true: np.ndarray, found: np.ndarray, ious: np.ndarray) -> np.ndarray:
    """The IoU of each pair when the best pair is taken first, then the best of what is left, and so on.

    Args:
        true, found: The two boxes of each pair, the best pair first, int64 (p,).
        ious: float32 (p,).

    Returns:
        float32 (q,), in no order; no box is in two pairs.
    """
    taken = [ious[:0]]
    while len(ious):
        # The best pair of both its boxes is taken sooner or later, whatever becomes of the others.
        best = _is_first(true) & _is_first(found)
        taken.append(ious[best])
        left = ~(_is_among(true, true[best]) | _is_among(found, found[best]))
        true, found, ious = true[left], found[left], ious[left]
    return np.concatenate(taken)


def _is_first(numbers: np.ndarray) -> np.ndarray:
    """Where each number comes for the first time, bool (p,)."""
    places = np.arange(len(numbers))
    first = np.empty(numbers.max() + 1, np.int64)
    first[numbers[::-1]] = places[::-1]
    return first[numbers] == places


def _is_among(numbers: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Where the number is one of some, bool (p,)."""
    mask = np.zeros(numbers.max() + 1, bool)
    mask[chosen] = True
    return mask[numbers]
