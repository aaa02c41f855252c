"""Which class is taken for which: objects and detections at the best score threshold, background included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.report.outcome import Outcome


@dataclass(frozen=True)
class Confusion:
    """Counts of pairs of a true and a predicted class.

    Attributes:
        names: Names of the first k rows and columns: all classes, or those that are confused most.
        counts: int64 (k + 1, k + 1); rows are true classes, columns predicted ones, the last of each is background:
            detections of nothing, and missed objects. With classes left out (k + 2, k + 2), they being the last but
            one; what happens among them is not told (-1).
        left_out: Number of classes that are left out.
        hidden: Number of confusions among those.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    left_out: int = 0
    hidden: int = 0


def confusion_matrix(outcome: Outcome) -> np.ndarray:
    """Counts of true and predicted classes, int64 (K + 1, K + 1), background last; crowds and their like left out."""
    truth, detections = outcome.evaluation.truth, outcome.evaluation.detections
    size = len(truth.classes) + 1
    background = size - 1
    confused = outcome.taken_for >= 0
    as_other = np.zeros(len(truth.labels), bool)
    as_other[outcome.taken_for[confused]] = True
    missed = truth.labels[outcome.missed & ~as_other]
    false = detections.labels[outcome.wrong & ~confused]
    true = [
        detections.labels[outcome.right],
        truth.labels[outcome.taken_for[confused]],
        missed,
        np.full(len(false), background),
    ]
    predicted = [
        detections.labels[outcome.right],
        detections.labels[confused],
        np.full(len(missed), background),
        false,
    ]
    cells = np.concatenate(true) * size + np.concatenate(predicted)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def most_confused(matrix: np.ndarray, classes: Sequence[str], limit: int = 20) -> Confusion:
    """The part of a matrix that can be read.

    Args:
        matrix: See `confusion_matrix`.
        classes: Class names, K.
        limit: Most classes shown. Those that are taken for others, or others for them, come first, then those with
            most other mistakes.
    """
    number = len(classes)
    if number <= limit:
        return Confusion(tuple(classes), matrix)
    wrong = matrix - np.diag(np.diag(matrix))
    among = wrong[:number, :number].sum(axis=0) + wrong[:number, :number].sum(axis=1)
    alone = wrong[:number, number] + wrong[number, :number]
    chosen = np.sort(np.lexsort((-alone, -among))[:limit])
    others = np.setdiff1d(np.arange(number), chosen)
    counts = np.zeros((limit + 2, limit + 2), np.int64)
    group = np.full(number + 1, limit + 1)
    group[chosen], group[others] = np.arange(limit), limit
    np.add.at(counts, (group[:, None], group[None, :]), matrix)
    counts[limit, limit] = -1
    hidden = int(wrong[np.ix_(others, others)].sum())
    return Confusion(tuple(classes[k] for k in chosen.tolist()), counts, len(others), hidden)


def frequent_confusions(matrix: np.ndarray, classes: Sequence[str], limit: int = 10) -> list[tuple[str, str, int]]:
    """The most frequent confusions: true class, predicted class, and how often; background is no class."""
    number = len(classes)
    among = matrix[:number, :number] * ~np.eye(number, dtype=bool)
    best = np.argsort(-among, axis=None, kind='stable')[:limit]
    pairs = [divmod(int(cell), number) for cell in best if among.flat[cell] > 0]
    return [(classes[true], classes[predicted], int(among[true, predicted])) for true, predicted in pairs]
