"""What a detector found, as flat arrays: this is what is kept of a batch, gathered across ranks and evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.coco_masks import first_fault
from deeplake_mmdet.datasets.image_uri import parse_uri
from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.metrics.flat import OfImages, offsets_of, places_in


@dataclass(frozen=True)
class Detections(OfImages):
    """The detections of N images, D in all.

    Attributes:
        img_ids: Image ids, N integers or texts.
        sources: Key of the dataset that each image came from, N; 'files' if it is none of Deep Lake, '' if not known.
        offsets: First detection of each image, int64 (N + 1,).
        boxes: xyxy in pixels of the original image, float32 (D, 4).
        scores: float32 (D,).
        labels: Positions in the classes of the run, int64 (D,).
        mask_scores: Scores of the masks, float32 (D,); those of the boxes unless the detector has others.
        sizes: Height and width of each image's masks, int64 (N, 2); zeros where there are none.
        counts: Compressed run lengths of each mask as COCO writes them, D, or None where boxes have no masks.
    """

    img_ids: list[Any]
    sources: list[str]
    offsets: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    mask_scores: np.ndarray
    sizes: np.ndarray
    counts: list[bytes] | None = None

    @property
    def boxes_xywh(self) -> np.ndarray:
        """Boxes as left, top, width, height, float64 (D, 4)."""
        boxes = self.boxes.astype(np.float64)
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)

    @property
    def segmentations(self) -> list[dict[str, Any]]:
        """The masks as COCO run lengths ``{'size': [height, width], 'counts': bytes}``, D."""
        assert self.counts is not None
        sizes, images = self.sizes.tolist(), self.image_of.tolist()
        return [{'size': sizes[i], 'counts': counts} for i, counts in zip(images, self.counts, strict=True)]

    def take(self, images: Sequence[int] | np.ndarray) -> Detections:
        """The detections of some images, in the order of `images`."""
        images = np.asarray(images, np.int64)
        places = places_in(self.offsets, images)
        return Detections(
            img_ids=[self.img_ids[image] for image in images.tolist()],
            sources=[self.sources[image] for image in images.tolist()],
            offsets=offsets_of(np.diff(self.offsets)[images]),
            boxes=self.boxes[places],
            scores=self.scores[places],
            labels=self.labels[places],
            mask_scores=self.mask_scores[places],
            sizes=self.sizes[images],
            counts=None if self.counts is None else [self.counts[place] for place in places.tolist()],
        )

    @classmethod
    def join(cls, parts: Sequence[Detections]) -> Detections:
        """Several after one another."""
        parts = [part for part in parts if len(part)]
        lengths = np.concatenate([np.diff(part.offsets) for part in parts] or [np.zeros(0, np.int64)])
        maskless = any(part.counts is None for part in parts if len(part.boxes))
        return cls(
            img_ids=[img_id for part in parts for img_id in part.img_ids],
            sources=[source for part in parts for source in part.sources],
            offsets=offsets_of(lengths),
            boxes=_joined([part.boxes for part in parts], np.float32, (4,)),
            scores=_joined([part.scores for part in parts], np.float32),
            labels=_joined([part.labels for part in parts], np.int64),
            mask_scores=_joined([part.mask_scores for part in parts], np.float32),
            sizes=_joined([part.sizes for part in parts], np.int64, (2,)),
            counts=None if maskless else [count for part in parts for count in part.counts or []],
        )

    @classmethod
    def of_sample(cls, sample: Mapping[str, Any]) -> Detections:
        """The detections of one image.

        Args:
            sample: ``img_id``, ``pred_instances`` with ``bboxes``, ``scores``, ``labels`` and, if the detector has
                them, ``masks`` (bitmaps (n, H, W) or COCO run lengths) and ``mask_scores``; ``img_path``.

        Raises:
            AnnotationError: A score or a box is no finite number, there is not one of each for every box, or a mask is
                none.
        """
        found, img_id = sample['pred_instances'], sample['img_id']
        boxes = _array(found['bboxes'], np.float32).reshape(-1, 4)
        scores, labels = _array(found['scores'], np.float32), _array(found['labels'], np.int64)
        mask_scores = _array(found['mask_scores'], np.float32) if 'mask_scores' in found else scores
        what = f'The predictions of the image with img_id {img_id!r}'
        size, counts = _masks(found['masks'], what) if 'masks' in found else ([0, 0], None)
        each = {'scores': scores, 'labels': labels, 'mask_scores': mask_scores, 'masks': counts}
        for name, values in each.items():
            if values is not None and len(values) != len(boxes):
                raise AnnotationError(
                    f'{what} expected {len(boxes)} {name}, one a box, but got {len(values)}. Correct what the detector '
                    'gives, or predict again.'
                )
        for name, numbers in (('scores', scores), ('bboxes', boxes), ('mask_scores', mask_scores)):
            _check_finite(what, name, numbers)
        return cls(
            img_ids=[img_id],
            sources=[_source_of(sample.get('img_path'))],
            offsets=np.array([0, len(boxes)]),
            boxes=boxes,
            scores=scores,
            labels=labels,
            mask_scores=mask_scores,
            sizes=np.array([size], np.int64),
            counts=counts,
        )


def _check_finite(what: str, name: str, values: np.ndarray) -> None:
    if np.isfinite(values).all():
        return
    wrong = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
    raise AnnotationError(
        f'{what} expected finite {name}, but got {values[wrong].tolist()} for detection {wrong}. The training has '
        'probably diverged: look at its losses, and evaluate an earlier checkpoint.'
    )


def _source_of(path: str | None) -> str:
    try:
        return parse_uri(path)[0] if path else ''
    except ValueError:
        return 'files'


def _joined(arrays: Sequence[np.ndarray], dtype: Any, shape: tuple[int, ...] = ()) -> np.ndarray:
    return np.concatenate([np.zeros((0, *shape), dtype), *arrays])


def _array(value: Any, dtype: Any) -> np.ndarray:
    if hasattr(value, 'detach'):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()  # NumPy knows no bfloat16
    return np.asarray(value, dtype)


def _masks(masks: Any, what: str) -> tuple[list[int], list[bytes]]:
    """Size and run lengths of the masks of one image; `what` they are of, for messages."""
    encoded = _checked_rles(masks, what) if _are_rles(masks) else _encoded(masks, what)
    sizes = {tuple(mask['size']) for mask in encoded}
    if len(sizes) > 1:
        raise AnnotationError(
            f'{what} expected masks of one height and width, but got {sorted(sizes)}. Rescale the predicted masks to '
            'the original image.'
        )
    counts = [c if isinstance(c, bytes) else c.encode('ascii') for c in (mask['counts'] for mask in encoded)]
    return list(encoded[0]['size']) if encoded else [0, 0], counts


def _are_rles(masks: Any) -> bool:
    return isinstance(masks, (list, tuple)) and all(isinstance(mask, Mapping) for mask in masks)


def _checked_rles(masks: Sequence[Mapping[str, Any]], what: str) -> Sequence[Mapping[str, Any]]:
    """Run lengths that do not fill their mask make pycocotools wait for ever."""
    texts = [{'size': list(mask['size']), 'counts': _text(mask['counts'])} for mask in masks]
    fault = first_fault(texts, None)
    if fault is not None:
        raise AnnotationError(f'{what}, mask {fault[0]}: {fault[1]}. Correct what wrote the predictions.')
    return masks


def _text(counts: Any) -> Any:
    return counts.decode('ascii') if isinstance(counts, bytes) else counts


def _encoded(masks: Any, what: str) -> list[dict[str, Any]]:
    from pycocotools import mask as coco_mask

    bitmaps = _array(getattr(masks, 'masks', masks), None)
    if not len(bitmaps):
        return []
    if bitmaps.dtype.kind == 'f' and not np.isin(bitmaps, (0, 1)).all():
        raise AnnotationError(
            f'{what} expected masks of zeros and ones, but got probabilities. Compare them with a threshold in the '
            "detector (test_cfg's mask_thr_binary)."
        )
    encoded: list[dict[str, Any]] = coco_mask.encode(np.asfortranarray(bitmaps.transpose(1, 2, 0), np.uint8))
    return encoded
