"""An annotation index as a file of arrays, and back."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.cache.layout import DamagedError, Layout
from deeplake_mmdet.annotations.cache.mapped import MappedFile
from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.annotations.texts import Texts
from deeplake_mmdet.config.box_format import BoxFormat

# Computed from the index, and kept because every process needs them, for a second and in memory of its own.
_DERIVED = ('usable', 'asked_for', 'nonempty', 'class_counts')
_WORDS = ('classes', 'category_ids', 'box_format')


def layout_of(index: AnnotationIndex, key: str, remarks: Sequence[str]) -> Layout:
    """The file of an index.

    Args:
        index: The annotations.
        key: What the file is found by.
        remarks: What was noticed on reading them, for the log.
    """
    arrays = {field.name: getattr(index, field.name) for field in fields(index) if field.name not in _WORDS}
    if isinstance(index.img_ids, Texts):
        del arrays['img_ids']
        arrays |= {f'img_ids.{name}': array for name, array in vars(index.img_ids).items()}
    derived = {name: getattr(index, name) for name in _DERIVED}
    words = {
        'key': key,
        'remarks': list(remarks),
        'digest': index.digest,
        'derived': {name: zlib.crc32(array.data) for name, array in derived.items()},
        'classes': index.classes,
        'category_ids': index.category_ids,
        'box_format': asdict(index.box_format),
    }
    return Layout.of(arrays | derived, words)


def index_in(file: MappedFile) -> AnnotationIndex:
    """The index of a file, whose arrays are those of the file."""
    words: Mapping[str, Any] = file.words
    arrays: dict[str, Any] = {field.name: file[field.name] for field in fields(AnnotationIndex) if field.name in file}
    if 'img_ids' not in arrays:
        arrays['img_ids'] = Texts(file['img_ids.utf8'], file['img_ids.ends'])
    index = AnnotationIndex(
        **arrays,
        classes=tuple(words['classes']),
        category_ids=tuple(words['category_ids']),
        box_format=BoxFormat(**words['box_format']),
    )
    vars(index).update({name: file[name] for name in _DERIVED}, digest=words['digest'])
    return index


def check(file: MappedFile) -> None:
    """Read every byte, and compare with what was written.

    Raises:
        DamagedError: A number differs.
    """
    index = index_in(file)
    del vars(index)['digest']  # computed anew when it is asked for
    if index.digest != file.words['digest']:
        raise DamagedError('its annotations were changed')
    for name, expected in file.words['derived'].items():
        if zlib.crc32(np.asarray(file[name]).data) != expected:
            raise DamagedError(f'its {name!r} were changed')
