"""The values of one window of images, column by column, in the order and numbering of the dataset's own rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.scoring.columns import ERRORS
from deeplake_mmdet.scoring.errors import Errors, errors_of
from deeplake_mmdet.scoring.label_issues import suspicions

if TYPE_CHECKING:
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

_IMAGE_NUMBERS = ('iou', 'mean_iou', 'ap50')
_IMAGE_COUNTS = ('tp', 'fp', 'fn')
_NOT_COUNTED = ERRORS.index('not counted')


@dataclass(frozen=True)
class Part:
    """The results of some rows.

    Attributes:
        places: Their places in the rows that the dataset was opened with, int64 (n,).
        values: Column name to n values, each of the kind that `deeplake_mmdet.scoring.columns.column` says; None where
            there is none.
    """

    places: np.ndarray
    values: Mapping[str, list[Any]]

    def completed(self, names: Iterable[str]) -> Part:
        """The same with all of some columns; a loss term that none of these images has is None."""
        nothing: list[Any] = [None] * len(self.places)
        return Part(self.places, {name: self.values.get(name, nothing) for name in names})


@dataclass(frozen=True)
class Scored:
    """What a detector says of one image.

    Attributes:
        image: Place of the image in the dataset's index.
        losses: Name of each term to its value, ``loss`` among them.
        object_losses: Of the objects that the detector was given, float32 (n,), or None.
        detections: What it detected.
    """

    image: int
    losses: Mapping[str, float]
    object_losses: np.ndarray | None
    detections: Detections


def part_of(
    dataset: DeepLakeDataset, scored: Sequence[Scored], *, iou_thr: float, score_thr: float, masks: bool
) -> Part:
    """The values of some images.

    Args:
        dataset: Their dataset.
        scored: The images, in any order.
        iou_thr: Overlap from which on an object is found.
        score_thr: Score from which on a detection counts and is kept.
        masks: Whether the masks of detections are kept.
    """
    ids = dataset.index.img_ids
    scored = sorted(scored, key=lambda item: ids[item.image])  # the order of the ground truth
    truth = GroundTruth.of_dataset(dataset, [item.image for item in scored], masks=False)
    detections = Detections.join([item.detections for item in scored])
    errors = errors_of(truth, detections, iou_thr=iou_thr, score_thr=score_thr)
    values: dict[str, list[Any]] = _loss_terms(scored)
    for name in _IMAGE_NUMBERS:
        values[name] = [_number(value) for value in getattr(errors, name).tolist()]
    for name in _IMAGE_COUNTS:
        values[name] = getattr(errors, name).tolist()
    for name in ('missed_by_class', 'spurious_by_class'):
        values[name] = list(getattr(errors, name))
    for name, numbers in suspicions(truth, detections).items():
        values[name] = [_number(value) for value in numbers.tolist()]
    for i, item in enumerate(scored):
        row: dict[str, Any] = dict(_of_objects(dataset, item, truth, detections, errors, i))
        row |= _of_detections(dataset, item, truth, detections, errors, i)
        if masks:
            row['masks'] = _masks(detections, errors, i)
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return Part(np.array([item.image for item in scored], np.int64), values)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _loss_terms(scored: Sequence[Scored]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for item in scored for name in item.losses)
    return {name: [_number(item.losses.get(name, math.nan)) for item in scored] for name in names}


def _objects_in(dataset: DeepLakeDataset, image: int) -> np.ndarray:
    """Places in a row's annotations of the objects of the run's classes, int64 (m,)."""
    index = dataset.index
    return np.flatnonzero(index.labels[index.offsets[image] : index.offsets[image + 1]] >= 0)


def _of_objects(
    dataset: DeepLakeDataset, item: Scored, truth: GroundTruth, detections: Detections, errors: Errors, i: int
) -> dict[str, np.ndarray]:
    """Values of all objects of a row; those that take no part in the run have none."""
    part, places = truth.of_image(i), _objects_in(dataset, item.image)
    count = int(np.diff(dataset.index.offsets[item.image : item.image + 2])[0])
    found = detections.of_image(i)
    row = {
        'object_loss': np.full(count, np.nan, np.float32),
        'object_iou': np.full(count, np.nan, np.float32),
        'object_prediction': np.full(count, -1, np.int32),
        'object_score': np.zeros(count, np.float32),
        'object_error': np.full(count, _NOT_COUNTED, np.int32),
    }
    row['object_iou'][places] = errors.object_iou[part]
    row['object_score'][places] = errors.object_score[part]
    row['object_prediction'][places] = _renumbered(errors.object_prediction[part], found, _kept(errors, found))
    row['object_error'][places] = np.where(truth.crowd[part], _NOT_COUNTED, errors.object_error[part])
    given = _given_objects(dataset, item.image)
    if item.object_losses is not None and len(item.object_losses) == len(given):
        row['object_loss'][given] = item.object_losses
    return row


def _of_detections(
    dataset: DeepLakeDataset, item: Scored, truth: GroundTruth, detections: Detections, errors: Errors, i: int
) -> dict[str, np.ndarray]:
    """Values of the detections of a row that are kept."""
    part = detections.of_image(i)
    shown = errors.shown[part]
    partners = errors.prediction_object[part][shown]
    return {
        'boxes': detections.boxes[part][shown],
        'labels': detections.labels[part][shown].astype(np.int32),
        'scores': detections.scores[part][shown],
        'prediction_error': errors.prediction_error[part][shown].astype(np.int32),
        'prediction_object': _renumbered(partners, truth.of_image(i), _objects_in(dataset, item.image)),
    }


def _masks(detections: Detections, errors: Errors, i: int) -> list[dict[str, Any]]:
    part, size = detections.of_image(i), detections.sizes[i].tolist()
    kept = (part.start + np.flatnonzero(errors.shown[part])).tolist()
    return [{'size': size, 'counts': detections.counts[place]} for place in kept] if detections.counts else []


def _given_objects(dataset: DeepLakeDataset, image: int) -> np.ndarray:
    """Places in a row's annotations of the objects that a detector learns, int64 (n,)."""
    index = dataset.index
    objects = index.objects_of(image)
    ignored = (index.crowd | index.difficult)[objects] | dataset.too_small(index.xyxy(objects, image))
    return np.asarray(objects[~ignored] - index.offsets[image])


def _kept(errors: Errors, part: slice) -> np.ndarray:
    """Place of each detection of an image among those that are kept, int64."""
    return np.cumsum(errors.shown[part]) - 1


def _renumbered(numbers: np.ndarray, part: slice, places: np.ndarray) -> np.ndarray:
    """Numbers in a window of things of one image, `part`, as their places in its row; -1 stays; int32."""
    found = numbers >= 0
    local = np.full(len(numbers), -1, np.int32)
    local[found] = places[numbers[found] - part.start]
    return local
