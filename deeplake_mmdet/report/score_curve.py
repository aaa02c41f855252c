"""Precision, recall and F1 of all classes together, for every score that detections can be cut off at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, NEITHER, Matching

NO_BEST = 0.5  # where no threshold is better than another


@dataclass(frozen=True)
class ScoreCurve:
    """What remains right when detections below a score are dropped.

    Attributes:
        thresholds: Every score that occurs, the highest first, float64 (S,).
        precision: Share of the detections that are right, float64 (S,).
        recall: Share of the objects that are found, float64 (S,); NaN if there is no object.
        f1: Harmonic mean of both, float64 (S,); 0 where nothing is right.
    """

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @classmethod
    def of(cls, matching: Matching) -> ScoreCurve:
        """The curve of a matching."""
        kept = matching.kinds != NEITHER
        scores, wrong = matching.scores[kept].astype(np.float64), matching.kinds[kept] == FALSE_POSITIVE
        order = np.argsort(-scores, kind='stable')
        scores, wrong = scores[order], wrong[order]
        last = np.append(np.diff(scores) != 0, True) if len(scores) else np.zeros(0, bool)
        right = np.cumsum(~wrong)[last]
        detections, objects = np.flatnonzero(last) + 1, int(matching.counted.sum())
        recall = right / objects if objects else np.full(len(right), np.nan)
        return cls(scores[last], right / detections, recall, 2 * right / (detections + objects))

    @property
    def best(self) -> int | None:
        """Place of the highest F1, of several that with the highest threshold; None if nothing is right anywhere."""
        return int(np.argmax(self.f1)) if self.f1.any() else None

    @property
    def threshold(self) -> float:
        """The score with the highest F1; 0.5 if nothing is right anywhere."""
        return NO_BEST if self.best is None else float(self.thresholds[self.best])

    def at(self, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision, recall and F1 at some thresholds, float64 of their shape; NaN where no detection is left."""
        places = np.searchsorted(-self.thresholds, -np.asarray(thresholds, np.float64), 'right') - 1
        return tuple(np.where(places >= 0, np.append(part, np.nan)[places], np.nan) for part in self._parts)  # type: ignore[return-value]

    @property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.precision, self.recall, self.f1
