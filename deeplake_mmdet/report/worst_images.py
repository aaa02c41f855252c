"""Which images went worst: those with the most mistakes at the best score threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, NEITHER
from deeplake_mmdet.metrics.run_lengths import run_lengths
from deeplake_mmdet.report.outcome import Outcome

RIGHT, FALSE, MISSED, CONFUSED, APART = 'right', 'false', 'missed', 'wrong class', 'not counted'


@dataclass(frozen=True, eq=False)
class Mark:
    """One object or detection to draw.

    Attributes:
        kind: `RIGHT`, `FALSE`, `MISSED`, `CONFUSED`, or `APART` for crowd regions and what is found in them.
        xyxy: Corners in pixels of the image, float64 (4,).
        text: Class, and the score of a detection.
        truth: Whether it is an object and no detection.
        place: Number of the object or detection.
        mask: Its mask as COCO run lengths, or None.
    """

    kind: str
    xyxy: np.ndarray
    text: str
    truth: bool
    place: int
    mask: dict[str, Any] | None = None


@dataclass(frozen=True)
class WorstImage:
    """One image with its mistakes.

    Attributes:
        image: Number of the image in the evaluation.
        mistakes: Such as ``{'missed': 'circle, 2 ring', 'false': 'star'}``; kinds that do not occur are left out.
        counts: The same in numbers, `RIGHT` included.
        marks: What to draw, the least important first.
    """

    image: int
    mistakes: dict[str, str]
    counts: dict[str, int]
    marks: list[Mark]


def worst_images(outcome: Outcome, limit: int) -> list[WorstImage]:
    """The images with the most mistakes, those with most first; images without a mistake are left out.

    A detection of one class at the place of an object of another is one mistake. Among images with equally many the one
    comes first in which less is right.

    Args:
        outcome: What is right and wrong.
        limit: How many images at most.
    """
    truth, detections = outcome.evaluation.truth, outcome.evaluation.detections
    images = len(truth)
    confused = outcome.taken_for >= 0
    missed = outcome.missed.copy()
    missed[outcome.taken_for[confused]] = False
    mistakes = np.bincount(detections.image_of[outcome.wrong], minlength=images)
    mistakes = mistakes + np.bincount(truth.image_of[missed], minlength=images)
    right = np.bincount(detections.image_of[outcome.right], minlength=images)
    order = np.lexsort((right, -mistakes))[:limit]
    return [_described(outcome, image) for image in order.tolist() if mistakes[image]]


def _described(outcome: Outcome, image: int) -> WorstImage:
    truth, classes = outcome.evaluation.truth, outcome.evaluation.truth.classes
    marks = [*_object_marks(outcome, image), *_detection_marks(outcome, image)]
    marks.sort(key=lambda mark: (APART, RIGHT, MISSED, FALSE, CONFUSED).index(mark.kind))
    own = [mark for mark in marks if not (mark.truth and mark.kind in (RIGHT, CONFUSED))]
    names = {
        MISSED: [classes[truth.labels[mark.place]] for mark in own if mark.kind == MISSED],
        FALSE: [_name(outcome, mark.place) for mark in own if mark.kind == FALSE],
        CONFUSED: [
            f'{classes[truth.labels[outcome.taken_for[mark.place]]]} as {_name(outcome, mark.place)}'
            for mark in own
            if mark.kind == CONFUSED
        ],
    }
    counts = Counter(mark.kind for mark in own)
    return WorstImage(
        image,
        {kind: _listed(found) for kind, found in names.items() if found},
        {kind: counts[kind] for kind in (RIGHT, MISSED, FALSE, CONFUSED)},
        marks,
    )


def _object_marks(outcome: Outcome, image: int) -> list[Mark]:
    truth = outcome.evaluation.truth
    part, size = truth.of_image(image), truth.sizes[image].tolist()
    as_other = set(outcome.taken_for[outcome.taken_for >= 0].tolist())
    marks = []
    for place, xyxy in zip(range(part.start, part.stop), truth.boxes_xyxy[part], strict=True):
        kind = CONFUSED if place in as_other else MISSED if outcome.missed[place] else RIGHT
        kind = kind if outcome.matching.counted[place] else APART
        mask = None if truth.segmentations is None else run_lengths(truth.segmentations[place], size)
        marks.append(Mark(kind, xyxy, truth.classes[truth.labels[place]], True, place, mask))
    return marks


def _detection_marks(outcome: Outcome, image: int) -> list[Mark]:
    detections, kinds = outcome.evaluation.detections, outcome.matching.kinds
    part, size = detections.of_image(image), detections.sizes[image].tolist()
    marks = []
    for place in (part.start + np.flatnonzero(outcome.shown[part])).tolist():
        kind = {FALSE_POSITIVE: FALSE, NEITHER: APART}.get(int(kinds[place]), RIGHT)
        kind = CONFUSED if outcome.taken_for[place] >= 0 else kind
        text = f'{_name(outcome, place)} {outcome.matching.scores[place]:.2f}'
        mask = None if detections.counts is None else {'size': size, 'counts': detections.counts[place]}
        marks.append(Mark(kind, detections.boxes[place].astype(np.float64), text, False, place, mask))
    return marks


def _name(outcome: Outcome, detection: int) -> str:
    return outcome.evaluation.truth.classes[outcome.evaluation.detections.labels[detection]]


def _listed(names: Iterable[str]) -> str:
    """Names with their numbers, such as ``2 circle, star``, the most frequent first."""
    return ', '.join(f'{count} {name}' if count > 1 else name for name, count in Counter(names).most_common())
