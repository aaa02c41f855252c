"""PASCAL VOC to Deep Lake: an image is stored once, whichever splits it is in, and each split is a saved view.

The rows are those of 'train', 'val', 'test' and then any further split by name, each in the order of its file, without
images that an earlier split holds already; ``split`` names that earliest split and ``img_id`` is the row's number. A
view has its rows in the dataset's order, which is that of the split's file unless splits overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from deeplake_mmdet.convert import images as image_files
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.report import FRACTIONAL, ConversionReport
from deeplake_mmdet.convert.schema import image_columns, image_values, source_metadata, voc_columns
from deeplake_mmdet.convert.views import View, check_split_name, id_view, split_view
from deeplake_mmdet.convert.voc_file import VocImage, class_labels, find_image, read_splits, read_voc
from deeplake_mmdet.convert.writer import DatasetWriter


def convert_voc(
    root: str | Path,
    dst: str | Path,
    *,
    splits: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ConversionReport:
    """Makes a Deep Lake dataset from a PASCAL VOC tree.

    Args:
        root: The folder that holds ``Annotations``, ``ImageSets/Main`` and ``JPEGImages``.
        dst: The dataset to make, a local folder or a URL.
        splits: The splits to convert; by default all, see :func:`~.voc_file.read_splits`.
        classes: The class names in label order; by default those that occur, in alphabetical order.
        overwrite: Replace a local Deep Lake dataset at ``dst``.
        progress: Called with the rows done and the rows in all.

    Returns:
        What was written and what was odd about it.

    Raises:
        ConversionError: When a file is malformed or missing, or ``dst`` may not be written; nothing is left at ``dst``.
    """
    root, owner = Path(root), f'convert_voc(root={str(root)!r})'
    destination = Destination(dst, overwrite=overwrite, sources=(root,))
    members = {check_split_name(name): ids for name, ids in read_splits(root, splits).items()}
    home = _home_splits(members)
    annotations = {image_id: read_voc(root / 'Annotations' / f'{image_id}.xml') for image_id in home}
    names = class_labels(annotations, classes)
    files = {image_id: find_image(root, image_id) for image_id in home}
    stored_as = image_files.scan_images([root / file for file in files.values()], owner)
    columns = voc_columns(image_columns(*stored_as), names)
    report = ConversionReport(str(dst), names)
    with DatasetWriter(destination, columns, source_metadata('voc', *(f'{name}.txt' for name in members))) as writer:
        for number, (image_id, split) in enumerate(home.items()):
            data, image = image_files.read_image(root / files[image_id], owner), annotations[image_id]
            said = {'file_name': files[image_id], 'height': image.height, 'width': image.width}
            size_hw = image_files.annotated_size(said, data, root / files[image_id], owner, report)
            writer.append(
                image_values(data, number, size_hw, files[image_id], split)
                | _instances(image, names, files[image_id], size_hw, report)
            )
            if progress:
                progress(number + 1, len(home))
        views = _views(members, home)
        writer.finish(f'Convert PASCAL VOC splits {", ".join(members)}', views)
    report.views = {name: view.rows for name, view in views.items()}
    return report


def _home_splits(members: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The earliest split of each image id, in row order."""
    home: dict[str, str] = {}
    for split, ids in members.items():
        home.update((image_id, split) for image_id in ids if image_id not in home)
    return home


def _views(members: Mapping[str, Sequence[str]], home: Mapping[str, str]) -> dict[str, View]:
    rows = {image_id: number for number, image_id in enumerate(home)}
    return {
        split: split_view(split, len(ids))
        if all(home[image_id] == split for image_id in ids)
        else id_view([rows[image_id] for image_id in ids])
        for split, ids in members.items()
    }


def _instances(
    image: VocImage, names: Sequence[str], file_name: str, size_hw: tuple[int, int], report: ConversionReport
) -> dict[str, np.ndarray]:
    """The per-instance values of one row, counted in ``report`` too."""
    labels = np.array([names.index(name) for name in image.names], dtype=np.uint32)
    corner, size = image.ltrb[:, :2], image.ltrb[:, 2:] - image.ltrb[:, :2]
    report.count(file_name, np.hstack([corner, size]), labels, size_hw)
    report.note(FRACTIONAL, file_name, image.fractional)
    return {
        'boxes': image.ltrb,
        'categories': labels,
        'areas': size.prod(1, dtype=np.float64),
        'difficult': image.difficult,
        'truncated': image.truncated,
    }
