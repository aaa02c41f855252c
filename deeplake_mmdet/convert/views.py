"""Saved views: each split of a dataset is a query, kept under the split's name at the version that was written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deeplake_mmdet.errors import ConversionError


@dataclass(frozen=True)
class View:
    """A TQL query and the number of rows that it must select."""

    query: str
    rows: int


def check_split_name(name: str) -> str:
    """Returns a name that Deep Lake, a shell and a config can all carry.

    Raises:
        ConversionError: When it is anything else.
    """
    if not re.fullmatch(r'\w[\w.+-]*', name) or name == 'main':
        raise ConversionError(
            f'convert(split=) expected a name of letters, digits, "_", ".", "+" and "-" that is not '
            f"'main', but got {name!r}. Choose another name for the split."
        )
    return name


def split_view(name: str, rows: int) -> View:
    """The rows whose column ``split`` is ``name``; the column is quoted because SPLIT is a word of TQL."""
    return View(f'select * where "split" == \'{check_split_name(name)}\'', rows)


def id_view(img_ids: Sequence[int]) -> View:
    """The rows with the given ids, in the dataset's order.

    One ``in`` list: 60,000 ids of 120,000 rows take 0.3 s, where a chain of ``or`` overflows Deep Lake's parser.
    """
    ids = sorted(set(img_ids))
    return View(f'select * where img_id in ({",".join(map(str, ids))})', len(ids))
