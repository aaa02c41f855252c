"""Saved views of rows that only their numbers tell."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from deeplake_mmdet.convert.views import View

_ROW = 'source_row_of_view'


def row_view(rows: np.ndarray, columns: Sequence[str]) -> View:
    """The view of some rows of a dataset, in its order.

    Args:
        rows: Their numbers, ascending, int (N,).
        columns: Names of the columns of the dataset; the number is none of them.
    """
    names = ', '.join(json.dumps(name, ensure_ascii=False) for name in columns)  # there may be a / in them
    listed = ', '.join(map(str, rows.tolist())) or '-1'
    query = f'select {names} from (select *, ROW_NUMBER() as {_ROW}) where {_ROW} in ({listed})'
    return View(query, len(rows))
