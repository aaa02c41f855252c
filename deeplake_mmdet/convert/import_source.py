"""What an import reads from: annotated images that are known and checked completely before the first one is stored.

A format (COCO, VOC, YOLO) is one class: it reads its annotation files, and gives any row by its position. So one
importer (`run_import`) serves all formats, reads images in parallel, and goes on at any row after it was killed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.schema import Column
from deeplake_mmdet.convert.views import View


@dataclass(frozen=True)
class ImageEntry:
    """One image, as the annotations name it.

    Attributes:
        file_name: Relative to the folder of the images, as the annotations have it.
        location: Where it lies: a local path, or a URL.
        img_id: Its id.
        height, width: In pixels, as the annotations say; None where they do not.
        split: Name of the split that it belongs to.
    """

    file_name: str
    location: str
    img_id: int
    height: int | None
    width: int | None
    split: str


class ImportSource(ABC):
    """Annotated images of one format.

    Attributes:
        owner: Who reads, for messages: ``convert_coco(ann_file='a.json')``.
        class_names: In label order.
        metadata: Of the dataset to be made, see `deeplake_mmdet.convert.schema.source_metadata`.
        message: Of the commit.
        views: The saved views to make, by name.
        fingerprint: Hash of everything that decides what is stored, the bytes of the images aside: an import that was
            killed is only resumed from a source with the same one.
        numbered: Whether the id of an image is nothing but its position, as where a format has none. Such ids go on
            behind the largest one when rows are added to a dataset.
    """

    owner: str
    class_names: Sequence[str]
    metadata: Mapping[str, Any]
    message: str
    views: Mapping[str, View]
    fingerprint: str
    numbered: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def entry(self, position: int) -> ImageEntry:
        """One image."""

    @abstractmethod
    def columns(self, image: Sequence[Column]) -> list[Column]:
        """All columns of the dataset, of which `image` are those of the images themselves."""

    @abstractmethod
    def values(self, position: int, size_hw: tuple[int, int], report: ConversionReport) -> dict[str, Any]:
        """One row's values of all columns that `deeplake_mmdet.convert.schema.image_columns` does not name.

        Args:
            position: Of the image.
            size_hw: Its height and width in pixels.
            report: Where oddities are noted that only the format knows of (`ConversionReport.note`). Boxes are counted,
                and those without area, of negative size or out of the image are noted, by the importer.

        Raises:
            ConversionError: Only where the annotations cannot be checked without the size of the image.
        """
