"""Saved views: each split of a dataset is a query, kept under the split's name at the version that was written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.unfinished import UNFINISHED

_MOST_RUNS = 20


@dataclass(frozen=True)
class View:
    """A TQL query and the number of rows that it must select.

    Attributes:
        query: The query.
        rows: The number of rows.
        img_ids: The ids that the query lists, if that is what it does.
    """

    query: str
    rows: int
    img_ids: tuple[int, ...] | None = field(default=None, repr=False)

    def naming(self, columns: Sequence[str]) -> str:
        """The query with the names of the columns in place of an asterisk at its beginning."""
        named = ', '.join(f'"{name}"' for name in columns)
        return re.sub(r'^select \* ', lambda _: f'select {named} ', self.query)

    def moved(self, first_id: int) -> View:
        """The view of images whose ids count from ``first_id`` instead of 0."""
        if self.img_ids is None or not first_id:
            return self
        return id_view([img_id + first_id for img_id in self.img_ids])


def check_split_name(name: str) -> str:
    """Returns a name that Deep Lake, a shell and a config can all carry.

    Raises:
        ConversionError: When it is anything else.
    """
    if not re.fullmatch(r'\w[\w.+-]*', name) or name in ('main', UNFINISHED):
        raise ConversionError(
            f'convert(split=) expected a name of letters, digits, "_", ".", "+" and "-" that is not '
            f"'main' or {UNFINISHED!r}, but got {name!r}. Choose another name for the split."
        )
    return name


def split_view(name: str, rows: int) -> View:
    """The rows whose column ``split`` is ``name``; the column is quoted because SPLIT is a word of TQL."""
    return View(f'select * where "split" == \'{check_split_name(name)}\'', rows)


def id_view(img_ids: Sequence[int]) -> View:
    """The rows with the given ids, in the dataset's order.

    Ids that follow each other are named by the first and the last; ids that are too scattered for that in one ``in``
    list: 60,000 ids of 120,000 rows take 0.3 s, where a chain of ``or`` overflows Deep Lake's parser.
    """
    ids = np.unique(np.array(img_ids, dtype=np.int64))
    runs = np.split(ids, np.flatnonzero(np.diff(ids) != 1) + 1)
    if len(runs) <= _MOST_RUNS:
        condition = ' or '.join(f'(img_id >= {run[0]} and img_id <= {run[-1]})' for run in runs)
    else:
        condition = f'img_id in ({",".join(map(str, ids.tolist()))})'
    return View(f'select * where {condition}', len(ids), tuple(ids.tolist()))


def home_splits(members: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The earliest split of each image, in row order: the images of the first split, then those that the next adds, …

    Args:
        members: For each split, its images.
    """
    home: dict[str, str] = {}
    for split, images in members.items():
        home.update((image, split) for image in images if image not in home)
    return home


def member_views(members: Mapping[str, Sequence[str]], home: Mapping[str, str]) -> dict[str, View]:
    """The view of each split of a dataset whose ``img_id`` is the number of the row.

    Args:
        members: For each split, its images.
        home: What `home_splits` makes of them.
    """
    rows = {image: number for number, image in enumerate(home)}
    return {
        split: split_view(split, len(images))
        if all(home[image] == split for image in images)
        else id_view([rows[image] for image in images])
        for split, images in members.items()
    }
