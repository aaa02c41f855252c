"""The annotations of a dataset as flat arrays.

A million images with seven million boxes are a few hundred megabytes here, and none of it is a Python object, so
worker processes share the pages.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from deeplake_mmdet.annotations.boxes import to_xywh, to_xyxy, xywh_parts
from deeplake_mmdet.annotations.texts import Texts
from deeplake_mmdet.config.box_format import BoxFormat


@dataclass(frozen=True)
class AnnotationIndex:
    """All annotations of N images with M objects.

    Attributes:
        rows: Row number of each image in its dataset, int64 (N,).
        img_ids: Image ids, int64 (N,) or texts.
        sizes: Height and width, int64 (N, 2).
        offsets: First object of each image, int64 (N + 1,).
        boxes: Boxes as stored, (M, 4), dtype of the column.
        box_format: Their reading.
        labels: Position in `classes`, int32 (M,); -1 for a class that the run does not ask for.
        classes: Class names of the run.
        category_ids: Original category id of each class.
        areas: Annotated areas in square pixels, float64 (M,); width times height where none are annotated.
        crowd: Whether an object is a crowd region (``iscrowd``), bool (M,).
        difficult: Whether it is difficult (PASCAL VOC), bool (M,).
        ignored: Whether its annotation is to be ignored altogether (``ignore``), bool (M,).
    """

    rows: np.ndarray
    img_ids: np.ndarray | Texts
    sizes: np.ndarray
    offsets: np.ndarray
    boxes: np.ndarray
    box_format: BoxFormat
    labels: np.ndarray
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    areas: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray
    ignored: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_of(self) -> np.ndarray:
        """Image of each object, int64 (M,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def xyxy(self, objects: slice | np.ndarray, image: int | None = None) -> np.ndarray:
        """Boxes as left, top, right, bottom in absolute pixels, float64 (m, 4).

        Args:
            objects: Which objects.
            image: Their image, where they are all of one; saves looking it up.
        """
        return to_xyxy(self.boxes[objects], self.box_format, self._sizes_of(objects, image))

    def xywh(self, objects: slice | np.ndarray, image: int | None = None) -> np.ndarray:
        """Boxes as left, top, width, height in absolute pixels, float64 (m, 4); arguments as of `xyxy`."""
        return to_xywh(self.boxes[objects], self.box_format, self._sizes_of(objects, image))

    def _sizes_of(self, objects: slice | np.ndarray, image: int | None) -> np.ndarray:
        if image is not None:
            return self.sizes[image : image + 1]
        return self.sizes[self.image_of[objects]]

    @cached_property
    def usable(self) -> np.ndarray:
        """Which objects a detector is trained with, bool (M,).

        As `CocoDataset` chooses: the class is asked for, the annotation is not marked as ignored, its area is
        positive, it is at least one pixel wide and high, and part of it lies in the image.
        """
        sizes = self.sizes[self.image_of]
        height, width = sizes.T
        x, y, w, h = xywh_parts(self.boxes, self.box_format, sizes)
        inside_w = np.minimum(x + w, width) - np.maximum(x, 0)
        inside_h = np.minimum(y + h, height) - np.maximum(y, 0)
        inside = np.maximum(inside_w, 0) * np.maximum(inside_h, 0) != 0
        return inside & (self.areas > 0) & (w >= 1) & (h >= 1) & (self.labels >= 0) & ~self.ignored

    @cached_property
    def asked_for(self) -> np.ndarray:
        """Number of objects of an asked-for class in each image, int32 (N,)."""
        return np.bincount(self.image_of[self.labels >= 0], minlength=len(self)).astype(np.int32)

    @cached_property
    def nonempty(self) -> np.ndarray:
        """The images that have such an object, int32, ascending."""
        return np.flatnonzero(self.asked_for).astype(np.int32)

    @cached_property
    def class_counts(self) -> np.ndarray:
        """Number of objects of each class, int64 (C,)."""
        return self._counted(self.labels)

    def _counted(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels[labels >= 0], minlength=len(self.classes))

    def names_in(self, images: np.ndarray) -> dict[str, int]:
        """How many objects each class has in some images, by its name."""
        left_out = np.ones(len(self), bool)
        left_out[images] = False
        counts = self.class_counts
        if self.asked_for[left_out].any():
            counts = counts - self._counted(self.labels[left_out[self.image_of]])
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def kept(self, *, filter_empty_gt: bool, min_size: int) -> dict[str, np.ndarray]:
        """Which images pass each filter, by the filter's name, bool (N,) each.

        An image counts as empty if it has no annotation of an asked-for class at all; one with only unusable
        annotations is not empty. This is how `CocoDataset` counts.
        """
        passes = {'min_size': np.minimum(*self.sizes.T) >= min_size}
        if filter_empty_gt:
            passes['filter_empty_gt'] = self.asked_for > 0
        return passes

    def objects_of(self, image: int) -> np.ndarray:
        """Indices of the usable objects of one image, int64 (m,)."""
        start, stop = self.offsets[image], self.offsets[image + 1]
        return start + np.flatnonzero(self.usable[start:stop])

    @cached_property
    def digest(self) -> str:
        """Hash of everything in this index."""
        state = hashlib.blake2b(digest_size=16)
        for field in fields(self):
            value = getattr(self, field.name)
            state.update(f'{field.name}\0'.encode())
            for part in (value.ends, value.utf8) if isinstance(value, Texts) else (value,):
                state.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else repr(part).encode())
        return state.hexdigest()
