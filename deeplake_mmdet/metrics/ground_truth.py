"""The annotations of the evaluated images, in the order in which COCO's evaluation counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplake_mmdet.metrics.flat import OfImages, offsets_of, places_in

if TYPE_CHECKING:
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset


@dataclass(frozen=True)
class GroundTruth(OfImages):
    """The annotations of N images, M objects of the run's classes.

    Images come in the order of their ids: evaluation breaks ties between equal scores by it.

    Attributes:
        img_ids: Image ids, sorted, N.
        rows: Row number of each image in its dataset, int64 (N,).
        sizes: Height and width, int64 (N, 2).
        offsets: First object of each image, int64 (N + 1,).
        boxes_xywh: As annotated, in pixels, float64 (M, 4).
        labels: Position in `classes`, int64 (M,).
        areas: Annotated areas in square pixels, float64 (M,).
        crowd: Whether finding the object is neither right nor wrong (crowd regions, difficult objects, those
            below ``filter_cfg.bbox_min_size``), bool (M,).
        ignored: The same and objects marked ``ignore``, which COCO's evaluation counts, bool (M,).
        classes: Class names, K.
        category_ids: Original category id of each class, K.
        segmentations: COCO segmentations, M, or None where masks were not asked for.
    """

    img_ids: list[Any]
    rows: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray
    boxes_xywh: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    segmentations: list[Any] | None = None

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """Boxes as left, top, right, bottom, float64 (M, 4)."""
        return np.concatenate([self.boxes_xywh[:, :2], self.boxes_xywh[:, :2] + self.boxes_xywh[:, 2:]], axis=1)

    @classmethod
    def of_dataset(cls, dataset: DeepLakeDataset, images: Sequence[int], *, masks: bool) -> GroundTruth:
        """The annotations of some images of a dataset.

        Args:
            dataset: The dataset.
            images: Places of the images in the dataset's index.
            masks: Whether segmentations are needed.

        Raises:
            ColumnError: Masks are needed, and the dataset has none.
            AnnotationError: A row's masks are unusable.
        """
        index = dataset.index
        ids = index.img_ids if isinstance(index.img_ids, list) else index.img_ids.tolist()
        places = np.array(sorted(images, key=lambda image: ids[image]), np.int64)
        objects = places_in(index.offsets, places)
        kept = index.labels[objects] >= 0
        image_of = np.repeat(np.arange(len(places)), np.diff(index.offsets)[places])[kept]
        segmentations = None
        if masks:
            flat = [mask for row in dataset.masks_of_images(places.tolist()) for mask in row]
            segmentations = [flat[place] or [] for place in np.flatnonzero(kept).tolist()]
        objects = objects[kept]
        crowd = (index.crowd | index.difficult)[objects] | dataset.too_small(index.xyxy(objects))
        return cls(
            img_ids=[ids[image] for image in places.tolist()],
            rows=index.rows[places],
            sizes=index.sizes[places],
            offsets=offsets_of(np.bincount(image_of, minlength=len(places))),
            boxes_xywh=index.xywh(objects),
            labels=index.labels[objects].astype(np.int64),
            areas=index.areas[objects],
            crowd=crowd,
            ignored=crowd | index.ignored[objects],
            classes=index.classes,
            category_ids=index.category_ids,
            segmentations=segmentations,
        )
