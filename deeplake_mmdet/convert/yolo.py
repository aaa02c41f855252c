"""YOLO to Deep Lake, without loss: the fractions of the label files as they are, and the bytes of the image files.

Boxes are stored as the files have them, centre and size in fractions, which the type of the column says; polygons as
JSON in fractions, which the metadata of the column says. Neither depends on the size of the image, and both come out
of an export as the numbers that went in. A row that only has a polygon gets its extent as box.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deeplake import types

from deeplake_mmdet.config.tensor_roles import COCO_FRACTIONAL
from deeplake_mmdet.convert.coco_fields import dump_json
from deeplake_mmdet.convert.images import safe_path
from deeplake_mmdet.convert.import_source import ImageEntry, ImportSource
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.run import check_destination, run_import
from deeplake_mmdet.convert.schema import Column, json_list, source_metadata
from deeplake_mmdet.convert.views import check_split_name, home_splits, member_views
from deeplake_mmdet.convert.yolo_file import fail, read_yolo
from deeplake_mmdet.convert.yolo_labels import parse_labels

NO_LABELS = 'images without a label file, taken as background'
REPEATED = 'label lines that repeat another one'
MIXED = 'lines of a box among polygons, read as a box'


def convert_yolo(
    data_yaml: str | Path,
    dst: str | os.PathLike,
    *,
    splits: Sequence[str] | None = None,
    root: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> ConversionReport:
    """Makes a Deep Lake dataset from a YOLO dataset, or adds it to one: a row an image, and a saved view a split.

    Args:
        data_yaml: Its data.yaml, which names the folders or lists of images, and the classes.
        dst: The dataset to make, a local folder or a URL.
        splits: The splits to convert; by default those of train, val and test that there are.
        root: The folder of the dataset, in place of what ``path`` in the file says.
        progress: Called with the images done and the images in all.
        **options: Those of `deeplake_mmdet.convert.options.ImportOptions`.

    Returns:
        What was written and what was odd about it.

    Raises:
        ConversionError: When a file is malformed or missing, or ``dst`` may not be written.
    """
    check_destination(dst, sources=(data_yaml,), **options)
    source = YoloSource(data_yaml, splits, None if root is None else os.fspath(root))
    return run_import(source, dst, sources=(data_yaml, source.root), progress=progress, **options)


class YoloSource(ImportSource):
    """The images and labels that a data.yaml names; see `ImportSource`.

    Args:
        data_yaml, splits, root: As of `convert_yolo`.

    Raises:
        ConversionError: A file is malformed or missing.
    """

    numbered = True

    def __init__(self, data_yaml: str | Path, splits: Sequence[str] | None = None, root: str | None = None) -> None:
        file = read_yolo(data_yaml, splits, root)
        members = {check_split_name(name): images for name, images in file.splits.items()}
        home = home_splits(members)
        self.owner = f'convert_yolo(data_yaml={os.fspath(data_yaml)!r})'
        self.class_names = file.class_names
        self.metadata = source_metadata('yolo', data_yaml)
        self.message = f'Convert YOLO splits {", ".join(members)}'
        self.views = member_views(members, home)
        self.root = file.root
        self._splits = list(home.values())
        self._images = list(home)
        self._labels = [file.label_file(name) for name in home]
        for name in (*home, *(os.path.relpath(label, file.root) for label in self._labels)):
            safe_path(file.root, name, self.owner)
        self.fingerprint, self._polygons = self._checked([*members])

    def _checked(self, splits: list[str]) -> tuple[str, bool]:
        """Reads all label files once; gives the fingerprint, and whether there is any polygon."""
        state = hashlib.blake2b(repr((self.root, self.class_names, splits, self.views)).encode(), digest_size=16)
        polygons = False
        for name, file in zip(self._images, self._labels, strict=True):
            text = _read(file)
            state.update(f'\0{name}\0{text}'.encode())
            polygons |= text is not None and any(parse_labels(text, file, self.class_names).polygons)
        return state.hexdigest(), polygons

    def __len__(self) -> int:
        return len(self._images)

    def entry(self, position: int) -> ImageEntry:
        name = self._images[position]
        return ImageEntry(name, os.path.join(self.root, name), position, None, None, self._splits[position])

    def columns(self, image: Sequence[Column]) -> list[Column]:
        labels = types.ClassLabel(types.Array('uint32', 1))
        return [
            *image,
            Column('boxes', types.BoundingBox('float64', 'ccwh', 'fractional'), 'float64', 2, per_instance=True),
            Column('categories', labels, 'uint32', 1, {'class_names': list(self.class_names)}, per_instance=True),
            *([json_list('masks', COCO_FRACTIONAL)] if self._polygons else []),
        ]

    def values(self, position: int, size_hw: tuple[int, int], report: ConversionReport) -> dict[str, Any]:
        file, name = self._labels[position], self._images[position]
        text = _read(file)
        found = parse_labels(text or '', file, self.class_names)
        boxes = sum(polygon is None for polygon in found.polygons)
        report.note(NO_LABELS, name, text is None)
        report.note(REPEATED, name, found.repeated)
        report.note(MIXED, name, boxes if boxes < len(found.polygons) else 0)
        masks = dump_json([None if polygon is None else [polygon] for polygon in found.polygons])
        return {'boxes': found.boxes, 'categories': found.labels, 'masks': masks}


def _read(file: str) -> str | None:
    """The text of a label file; None where there is none.

    Raises:
        ConversionError: It is there, and cannot be read.
    """
    try:
        return Path(file).read_text(encoding='utf-8-sig')
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        fail(file, 'a readable label file', error, 'Correct the file')
