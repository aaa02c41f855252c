"""PASCAL VOC to Deep Lake: an image is stored once, whichever splits it is in, and each split is a saved view.

The rows are those of 'train', 'val', 'test' and then any further split by name, each in the order of its file, without
images that an earlier split holds already; ``split`` names that earliest split and ``img_id`` is the row's number. A
view has its rows in the dataset's order, which is that of the split's file unless splits overlap.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.convert.images import safe_path
from deeplake_mmdet.convert.import_source import ImageEntry, ImportSource
from deeplake_mmdet.convert.report import FRACTIONAL, ConversionReport
from deeplake_mmdet.convert.run import check_destination, run_import
from deeplake_mmdet.convert.schema import Column, source_metadata, voc_columns
from deeplake_mmdet.convert.views import check_split_name, home_splits, member_views
from deeplake_mmdet.convert.voc_file import IMAGES, XML, class_labels, find_image, read_splits, read_voc


def convert_voc(
    root: str | Path,
    dst: str | os.PathLike,
    *,
    splits: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> ConversionReport:
    """Makes a Deep Lake dataset from a PASCAL VOC tree, or adds it to one.

    Args:
        root: The folder that holds ``Annotations``, ``ImageSets/Main`` and ``JPEGImages``.
        dst: The dataset to make, a local folder or a URL.
        splits: The splits to convert; by default all, see :func:`~.voc_file.read_splits`.
        classes: The class names in label order; by default those that occur, in alphabetical order.
        progress: Called with the images done and the images in all.
        **options: Those of `deeplake_mmdet.convert.options.ImportOptions`.

    Returns:
        What was written and what was odd about it.

    Raises:
        ConversionError: When a file is malformed or missing, or ``dst`` may not be written.
    """
    check_destination(dst, sources=(root,), **options)
    return run_import(VocSource(Path(root), splits, classes), dst, sources=(root,), progress=progress, **options)


class VocSource(ImportSource):
    """The images and annotations of a PASCAL VOC tree; see `ImportSource`.

    Args:
        root, splits, classes: As of `convert_voc`.

    Raises:
        ConversionError: A file is malformed or missing.
    """

    numbered = True

    def __init__(self, root: Path, splits: Sequence[str] | None = None, classes: Sequence[str] | None = None) -> None:
        self._root = root
        members = {check_split_name(name): ids for name, ids in read_splits(root, splits).items()}
        self._home = home_splits(members)
        self._ids = list(self._home)
        self.owner = f'convert_voc(root={str(root)!r})'
        self._annotations = [read_voc(safe_path(root / XML, f'{name}.xml', self.owner)) for name in self._ids]
        self._files = [find_image(root, image_id) for image_id in self._ids]
        for file in self._files:
            safe_path(root / IMAGES, file.removeprefix(f'{IMAGES}/'), self.owner)
        self.class_names = class_labels(self._annotations, classes)
        self.metadata = source_metadata('voc', *(f'{name}.txt' for name in members))
        self.message = f'Convert PASCAL VOC splits {", ".join(members)}'
        self.views = member_views(members, self._home)
        self.fingerprint = self._hash()

    def _hash(self) -> str:
        state = hashlib.sha256(repr((str(self._root.resolve()), self.class_names, self._home, self.views)).encode())
        for image in self._annotations:
            state.update(repr((image.height, image.width, image.names)).encode())
            for array in (image.ltrb, image.difficult, image.truncated):
                state.update(array.tobytes())
        return state.hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    def entry(self, position: int) -> ImageEntry:
        file, image = self._files[position], self._annotations[position]
        split = self._home[self._ids[position]]
        return ImageEntry(file, str(self._root / file), position, image.height, image.width, split)

    def columns(self, image: Sequence[Column]) -> list[Column]:
        return voc_columns(image, self.class_names)

    def values(self, position: int, size_hw: tuple[int, int], report: ConversionReport) -> dict[str, Any]:
        image = self._annotations[position]
        report.note(FRACTIONAL, self._files[position], image.fractional)
        return {
            'boxes': image.ltrb,
            'categories': np.array([self.class_names.index(name) for name in image.names], dtype=np.uint32),
            'areas': (image.ltrb[:, 2:] - image.ltrb[:, :2]).prod(1, dtype=np.float64),
            'difficult': image.difficult,
            'truncated': image.truncated,
        }
