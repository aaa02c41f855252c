"""Rows as pictures: the image with all its annotations, also those that a run would ignore."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deeplake_mmdet.config.printable import one_line, printable
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.datasets.palette import palette
from deeplake_mmdet.errors import ConfigError, ImageReadError
from deeplake_mmdet.inspection.terminal import as_text
from deeplake_mmdet.metrics.run_lengths import run_lengths
from deeplake_mmdet.report.drawing import Shape, draw

LONG_SIDE = 1280  # pixels of a picture
_WRITES = ('.jpg', '.jpeg', '.png', '.webp')


def show_rows(
    config: Mapping[str, Any], rows: Sequence[int], out: str | os.PathLike | None, *, masks: bool = True
) -> list[Path]:
    """Draws rows of a dataset, and says of each what it holds. Boxes are drawn as their column declares them.

    Args:
        config: The ``deeplake_*`` keys of a dataset.
        rows: Positions in what `config` selects, from 0; negative ones count from the end.
        out: A picture's file name for one row, else a folder for ``row_<number>.jpg``; None draws into the terminal.
        masks: Whether masks are drawn.

    Returns:
        The files, in the order of `rows`.

    Raises:
        ConfigError: A row is out of range, or `out` is no name of a picture.
        SourceError, ColumnError, AnnotationError: As `DeepLakeDataset`.
    """
    dataset = AnnotatedDataset(config, believe_declared=True)
    images = [_image(dataset, row) for row in rows]
    files = [] if out is None else _files(Path(out).expanduser(), images)
    print(printable(''.join(f'note: {remark}\n' for remark in dataset.remarks)), end='')
    for number, image in enumerate(images):
        picture, lines = drawn(dataset, image, masks=masks)
        print(printable('\n'.join(lines)))
        if out is None:
            print(as_text(picture))
        elif not cv2.imwrite(str(files[number]), picture):
            raise ConfigError(f'show(out=) could not write {str(files[number])!r}. Choose another path.')
    return files


def drawn(dataset: AnnotatedDataset, image: int, *, masks: bool = True) -> tuple[np.ndarray, list[str]]:
    """One image with its annotations, and what they are.

    Args:
        dataset: The dataset.
        image: Number of the image in its index.
        masks: Whether masks are drawn.

    Returns:
        BGR uint8 (H, W, 3), and lines of text: the image, then one an object.
    """
    index, encoded = dataset.index, dataset.encoded(image)
    objects = np.arange(index.offsets[image], index.offsets[image + 1])
    height, width = index.sizes[image].tolist()
    pixels = None if isinstance(encoded, ImageReadError) else _decoded(encoded)
    line = f'row {image}: {dataset.file_name(image)}, id {index.img_ids[image]}, {width}x{height}, '
    lines = [f'{line}{len(objects)} object{"" if len(objects) == 1 else "s"}']
    if pixels is None:
        lines.append(f'  its image cannot be drawn: {encoded if isinstance(encoded, ImageReadError) else "no image"}')
    found = dataset.masks.of_images([image])[0] if masks and dataset.masks else [None] * len(objects)
    shapes = []
    boxes, xywh = index.xyxy(objects, image), index.xywh(objects)
    for number, place in enumerate(objects.tolist()):
        marks = _marks(dataset, place)
        mask = run_lengths(found[number], (height, width)) if found[number] else None
        shapes.append(_shape(dataset, place, number, boxes[number], mask, marks))
        corner = ' '.join(f'{value:g}' for value in np.round(xywh[number], 2).tolist())
        said = f'{_class_name(dataset, place)}{"".join(f", {mark}" for mark in marks)}'
        lines.append(f'  {number:>3}  {said:<24}  x y w h: {corner}, area {index.areas[place]:g}')
    shapes.sort(key=lambda shape: -float(np.prod(shape.xyxy[2:] - shape.xyxy[:2])))  # small ones on top
    return draw(pixels, (height, width), shapes, LONG_SIDE), lines


def _marks(dataset: AnnotatedDataset, place: int) -> list[str]:
    """What sets an object apart."""
    index = dataset.index
    flags = {'crowd': index.crowd, 'difficult': index.difficult, 'ignored': index.ignored}
    marks = [name for name, values in flags.items() if values[place]]
    return marks or ([] if index.usable[place] else ['not trained with'])


def _class_name(dataset: AnnotatedDataset, place: int) -> str:
    """The class of an object, on one line."""
    return one_line(dataset.index.classes[int(dataset.index.labels[place])])


def _shape(
    dataset: AnnotatedDataset, place: int, number: int, xyxy: np.ndarray, mask: Any, marks: Sequence[str]
) -> Shape:
    red, green, blue = palette(len(dataset.index.classes))[int(dataset.index.labels[place])]
    return Shape(
        xyxy,
        f'#{red:02x}{green:02x}{blue:02x}',
        f'{number} {_class_name(dataset, place)}',
        dashed=bool(marks),
        thickness=2,
        mask=mask,
    )


def _decoded(encoded: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)


def _image(dataset: AnnotatedDataset, row: int) -> int:
    """The image of a row number, as counted by `config`'s selection."""
    if not -len(dataset) <= row < len(dataset):
        raise ConfigError(
            f'show(rows=) expected row numbers from 0 to {len(dataset) - 1}, but got {row}: {dataset.source.revision}.'
        )
    return row % len(dataset)


def _files(out: Path, images: Sequence[int]) -> list[Path]:
    """Where the pictures go.

    Raises:
        ConfigError: One file is named for several pictures, or of a kind that is not written, or cannot be made.
    """
    if out.suffix and not out.is_dir():
        if len(images) > 1 or out.suffix.lower() not in _WRITES:
            raise ConfigError(
                f'show(out=) expected a folder{"" if len(images) > 1 else " or a file " + ", ".join(_WRITES)} for '
                f'{len(images)} picture{"s" if len(images) > 1 else ""}, but got {str(out)!r}.'
            )
        files = [out]
    else:
        files = [out / f'row_{image:06d}.jpg' for image in images]
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'show(out=) cannot make the folder {str(files[0].parent)!r}: {error.strerror}.') from error
    return files
