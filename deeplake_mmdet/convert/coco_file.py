"""A COCO annotation file, checked as a whole, of which only ids and places are in memory.

A file of a million annotations is some gigabytes of Python objects. So it is read twice: once from beginning to end,
when all is checked and nothing kept but flat arrays; then again at the places of one image, when its row is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.convert.coco_checks import check_masks
from deeplake_mmdet.convert.json_file import JsonFile
from deeplake_mmdet.convert.ring_texts import TOKEN, cut_out


@dataclass(frozen=True)
class Contents:
    """What any entry of a file has; it decides which columns there are.

    Attributes:
        ignore: An annotation is marked ``ignore``.
        masks: An annotation has a segmentation that is not empty.
        keypoints: An annotation has keypoints that are not empty.
        image_fields: An image has `image_fields`.
        annotation_fields: An annotation has `annotation_fields`.
    """

    ignore: bool = False
    masks: bool = False
    keypoints: bool = False
    image_fields: bool = False
    annotation_fields: bool = False


@dataclass(frozen=True)
class Places:
    """Where the entries of a list are in the file.

    Attributes:
        starts: The byte that each begins at, int64 (n,).
        ends: The byte behind each, int64 (n,).
    """

    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)


class CocoFile:
    """A checked annotation file, open.

    Args:
        file: The file.
        categories: Its ``categories``, in order.
        others: All that is neither ``images`` nor ``annotations`` nor ``categories``.
        contents: What occurs in it.
        digest: SHA-256 of its bytes.
        images: Where its ``images`` are.
        annotations: Where its ``annotations`` are, by image and then in order.
        firsts: For each image where its annotations begin in `annotations`, and their number, int64 (images + 1,).
    """

    def __init__(
        self,
        file: JsonFile,
        *,
        categories: list[dict[str, Any]],
        others: dict[str, Any],
        contents: Contents,
        digest: str,
        images: Places,
        annotations: Places,
        firsts: np.ndarray,
    ) -> None:
        self._file = file
        self.categories = categories
        self.others = others
        self.contents = contents
        self.digest = digest
        self._images = images
        self._annotations = annotations
        self._firsts = firsts

    @property
    def owner(self) -> str:
        """Who reads the file, for messages."""
        return self._file.owner

    def close(self) -> None:
        """Closes the file; nothing can be read any more."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._images)

    def image(self, position: int) -> dict[str, Any]:
        """The entry of one image."""
        return json.loads(self._text(self._images, position))

    def annotations(self, position: int, size_hw: tuple[int, int]) -> tuple[list[dict[str, Any]], list[str]]:
        """The annotations of one image.

        Args:
            position: Of the image.
            size_hw: Its height and width in pixels.

        Returns:
            The entries in the order of the file, in which `ring_texts.TOKEN` stands for each polygon; and the polygons
            as JSON texts, as the file has them but for white space.

        Raises:
            ConversionError: The file has changed, or has run lengths of another size than the image, whose size it does
                not state.
        """
        self._file.check_unchanged()
        numbers = range(self._firsts[position], self._firsts[position + 1])
        text = f'[{",".join([self._text(self._annotations, number) for number in numbers])}]'
        short, polygons = cut_out(text)
        entries = json.loads(short)
        if sum(entry.get('segmentation') == TOKEN for entry in entries) != len(polygons):
            entries, polygons = json.loads(text), []  # other fields have polygons under the same name
        rles = {entry['id']: entry['segmentation'] for entry in entries if type(entry.get('segmentation')) is dict}
        check_masks(self._file, [*rles], [*rles.values()], size_hw)
        return entries, polygons

    def _text(self, places: Places, number: int) -> str:
        return self._file.read(int(places.starts[number]), int(places.ends[number])).decode('utf-8')
