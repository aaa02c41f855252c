"""Which samples an epoch gives, in which order, to which rank: pure functions of indices.

An epoch is one global order of all samples. Global batch b of G samples (the ranks' batches together) is positions
[bG, (b + 1)G) of it, and rank r of W takes every W-th of them, from the r-th on. So the number of ranks changes who
reads a sample, never what a global batch holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# What was consumed of an epoch: the size of the global batches, and how many of them.
Segment = tuple[int, int]


def permutation(length: int, seed: int) -> np.ndarray:
    """A random order of 0 to length - 1, int64; that of MMEngine's `DefaultSampler` for the same seed."""
    import torch

    return torch.randperm(length, generator=torch.Generator().manual_seed(seed)).numpy()


def grouped(order: np.ndarray, wide: np.ndarray | None, size: int) -> np.ndarray:
    """Let each batch hold images of one aspect only, but for the last ones.

    A batch stands where its last image did; what fills no batch is left for the end. With one rank these are the
    batches of MMDetection's `AspectRatioBatchSampler`.

    Args:
        order: Samples, int64 (M,).
        wide: Whether each sample of the dataset is at least as wide as it is high, bool (N,); None to leave the order.
        size: Samples of a batch.
    """
    if wide is None:
        return order
    is_wide = wide[order]
    batches, rests = [], []
    for places in (np.flatnonzero(~is_wide), np.flatnonzero(is_wide)):
        whole = len(places) // size * size
        batches.append(places[:whole].reshape(-1, size))
        rests.append(places[whole:])
    complete = np.concatenate(batches)
    complete = complete[np.argsort(complete[:, -1])]
    return order[np.concatenate([complete.ravel(), *rests])]


def left_of(order: np.ndarray, wide: np.ndarray | None, consumed: Sequence[Segment]) -> np.ndarray:
    """What is left of an epoch's order, in this order.

    Args:
        order: The whole order, int64 (N,).
        wide: As in `grouped`.
        consumed: What was consumed, one segment for every size of the global batch that the epoch was run with.
    """
    for size, batches in consumed:
        done = grouped(order, wide, size)[: size * batches]
        order = order[~np.isin(order, done, assume_unique=True)] if wide is not None else order[len(done) :]
    return order


def left_count(length: int, consumed: Sequence[Segment]) -> int:
    """How many samples are left of an epoch of `length`."""
    return max(0, length - sum(size * batches for size, batches in consumed))


def total(left: int, size: int, world: int, *, drop_last: bool) -> int:
    """How many samples the ranks take together, so that all of them take equally many steps.

    The last global batch may be smaller than the others. It is dropped, or kept and shared: some ranks get a sample
    more than others, and only where it has fewer samples than there are ranks are there repeats, one for each rank that
    would have none. That is the fewest possible.

    Args:
        left: Samples that are left of the epoch.
        size: Samples of a global batch.
        world: Number of ranks.
        drop_last: Whether an incomplete last batch is dropped.
    """
    last = left % size
    if drop_last:
        return left - last
    return left + max(0, world - last) if last else left


def share(order: np.ndarray, length: int, rank: int, world: int, repeats: np.ndarray) -> np.ndarray:
    """The samples of one rank.

    Args:
        order: What is left of the epoch, as it is to be read, int64 (M,).
        length: How many the ranks take together, see `total`.
        rank, world: Number of the rank, and of ranks.
        repeats: Samples to repeat where `length` is more than there are.
    """
    order = np.concatenate([order, repeats[: length - len(order)]]) if length > len(order) else order[:length]
    return order[rank::world].copy()  # a view would keep the whole order
