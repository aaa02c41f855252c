"""A TQL query whose rows are known by their number in what was queried.

Deep Lake's own row ids of a query are positions in its result. So the query runs over numbered rows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from deeplake_mmdet.errors import QueryError, SourceError
from deeplake_mmdet.source.recipe import Opened
from deeplake_mmdet.source.waiting import wait

SOURCE_ROW = 'deeplake_mmdet_source_row'
_NUMBERED = f'select *, ROW_NUMBER() as {SOURCE_ROW}'
_SELECT = re.compile(r'^\s*select\s+', re.IGNORECASE)
# Words of TQL whose meaning depends on the order of the rows, or that set it.
_ORDERED = re.compile(r'\b(order|limit|offset|sample|group)\b', re.IGNORECASE)


def apply_query(opened: Opened, query: str, deadline_s: float) -> Opened:
    """What was opened, with a query on its rows.

    Args:
        opened: Without a query so far.
        query, deadline_s: See `run_query`.

    Raises:
        QueryError: See `run_query`; or the rows stand in an order of their own, and the query depends on the order.
    """
    within = opened.places
    selection, rows = run_query(opened.base, query, deadline_s, within)
    if within is None or (np.diff(within) > 0).all():
        return replace(opened, selection=selection, rows=rows, places=None)
    if _ORDERED.search(query):
        raise QueryError(
            f'DeepLakeDataset(deeplake_query=) got {query!r} for the view {opened.view_id!r}, whose rows are shuffled '
            'or repeated: an order and a limit would mean those of the dataset, not of the view. Leave them out, or '
            'query the dataset without the view.'
        )
    found = dict(zip(rows.tolist(), range(len(rows)), strict=True))
    kept = within[np.isin(within, rows)]
    return replace(opened, selection=selection, rows=kept, places=np.array([found[row] for row in kept.tolist()]))


def run_query(base: Any, query: str, deadline_s: float, within: np.ndarray | None = None) -> tuple[Any, np.ndarray]:
    """Run a query on a dataset or view.

    Args:
        base: The Deep Lake dataset or view.
        query: TQL, such as ``select * where …``. A list of columns instead of ``*`` will do.
        deadline_s: Seconds that it may take.
        within: Numbers of the rows that are queried; None for all.

    Returns:
        The selected rows, and their numbers in `base`, int64 of shape (N,).

    Raises:
        QueryError: The query is malformed, selects nothing, or loses track of the rows.
        DeadlineError: It takes longer.
    """
    what = f'The query {query!r}'
    if within is not None and not len(within):
        raise QueryError(f'DeepLakeDataset(deeplake_query=) got {query!r}, but the view has no rows to select from.')
    numbered = wait(base.query_async(_NUMBERED), what, deadline_s)
    if within is not None:
        listed = ', '.join(map(str, np.unique(within).tolist()))
        numbered = wait(numbered.query_async(f'select * where {SOURCE_ROW} in ({listed})'), what, deadline_s)
    try:
        selection = wait(numbered.query_async(query), what, deadline_s)
    except SourceError:
        raise
    except RuntimeError as error:  # what Deep Lake raises for any error in TQL
        columns = ', '.join(column.name for column in base.schema.columns)
        raise QueryError(
            f'DeepLakeDataset(deeplake_query=) got a query that Deep Lake refuses: {query!r}: {error}. '
            f'The columns are {columns}.'
        ) from None
    if not _is_numbered(selection):
        selection = _with_number(numbered, query, deadline_s)
    if not len(selection):
        raise QueryError(
            f'DeepLakeDataset(deeplake_query=) got {query!r}, which selects none of the {len(numbered)} rows. '
            'Check the names and values in it.'
        )
    numbers = np.asarray(wait(selection[SOURCE_ROW].get_async(slice(0, len(selection))), what, deadline_s))
    if numbers.shape != (len(selection),):
        raise QueryError(
            f'DeepLakeDataset(deeplake_query=) got {query!r}, which merges rows. Select rows, without "group by".'
        )
    return selection, numbers.astype(np.int64)


def _with_number(numbered: Any, query: str, deadline_s: float) -> Any:
    """The rows of a query that lists columns, with the row number added to its list."""
    selection = None
    try:
        listed = _SELECT.sub(f'select {SOURCE_ROW}, ', query, count=1)
        selection = wait(numbered.query_async(listed), f'The query {query!r}', deadline_s)
    except SourceError:
        raise
    except RuntimeError:
        pass
    if selection is None or not _is_numbered(selection):
        raise QueryError(
            f'DeepLakeDataset(deeplake_query=) got {query!r}, whose rows cannot be traced back to the rows of the '
            'dataset. Begin the outermost query with "select *", and every query inside it.'
        )
    return selection


def _is_numbered(container: Any) -> bool:
    return any(column.name == SOURCE_ROW for column in container.schema.columns)


def span_of(places: np.ndarray) -> tuple[slice | list[int], list[int]]:
    """What to read to have some rows, and where they stand in that; a slice is much faster than a list."""
    first, last = (int(places.min()), int(places.max())) if len(places) else (0, -1)
    if last - first < 4 * len(places):
        return slice(first, last + 1), (places - first).tolist()
    return places.tolist(), list(range(len(places)))
