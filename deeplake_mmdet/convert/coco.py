"""COCO to Deep Lake, without loss: the numbers of the JSON file and the bytes of the image files, as they are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deeplake_mmdet.convert.coco_source import CocoSource
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.run import check_destination, run_import

Progress = Callable[[int, int], None]


def split_of(ann_file: str | Path) -> str:
    """The split that a file's name speaks of: 'train', 'val' or 'test' when it names one of them, else 'all'."""
    words = set(re.findall('train|val|test', Path(ann_file).stem.lower()))
    return words.pop() if len(words) == 1 else 'all'


def convert_coco(
    ann_file: str | Path,
    dst: str | os.PathLike,
    *,
    images: str | Path,
    split: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ConversionReport:
    """Makes a Deep Lake dataset from a COCO instances file and its images, or adds them to one.

    Several files make one dataset with a saved view each when all but the first are converted with ``append=True``.

    Args:
        ann_file: The JSON file.
        dst: The dataset to make, a local folder or a URL.
        images: The folder or URL that the file names in ``ann_file`` are relative to; nothing outside it is named.
        split: The name of the saved view that selects the rows; by default :func:`split_of` the file.
        progress: Called with the rows done and the rows in all.
        **options: Those of `deeplake_mmdet.convert.options.ImportOptions`.

    Returns:
        What was written and what was odd about it.

    Raises:
        ConversionError: When a file is malformed or missing, or ``dst`` may not be written.
    """
    local = [ann_file] if '://' in str(images) else [ann_file, images]
    check_destination(dst, sources=local, **options)
    with CocoSource(ann_file, images, split_of(ann_file) if split is None else split) as source:
        return run_import(source, dst, sources=local, progress=progress, **options)
