"""The dataset that rows are added to: what new ones must have in common with it, checked before anything is written.

Columns, class names and category ids must be the same. A column that only the dataset has is filled with what stands
for nothing, where there is such a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from deeplake import types

from deeplake_mmdet.convert.import_source import ImportSource
from deeplake_mmdet.convert.schema import COCO_FIELDS, Column, image_columns, json_list, ragged
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.column_types import type_in_words

_FLAGS = ('iscrowd', 'ignore', 'difficult', 'truncated')  # 0 is what a file means that does not name them


class AddedTo:
    """A finished dataset.

    Args:
        dataset: The Deep Lake dataset, opened.
        path: Of it, for messages.

    Raises:
        ConversionError: It has no image ids.
    """

    def __init__(self, dataset: Any, path: str) -> None:
        self._dataset, self._path = dataset, path
        self._names = [column.name for column in dataset.schema.columns]
        if 'img_id' not in self._names:
            self._refuse('the column img_id', 'none', 'Only what an import made can be added to')

    def _refuse(self, expected: str, got: str, remedy: str) -> NoReturn:
        raise ConversionError(f'convert(append=True) expected {expected} in {self._path!r}, but got {got}. {remedy}.')

    def columns(self, source: ImportSource, *, link: bool) -> list[Column]:
        """The columns of a new row.

        Args:
            source: Of the rows.
            link: Whether images are linked to.

        Raises:
            ConversionError: A column, or what it says about itself, is another one; it is named.
        """
        stored = self._dataset.schema['images'].dtype if 'images' in self._names else None
        if bool(getattr(stored, 'is_link', False)) != link:
            there, wanted = ('images', 'links to images') if link else ('links to images', 'images')
            self._refuse(wanted, there, 'Import with --link where the dataset has links, else without')
        columns = source.columns([Column('images', stored, 'text' if link else 'bytes'), *image_columns()[1:]])
        for column in columns:
            self._check(column)
        known = {column.name for column in columns}
        return columns + [self._blank_column(name) for name in self._names if name not in known]

    def check_pixels(self, dtype: str) -> None:
        """Refuses images of other pixels than the column of images is for.

        Args:
            dtype: Of the pixels, 'uint8' or 'uint16'.

        Raises:
            ConversionError: The dataset has others.
        """
        stored = self._dataset.schema['images'].dtype
        if stored not in [types.Image(dtype=dtype, sample_compression=kind) for kind in ('jpeg', 'png')]:
            self._refuse(f'images of {dtype} pixels', f'{stored}', 'Make a dataset of its own')

    def _check(self, column: Column) -> None:
        if column.name not in self._names:
            remedy = 'Import the file that has it before the other, or make a dataset of its own'
            self._refuse(f'the column {column.name!r}', f'only {self._names}', remedy)
        stored = self._dataset.schema[column.name].dtype
        plain = isinstance(column.type, str | types.DataType)  # of which Deep Lake gives back something unequal
        if (str(stored) != str(column.type)) if plain else (stored != column.type):
            wanted, got = type_in_words(column.type, column), type_in_words(stored, self._dataset[column.name])
            self._refuse(f'the column {column.name!r} to be {wanted}', got, 'Make a dataset of its own')
        metadata = self._dataset[column.name].metadata
        for key, value in column.metadata.items():
            there = metadata[key] if key in list(metadata.keys()) else None
            if there != value:
                what = f'{key} {_short(value)} of the column {column.name!r}'
                self._refuse(what, _short(there), 'Make a dataset of its own, or make both files say the same')

    def _blank_column(self, name: str) -> Column:
        """A column that the source has nothing for."""
        stored, metadata = self._dataset.schema[name].dtype, self._dataset[name].metadata
        text_format = metadata['format'] if 'format' in list(metadata.keys()) else None
        if name in _FLAGS:
            return ragged(name, 'uint8')
        if text_format is None or stored != types.Text():
            self._refuse('no columns but those of the source', repr(name), 'Make a dataset of its own')
        per_image = Column(name, types.Text(), 'text', 0, {'format': text_format})
        return per_image if name == 'image_fields' else json_list(name, text_format)

    def check_new(self, source: ImportSource, views: Mapping[str, View]) -> None:
        """Refuses ids of images and names of views that the dataset has already.

        Raises:
            ConversionError: It names the id or the view.
        """
        tags, branches = self._dataset.tags.names(), self._dataset.branches.names()
        taken = next((name for name in views if name in tags or name in branches), None)
        if taken is not None:
            self._refuse('views of other names', repr(taken), f'Choose another name (--split); taken are {tags}')
        for name, view in views.items():
            if rows := len(self._dataset.query(view.query)):
                self._refuse(f'no rows of the view {name!r}', f'{rows}', 'Choose another name (--split)')
        if not source.numbered:
            known = set(self._dataset['img_id'][:].tolist())
            ids = (source.entry(position).img_id for position in range(len(source)))
            twice = next((img_id for img_id in ids if img_id in known), None)
            if twice is not None:
                self._refuse(
                    'ids of images that are not there yet',
                    f'{twice} again',
                    'Give the images other ids, or make a dataset of its own',
                )

    @property
    def next_id(self) -> int:
        """The first id behind the largest one."""
        ids = self._dataset['img_id'][:]
        return int(ids.max()) + 1 if len(ids) else 0

    def merged(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of the dataset with more of it, in which lists are joined and texts keep what they are."""
        there = self._dataset.metadata
        return {
            key: _merged(there[key], value) if key in list(there.keys()) else value for key, value in metadata.items()
        }


def blank(column: Column, count: int) -> Any:
    """What stands for nothing in a column, in a row of ``count`` instances."""
    if column.value == 'text':
        empty: Any = {} if column.metadata['format'] == COCO_FIELDS else None
        return json.dumps([empty] * count if column.per_instance else empty, separators=(',', ':'))
    return np.zeros(count, column.value)


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        return old + [item for item in new if item not in old]
    return old


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f'{text[:200]}…'
