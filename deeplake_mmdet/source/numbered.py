"""Rows that carry their number: Deep Lake's own row ids of a query are positions in its result.

A query that runs on rows with a column of numbers selects these numbers too, and so says which rows it selected.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from deeplake_mmdet.errors import QueryError, SourceError
from deeplake_mmdet.source.waiting import wait

SOURCE_ROW = 'deeplake_mmdet_source_row'
_SELECT = re.compile(r'^\s*select\s+', re.IGNORECASE)


class Numbered:
    """The rows of a dataset or view, to be queried.

    Args:
        base: The Deep Lake dataset or view.
        query: The query that is about to run, for messages.
        deadline_s: Seconds that each step may take.
        within: Numbers of the rows that are queried; None for all.
    """

    def __init__(self, base: Any, query: str, deadline_s: float, within: np.ndarray | None = None) -> None:
        self._what, self._query, self._deadline_s = f'The query {query!r}', query, deadline_s
        self.rows = self._wait(base.query_async(f'select *, ROW_NUMBER() as {SOURCE_ROW}'))
        if within is not None:
            self.rows = self.only(within)

    def _wait(self, future: Any) -> Any:
        return wait(future, self._what, self._deadline_s)

    def only(self, numbers: np.ndarray) -> Any:
        """The rows of these numbers, once each and in the order of the dataset."""
        listed = ', '.join(map(str, np.unique(numbers).tolist())) or '-1'
        return self._wait(self.rows.query_async(f'select * where {SOURCE_ROW} in ({listed})'))

    def run(self, query: str, rows: Any = None) -> Any:
        """The result of a query, with the column of numbers, which is added where the query lists columns.

        Args:
            query: TQL.
            rows: What it runs on, with numbers; None for all rows.

        Raises:
            QueryError: The numbers cannot be added.
            RuntimeError: Deep Lake refuses the query.
        """
        rows = self.rows if rows is None else rows
        found = self._wait(rows.query_async(query))
        return found if is_numbered(found) else self._with_number(rows, query)

    def _with_number(self, rows: Any, query: str) -> Any:
        found = None
        try:
            found = self._wait(rows.query_async(_SELECT.sub(f'select {SOURCE_ROW}, ', query, count=1)))
        except SourceError:
            raise
        except RuntimeError:
            pass
        if found is None or not is_numbered(found):
            raise QueryError(
                f'DeepLakeDataset(deeplake_query=) got {self._query!r}, whose rows cannot be traced back to the rows '
                'of the dataset. Begin the outermost query with "select *", and every query inside it.'
            )
        return found

    def numbers(self, found: Any) -> np.ndarray:
        """The numbers of the rows of a result, int64 of shape (N,).

        Raises:
            QueryError: A row of the result stands for several.
        """
        if not len(found):
            return np.zeros(0, np.int64)
        numbers = np.asarray(self._wait(found[SOURCE_ROW].get_async(slice(0, len(found)))))
        if numbers.shape != (len(found),):
            raise QueryError(
                f'DeepLakeDataset(deeplake_query=) got {self._query!r}, which merges rows. Select rows, without '
                '"group by".'
            )
        return numbers.astype(np.int64)


def is_numbered(container: Any) -> bool:
    """Whether rows have the column of numbers."""
    return any(column.name == SOURCE_ROW for column in container.schema.columns)
