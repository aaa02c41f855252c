"""A TQL query whose rows are known by their number in what was queried."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from deeplake_mmdet.errors import QueryError, SourceError
from deeplake_mmdet.source.null_order import without_nulls
from deeplake_mmdet.source.numbered import Numbered
from deeplake_mmdet.source.query_checks import check_conditions
from deeplake_mmdet.source.query_errors import explain
from deeplake_mmdet.source.recipe import Opened
from deeplake_mmdet.source.set_queries import combined, combines
from deeplake_mmdet.source.waiting import wait

# Words of TQL whose meaning depends on the order of the rows, or that set it.
_ORDERED = re.compile(r'\b(order|limit|offset|sample|group)\b', re.IGNORECASE)
# Deep Lake has statements that write, and crashes on some that are none.
_SELECTS = re.compile(r'[\s(]*(select|with)\b', re.IGNORECASE)


def apply_query(opened: Opened, query: str, deadline_s: float) -> Opened:
    """What was opened, with a query on its rows.

    Args:
        opened: Without a query so far.
        query, deadline_s: See `run_query`.

    Raises:
        QueryError: See `run_query`; or the rows stand in an order of their own, and the query depends on the order.
    """
    within = opened.places
    if opened.view_id is not None and opened.format == 3 and combines(query):
        raise QueryError(
            f'DeepLakeDataset(deeplake_query=) got {query!r} for the view {opened.view_id!r} of format 3, which Deep '
            'Lake cannot combine queries of. Query the dataset without the view, or copy it: deeplake-mmdet convert v3.'
        )
    remarks = (*opened.remarks, *check_conditions(query, opened.base, format=opened.format))
    if opened.format != 3:
        query, left_out = without_nulls(query, opened.base, deadline_s)
        remarks = (*remarks, *left_out)
    opened = replace(opened, remarks=remarks)
    selection, rows = run_query(opened.base, query, deadline_s, within, format=opened.format)
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


def run_query(
    base: Any, query: str, deadline_s: float, within: np.ndarray | None = None, *, format: int = 4
) -> tuple[Any, np.ndarray]:
    """Run a query on a dataset or view.

    Args:
        base: The Deep Lake dataset or view.
        query: TQL, such as ``select * where …``. A list of columns instead of ``*`` will do.
        deadline_s: Seconds that each step of it may take.
        within: Numbers of the rows that are queried; None for all.
        format: Deep Lake's format of the dataset, 3 or 4.

    Returns:
        The selected rows, and their numbers in `base`, int64 of shape (N,).

    Raises:
        QueryError: The query is malformed, selects nothing, loses track of the rows, or combines queries in a way in
            which Deep Lake gives other rows.
        DeadlineError: It takes longer.
    """
    if within is not None and not len(within):
        raise QueryError(f'DeepLakeDataset(deeplake_query=) got {query!r}, but the view has no rows to select from.')
    if not _SELECTS.match(query):
        raise QueryError(f'DeepLakeDataset(deeplake_query=) expected a query that begins with "select", got {query!r}.')
    numbered = Numbered(base, query, deadline_s, within)
    try:
        if combines(query):  # of format 3, columns are read after they were checked only
            selection = combined(base, numbered, query, deadline_s, compare=format != 3)
        else:
            selection = numbered.run(query)
    except SourceError:
        raise
    except RuntimeError as error:  # what Deep Lake raises for any error in TQL
        again = lambda text: wait(base.query_async(text), 'The query', deadline_s)  # noqa: E731
        raise QueryError(explain(query, error, base, again)) from None
    rows = numbered.numbers(selection)
    if not len(rows):
        raise QueryError(
            f'DeepLakeDataset(deeplake_query=) got {query!r}, which selects none of the {len(numbered.rows)} rows. '
            'Check the names and values in it.'
        )
    return selection, rows


def span_of(places: np.ndarray) -> tuple[slice | list[int], list[int]]:
    """What to read to have some rows, and where they stand in that; a slice is much faster than a list."""
    first, last = (int(places.min()), int(places.max())) if len(places) else (0, -1)
    if last - first < 4 * len(places):
        return slice(first, last + 1), (places - first).tolist()
    return places.tolist(), list(range(len(places)))
