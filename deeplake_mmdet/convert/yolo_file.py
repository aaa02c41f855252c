"""The data.yaml of a YOLO dataset, and the image files of its splits, found as Ultralytics finds them.

The format is the one of https://docs.ultralytics.com/datasets/detect. ``path`` is where the file says that the dataset
is, and may lead anywhere; everything else that it or a list names must lie below, so that nothing is read that the user
did not point at.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from deeplake_mmdet.errors import ConversionError

SPLITS = ('train', 'val', 'test')
_KINDS = 'avif bmp dng heic heif jp2 jpeg jpg mpo pfm png tif tiff webp'  # whatever can be decoded of them
SUFFIXES = tuple(f'.{kind}' for kind in _KINDS.split())


@dataclass(frozen=True)
class YoloFile:
    """What a data.yaml says.

    Attributes:
        path: Of the file.
        root: The folder of the dataset, absolute.
        class_names: In label order.
        splits: For each split its images, sorted as Ultralytics sorts them: names relative to `root`, with ``/``.
    """

    path: Path
    root: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Sequence[str]]

    def label_file(self, name: str) -> str:
        """Where the labels of an image are: its last folder ``images`` is ``labels`` there, its suffix ``.txt``.

        Raises:
            ConversionError: That is not below `root`.
        """
        image = os.path.join(self.root, name)
        file = '/labels/'.join(image.rsplit('/images/', 1)).rpartition('.')[0] + '.txt'
        if not is_below(self.root, file):
            fail(
                self.path,
                f'the labels of {name!r} below {self.root!r}',
                f'{file!r}, where Ultralytics looks for them',
                "Put the images into a folder 'images' of the dataset, or rename the folder 'images' above it",
            )
        return file


def fail(path: str | os.PathLike, expected: str, got: Any, remedy: str, line: int | None = None) -> NoReturn:
    """Raises a ConversionError in the house form that names the file, and its line where one is at fault."""
    place = f'{os.fspath(path)!r}' + ('' if line is None else f', line {line}')
    raise ConversionError(f'convert_yolo(data_yaml=) expected {expected} in {place}, but got {got}. {remedy}.')


def read_yolo(path: str | os.PathLike, splits: Sequence[str] | None = None, root: str | None = None) -> YoloFile:
    """Reads a data.yaml and finds the images of its splits.

    Args:
        path: The data.yaml.
        splits: Which of its splits; by default those of train, val and test that it has.
        root: The folder of the dataset, in place of what the file says.

    Raises:
        ConversionError: The file is malformed, or names what is missing or not below the folder of the dataset.
    """
    path = Path(path)
    document = _load(path)
    if 'kpt_shape' in document:
        fail(path, 'boxes or polygons', "keypoints ('kpt_shape')", 'Convert a dataset for detection or segmentation')
    folder = _root(path, document, root)
    if 'val' not in document and 'validation' in document:  # as older files call it
        document['val'] = document['validation']
    known = [name for name in SPLITS if document.get(name)]
    if splits is None and not known:
        fail(path, 'at least one of train, val and test', f'the keys {list(document)}', 'Name a split (--split)')
    chosen = sorted(known if splits is None else splits, key=lambda name: SPLITS.index(name) if name in SPLITS else 9)
    images = {name: _images(path, folder, name, document) for name in chosen}
    return YoloFile(path, folder, _class_names(path, document), images)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding='utf-8-sig'))
    except OSError as error:
        fail(path, 'a YAML document', error.strerror, 'Correct the path')
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, 'problem_mark', None)
        line = None if mark is None else mark.line + 1
        fail(path, 'a YAML document', getattr(error, 'problem', None) or error, 'Correct it there', line)
    if not isinstance(document, dict):
        fail(path, 'the keys train, val and names', f'a {type(document).__name__}', 'Give the data.yaml of a dataset')
    return document


def _root(path: Path, document: Mapping[str, Any], given: str | None) -> str:
    """The folder of the dataset, absolute."""
    said = document.get('path') if given is None else os.path.abspath(given)
    if said is not None and not isinstance(said, str):
        fail(path, 'a text as path', repr(said), 'Correct it, or name the folder (--root)')
    root = os.path.abspath(path.absolute().parent / (said or ''))
    if not os.path.isdir(root):
        fail(path, 'a folder as path', f'{root!r}, which is none', 'Name the folder of the dataset (--root)')
    return root


def is_below(root: str, file: str) -> bool:
    return os.path.normpath(file).startswith(os.path.join(root, ''))


def _images(path: Path, root: str, split: str, document: Mapping[str, Any]) -> list[str]:
    """The images of one split, relative to `root`."""
    value = document.get(split)
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) for entry in entries):
        keys = ', '.join(map(str, document))
        fail(path, f'a folder, a list file, or several of them as {split}', repr(value), f'Its keys are {keys}')
    found: dict[str, None] = {}
    for entry in entries:
        place = _place(path, root, split, entry)
        for name, line in _listed(place, root) if os.path.isfile(place) else _in_folder(place):
            if name in found:
                fail(place, f'each image of {split} once', f'{name!r} again', 'Remove one of them', line)
            found[name] = None
    if not found:
        fail(path, f'images in {split}', f'none in {entries}', 'Correct the path, or leave the split out (--split)')
    return [name.removeprefix(os.path.join(root, '')) for name in sorted(found)]


def _place(path: Path, root: str, split: str, entry: str) -> str:
    """Where an entry of a split is."""
    places = [os.path.normpath(os.path.join(root, entry))]
    if entry.startswith('../') and not os.path.exists(places[0]):  # as Roboflow writes it, and Ultralytics reads it
        places += [os.path.normpath(os.path.join(root, entry[3:]))]
    inside = next((place for place in places if place == root or is_below(root, place)), None)
    if inside is None:
        fail(
            path,
            f'{split} below the folder of the dataset, {root!r}',
            repr(entry),
            'Nothing outside it is read: correct the path, or name a folder that holds everything (--root)',
        )
    if not os.path.exists(inside):
        remedy = 'Correct the path, name the folder of the dataset (--root), or leave the split out (--split)'
        fail(path, f'a folder or a list of images as {split}', f'{inside!r}, which does not exist', remedy)
    return inside


def _in_folder(folder: str) -> Iterator[tuple[str, None]]:
    """All images in a folder and its subfolders, hidden ones left out."""
    for name in glob.iglob(os.path.join(glob.escape(folder), '**', '*.*'), recursive=True):
        if name.lower().endswith(SUFFIXES):
            yield name, None


def _listed(file: str, root: str) -> Iterator[tuple[str, int]]:
    """The images that a text file lists, one a line, relative to its folder; and their lines."""
    try:
        lines = Path(file).read_text(encoding='utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fail(file, 'a list of images', error, 'Save it as UTF-8 text')
    for number, line in enumerate(lines, start=1):
        name = os.path.normpath(os.path.join(os.path.dirname(file), line.strip()))
        if not line.strip():
            continue
        if not name.lower().endswith(SUFFIXES) or not is_below(root, name) or '\0' in name:
            expected = f'an image file below {root!r}'
            remedy = 'Nothing outside the folder of the dataset is read: correct the line, or name that folder (--root)'
            fail(file, expected, repr(line), remedy, number)
        yield name, number


def _class_names(path: Path, document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in label order: a list, a dict by number, or made up from their number as Ultralytics does."""
    names, count = document.get('names'), document.get('nc')
    if count is not None and (type(count) is not int or count < 1):
        fail(path, 'a number of classes as nc', repr(count), 'Correct it, or leave it out')
    if names is None and count is not None:
        return tuple(f'class_{number}' for number in range(count))
    listed = list(names.values()) if isinstance(names, dict) else names
    if not isinstance(listed, list) or not listed or not all(type(name) in (str, int, float) for name in listed):
        fail(path, 'a list or dict of class names as names', repr(names), 'Put names such as no and on into quotes')
    if isinstance(names, dict):
        listed = _in_order(path, names)
    texts = tuple(map(str, listed))
    if len(set(texts)) < len(texts) or not all(text.strip() for text in texts):
        fail(path, 'names that differ', repr(list(texts)), 'Give each class a name of its own')
    if count not in (None, len(texts)):
        fail(path, f'nc to be {len(texts)}, the number of names', str(count), 'Correct one of them')
    return texts


def _in_order(path: Path, names: Mapping[Any, Any]) -> list[Any]:
    try:
        by_number = {int(number): name for number, name in names.items()}
        return [by_number[number] for number in range(len(names))]
    except (KeyError, TypeError, ValueError):
        fail(path, f'names numbered from 0 to {len(names) - 1}', f'{list(names)}', 'Number them without gaps')
