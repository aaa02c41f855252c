"""A PASCAL VOC tree: the splits of ``ImageSets/Main``, and one XML file an image, read and checked.

Corners are read as MMDetection's ``XMLDataset`` reads them: truncated to an integer, minus 1, because VOC counts pixels
from 1. The format is the one of http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import numpy as np

from deeplake_mmdet.errors import ConversionError

XML, IMAGES = 'Annotations', 'JPEGImages'
USUAL_SPLITS = ('train', 'val', 'test')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.JPG', '.JPEG', '.PNG')
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


@dataclass(frozen=True)
class VocImage:
    """One annotation file.

    Args:
        path: Of the XML file.
        height: In pixels, None when the file does not say.
        width: In pixels, None when the file does not say.
        names: The class of each object, in order.
        ltrb: Left, top, right and bottom in pixels counted from 0, float32, (N, 4).
        difficult: uint8, (N,).
        truncated: uint8, (N,).
        fractional: How many boxes had corners between pixels.
    """

    path: Path
    height: int | None
    width: int | None
    names: list[str]
    ltrb: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray
    fractional: int


def fail(path: Path, expected: str, got: Any, remedy: str) -> NoReturn:
    """Raises a ConversionError in the house form that names the file."""
    raise ConversionError(f'convert_voc(root=) expected {expected} in {str(path)!r}, but got {got}. {remedy}.')


def read_splits(root: Path, names: Sequence[str] | None = None) -> dict[str, list[str]]:
    """The image ids of each split, in the order of its file.

    Args:
        root: The folder that holds ``ImageSets``.
        names: The splits to read; by default each file of ``ImageSets/Main``. Files such as ``dog_train.txt``, that
            hold an id and a flag in every line, are no splits.

    Returns:
        Splits by name, with 'train', 'val' and 'test' first and the others by name.

    Raises:
        ConversionError: When a split is missing, empty, names an image twice, or has lines that are no plain ids.
    """
    folder = root / 'ImageSets' / 'Main'
    if names is not None:
        found = {name: _read_ids(folder / f'{name}.txt') for name in names}
    else:
        found = {path.stem: _read_ids(path) for path in sorted(folder.glob('*.txt'))}
        found = {name: ids for name, ids in found.items() if not all(_is_flagged(root, line) for line in ids)}
    if not found:
        fail(folder, 'files that list image ids', 'none', 'Give the folder that holds ImageSets/Main')
    for name, ids in found.items():
        _check_ids(root, folder / f'{name}.txt', ids)
    order = [*(name for name in USUAL_SPLITS if name in found), *sorted(found.keys() - set(USUAL_SPLITS))]
    return {name: found[name] for name in order}


def _is_flagged(root: Path, line: str) -> bool:
    """Whether a line is an id and a flag, and not an id with a space."""
    return re.fullmatch(r'\S+\s+-?[01]', line) is not None and not (root / XML / f'{line}.xml').is_file()


def _read_ids(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines() if line.strip()]
    except OSError as error:
        known = sorted(file.stem for file in path.parent.glob('*.txt'))
        fail(path, 'a list of image ids', error.strerror, f'Choose a split that is there: {", ".join(known) or "none"}')
    except UnicodeDecodeError as error:
        fail(path, 'a list of image ids', error, 'Save the file as UTF-8 text')


def _check_ids(root: Path, path: Path, ids: Sequence[str]) -> None:
    if not ids:
        fail(path, 'at least one image id', 'an empty file', 'Leave the split out')
    seen = set()
    for line in ids:
        if _is_flagged(root, line) or '..' in line or '\\' in line or line.startswith('/'):
            fail(path, 'plain image ids', repr(line), 'Give one id a line, without path or flag')
        if line in seen:
            fail(path, 'each image id once', f'{line!r} twice', 'Remove one of them')
        seen.add(line)


def find_image(root: Path, image_id: str) -> str:
    """The image of an id, relative to ``root``; the name with '.jpg' when there is none.

    Raises:
        Nothing: That a file is missing is said once for all files, by the scan of the images.
    """
    names = [f'{IMAGES}/{image_id}{suffix}' for suffix in SUFFIXES]
    return next((name for name in names if (root / name).is_file()), names[0])


def read_voc(path: Path) -> VocImage:
    """Reads and checks the annotation of one image.

    Raises:
        ConversionError: When the file is missing or is not what the format says.
    """
    try:
        tree = ElementTree.parse(path).getroot()
    except OSError as error:
        fail(
            path,
            'an annotation',
            error.strerror,
            'Put the file there, or convert only the splits that have annotations (--split)',
        )
    except (ElementTree.ParseError, ValueError) as error:
        remedy = 'The file is damaged or cut off there: get it again; or it has another encoding: save it as UTF-8'
        fail(path, 'a complete XML document', error, remedy)
    objects = tree.findall('object')
    if tree.tag != 'annotation' and not objects:
        fail(path, 'the objects in <annotation>', f'<{tree.tag}>', 'Give the files of PASCAL VOC, without a namespace')
    raw = np.array([_corners(path, item) for item in objects], dtype=np.float64).reshape(-1, 4)
    return VocImage(
        path,
        _size(path, tree, 'height'),
        _size(path, tree, 'width'),
        [_name(path, item) for item in objects],
        (np.trunc(raw) - 1).astype(np.float32),
        _flags(path, objects, 'difficult'),
        _flags(path, objects, 'truncated'),
        int((raw != np.trunc(raw)).any(1).sum()),
    )


def _size(path: Path, tree: ElementTree.Element, key: str) -> int | None:
    """In pixels; None when the file does not say, or says 0 as some tools do."""
    text = (tree.findtext(f'size/{key}') or '0').strip()
    if not re.fullmatch(r'\d{1,9}', text):
        fail(path, f'a positive integer {key}', repr(text), 'Correct it, or remove it to have the image measured')
    return int(text) or None


def _name(path: Path, item: ElementTree.Element) -> str:
    name = item.findtext('name')
    if not name or not name.strip():
        fail(path, 'a name in every object', repr(name), 'Add the class, or remove the object')
    return name.strip()


def _corners(path: Path, item: ElementTree.Element) -> list[float]:
    texts = {key: item.findtext(f'bndbox/{key}') or '' for key in CORNERS}
    try:
        numbers = [float(text) for text in texts.values()]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        fail(path, 'a bndbox of 4 finite numbers in every object', texts, 'Correct or remove the object')
    if numbers[0] > numbers[2] or numbers[1] > numbers[3]:
        fail(path, 'xmin and ymin to be the smaller ones in every bndbox', texts, 'Correct or remove the object')
    return numbers


def _flags(path: Path, objects: Sequence[ElementTree.Element], key: str) -> np.ndarray:
    texts = [(item.findtext(key) or '0').strip() for item in objects]
    wrong = next((text for text in texts if text not in ('0', '1')), None)
    if wrong is not None:
        fail(path, f'0 or 1 as {key}', repr(wrong), 'Correct it')
    return np.array(texts, dtype=np.uint8)


def class_labels(images: Sequence[VocImage], classes: Sequence[str] | None) -> list[str]:
    """The class names in label order: as given, else those that occur, in alphabetical order.

    Raises:
        ConversionError: When a class is given twice or an object's class is not among those given.
    """
    if classes is None:
        names = sorted({name for image in images for name in image.names})
        if not names:
            raise ConversionError(
                'convert_voc(root=) expected at least one object, but got none in any annotation. '
                'Give the class names (--classes) to convert images without objects.'
            )
        return names
    if not classes or len(set(classes)) != len(classes) or not all(classes):
        raise ConversionError(
            f'convert_voc(classes=) expected different names, but got {list(classes)}. Give each class once.'
        )
    for image in images:
        unknown = next((name for name in image.names if name not in classes), None)
        if unknown is not None:
            fail(
                image.path,
                f'only objects of the classes {list(classes)}',
                repr(unknown),
                'Add the class to --classes, or correct the file',
            )
    return list(classes)
