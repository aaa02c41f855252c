"""Whether an engine gives pycocotools' numbers on a few images of the run, as they are and made harder.

Made harder means: scores rounded, so that many are equal, the objects themselves as further detections, so that there
is something to match at any stage of a training, one object of each image a crowd, masks as run lengths in bytes, and
MMDetection's numbers of detections with a small one that always cuts something off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deeplake_mmdet.metrics.backends.backend import Backend, BackendError, Settings
from deeplake_mmdet.metrics.backends.columns import columns_of_truth
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Curves
from deeplake_mmdet.metrics.flat import offsets_of, places_in
from deeplake_mmdet.metrics.ground_truth import GroundTruth

_IMAGES = (10, 2)  # with and without objects
_DETECTIONS = 500  # the reference takes about 0.1 ms for each
_MAX_DETS = (1, 100, 300, 1000)
_EACH_IOU = 4  # thresholds do not depend on one another


def disagreement(
    backend: Backend, reference: Backend, truth: GroundTruth, detections: Detections, settings: Sequence[Settings]
) -> str | None:
    """What an engine gets wrong.

    Args:
        backend: The engine.
        reference: The engine that is right.
        truth: The annotations of a run.
        detections: Those of the same images.
        settings: Everything that will be evaluated.

    Returns:
        A sentence, or None if it gets nothing wrong.

    Raises:
        AnnotationError: The data cannot be evaluated by any engine.
    """
    truth, detections = _few_images(truth, detections)
    for asked in settings:
        harder = replace(asked, max_dets=_MAX_DETS, iou_thrs=asked.iou_thrs[::_EACH_IOU])
        for data, how in (((truth, detections), asked), (_harder(truth, detections, asked.iou_type), harder)):
            right = reference.accumulate(*data, how)
            try:
                given = backend.accumulate(*data, how)
            except BackendError as error:
                return f'it failed with {error.__cause__!r}' if error.__cause__ else str(error)
            difference = _difference(given, right)
            if difference:
                return f'{difference} (iou_type={how.iou_type!r}, max_dets={how.max_dets}, use_cats={how.use_cats})'
    return None


def _difference(given: Curves, right: Curves) -> str:
    for name in ('precision', 'recall'):
        mine, theirs = getattr(given, name), getattr(right, name)
        other = mine != theirs
        if other.any():
            most = np.abs(mine - theirs)[other].max()
            return f'its {name} differs from pycocotools in {other.sum()} of {other.size} places, by up to {most:.2g}'
    return ''


def _few_images(truth: GroundTruth, detections: Detections) -> tuple[GroundTruth, Detections]:
    """The first images with and without objects, and the classes that occur in them."""
    numbers = np.diff(truth.offsets)
    some, none = np.flatnonzero(numbers > 0)[: _IMAGES[0]], np.flatnonzero(numbers == 0)[: _IMAGES[1]]
    images = np.concatenate([some[:1], none, some[1:]])
    found = np.cumsum(np.diff(detections.offsets)[images])
    images = np.sort(images[: max(1, int(np.searchsorted(found, _DETECTIONS, side='right')))])
    truth, detections = _taken(truth, images), detections.take(images)
    classes = np.union1d(truth.labels, detections.labels)
    classes = classes if classes.size else np.zeros(1, np.int64)
    truth = replace(
        truth,
        classes=tuple(truth.classes[k] for k in classes),
        category_ids=tuple(truth.category_ids[k] for k in classes),
        labels=np.searchsorted(classes, truth.labels),
    )
    return truth, replace(detections, labels=np.searchsorted(classes, detections.labels))


def _taken(truth: GroundTruth, images: np.ndarray) -> GroundTruth:
    places = places_in(truth.offsets, images)
    return GroundTruth(
        img_ids=[truth.img_ids[image] for image in images.tolist()],
        rows=truth.rows[images],
        sizes=truth.sizes[images],
        offsets=offsets_of(np.diff(truth.offsets)[images]),
        boxes_xywh=truth.boxes_xywh[places],
        labels=truth.labels[places],
        areas=truth.areas[places],
        crowd=truth.crowd[places],
        ignored=truth.ignored[places],
        classes=truth.classes,
        category_ids=truth.category_ids,
        segmentations=None
        if truth.segmentations is None
        else [truth.segmentations[place] for place in places.tolist()],
    )


def _harder(truth: GroundTruth, detections: Detections, iou_type: str) -> tuple[GroundTruth, Detections]:
    crowd = truth.crowd.copy()
    crowd[truth.offsets[:-1][np.diff(truth.offsets) > 0]] = True
    objects = len(truth.labels)
    images = np.concatenate([detections.image_of, truth.image_of])
    order = np.argsort(images, kind='stable')
    masks = columns_of_truth(truth, iou_type).masks
    counts = None
    if masks is not None:
        both = (detections.counts or []) + [mask['counts'] for mask in masks]
        counts = [both[place] for place in order.tolist()]
    scores = [
        np.append(np.round(given, 1), np.full(objects, 0.5, np.float32))
        for given in (detections.scores, detections.mask_scores)
    ]
    detections = replace(
        detections,
        offsets=detections.offsets + truth.offsets,
        boxes=np.concatenate([detections.boxes, truth.boxes_xyxy.astype(np.float32)])[order],
        scores=scores[0][order],
        labels=np.append(detections.labels, truth.labels)[order],
        mask_scores=scores[1][order],
        sizes=truth.sizes,
        counts=counts,
    )
    return replace(truth, crowd=crowd, ignored=truth.ignored | crowd), detections
