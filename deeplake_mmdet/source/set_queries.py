"""Unions, intersections and differences of queries: the rows that they stand for, and whether Deep Lake agrees.

Deep Lake combines lists of row numbers, and takes for granted that they ascend: parts with an order of their own give
rows twice or lose some, without an error. Parts of numbered rows it does not combine at all, but puts them one after
another. So the parts run one by one, and their numbers are combined here: each row once, in the order of the dataset,
from left to right. What Deep Lake gives for the query itself is then compared, so that a query selects the same rows
here, in Deep Lake, and in a view that is saved of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from deeplake_mmdet.errors import QueryError
from deeplake_mmdet.source.column_types import kind_of
from deeplake_mmdet.source.numbered import SOURCE_ROW, Numbered
from deeplake_mmdet.source.tql_text import SET_WORDS, TOKEN, is_random, split_query, tokens_outside
from deeplake_mmdet.source.waiting import wait

_COMBINE: dict[str, Callable[..., np.ndarray]] = {
    'union': np.union1d,
    'intersect': np.intersect1d,
    'except': np.setdiff1d,
}
_ALL = re.compile(r'\s*all\b', re.IGNORECASE)  # `union all` gives a row once too
_ROWS_AT_ONCE = 65536
_REMEDY = (
    'Write one "where" with "or" and "and"; or save the rows as a view: deeplake-mmdet query DATASET "first query" '
    '"second query" --save-view NAME.'
)


def combines(query: str) -> bool:
    """Whether a query is, or holds, a union, an intersection or a difference."""
    return any(match[0].lower() in SET_WORDS for match in TOKEN.finditer(query))


def combined(base: Any, numbered: Numbered, query: str, deadline_s: float, *, compare: bool) -> Any:
    """The rows that a query with such words selects, with their numbers.

    Args:
        base: The Deep Lake dataset or view.
        numbered: Its rows.
        query: TQL.
        deadline_s: Seconds that Deep Lake may take for it.
        compare: Whether all columns of numbers are compared with what Deep Lake gives, or the number of rows only.

    Raises:
        QueryError: Deep Lake gives other rows, or would give others each time; or the form of the query is not known.
        RuntimeError: Deep Lake refuses the query.
    """
    if is_random(query):
        _refuse(query, 'which combines rows that are drawn by lot, and would be others each time')
    what = f'The query {query!r}'
    own = None
    try:
        own = wait(base.query_async(query), what, deadline_s)
    except RuntimeError as error:
        if 'independent datasets' not in str(error):
            raise
    found = _Parser(numbered, query).evaluate(query)
    if own is None:
        _refuse(query, 'which Deep Lake refuses because a part of it selects no row, or all of them')
    if len(own) != len(found) or (compare and not _same_numbers(own, found, what, deadline_s)):
        _refuse(
            query, f'which stands for {len(found)} rows, but Deep Lake gives {len(own)}, others, or in another order'
        )
    return found


class _Parser:
    """Runs the parts of one query.

    Args:
        numbered: The rows.
        query: The whole query, for messages.
    """

    def __init__(self, numbered: Numbered, query: str) -> None:
        self._numbered, self._query = numbered, query
        self._columns = {column.name for column in numbered.rows.schema.columns}

    def evaluate(self, text: str) -> Any:
        """The numbered rows of a part."""
        text = text.strip().rstrip(';').rstrip()
        if not combines(text):
            return self._numbered.run(text)
        if any(token.text.lower() in SET_WORDS for token in tokens_outside(text)):
            return self._combine(text)
        parts = split_query(text)
        if parts is None or not parts.source.startswith('('):
            self._refuse_form()
        inner = self.evaluate(parts.source[1:-1])
        return self._numbered.run(f'select {parts.selected}{parts.clauses}', inner)

    def _combine(self, text: str) -> Any:
        operators, parts, clauses = self._split(text)
        rows = self._part(parts[0])
        for operator, part in zip(operators, parts[1:], strict=True):
            rows = _COMBINE[operator](rows, self._part(part))
        found = self._numbered.only(rows)
        return self._numbered.run(f'select * {clauses}', found) if clauses else found

    def _split(self, text: str) -> tuple[list[str], list[str], str]:
        """Operators, the parts around them without their brackets, and the clauses that follow the last bracket."""
        operators, parts, start = [], [], 0
        for token in tokens_outside(text):
            if token.text.lower() in SET_WORDS:
                parts.append(text[start : token.start].strip())
                operators.append(token.text.lower())
                every = _ALL.match(text, token.end)
                start = every.end() if every else token.end
        last = text[start:].strip()
        close = _end_of_bracket(last)
        clauses = last[close:].strip()
        parts.append(last[:close])
        if not all(part and _end_of_bracket(part) == len(part) for part in parts):
            self._refuse_form()
        words = {token.text.lower() for token in tokens_outside(clauses)}
        if {'limit', 'offset'} & words and 'order' in words:
            raise QueryError(
                f'DeepLakeDataset(deeplake_query=) got {self._query!r}: of an order and a limit behind a union, Deep '
                f'Lake takes the limit first. Write "select * from (…) {clauses}".'
            )
        return operators, [part[1:-1] for part in parts], clauses

    def _part(self, text: str) -> np.ndarray:
        found = self.evaluate(text)
        if {column.name for column in found.schema.columns} != self._columns:
            _refuse(self._query, f'of which the part {text!r} lists columns. Begin every part with "select *"', '')
        rows = self._numbered.numbers(found)
        if len(rows) == len(self._numbered.rows) and 'where' not in map(str.lower, TOKEN.findall(text)):
            _refuse(self._query, f'of which the part {text!r} selects everything, which Deep Lake cannot combine')
        if (np.diff(rows) <= 0).any():
            _refuse(
                self._query,
                f'of which the part {text!r} has an order of its own: Deep Lake combines such parts wrongly, gives '
                'rows twice and loses others',
            )
        return rows

    def _refuse_form(self) -> NoReturn:
        _refuse(
            self._query,
            'whose parts cannot be told apart. Put each part into brackets, as in "(select * where …) union (select * '
            'where …)", and queries around them into the form "select * from (…) where …"',
            '',
        )


def _end_of_bracket(text: str) -> int:
    """Where the bracket ends that a text begins with; 0 if it begins with none."""
    depth = 0
    for match in TOKEN.finditer(text):
        depth += (match[0] == '(') - (match[0] == ')')
        if not depth:
            return match.end() if text.startswith('(') else 0
    return 0


def _refuse(query: str, reason: str, remedy: str = _REMEDY) -> NoReturn:
    raise QueryError(f'DeepLakeDataset(deeplake_query=) got {query!r}, {reason}. {remedy}'.rstrip())


def _same_numbers(own: Any, found: Any, what: str, deadline_s: float) -> bool:
    """Whether two results of one length have the same numbers in all columns of numbers."""
    shared = {column.name for column in found.schema.columns} - {SOURCE_ROW}
    names = [column.name for column in own.schema.columns if column.name in shared and _is_number(column)]
    for start in range(0, len(own), _ROWS_AT_ONCE):
        span = slice(start, min(start + _ROWS_AT_ONCE, len(own)))
        for name in names:
            one, other = (wait(rows[name].get_async(span), what, deadline_s) for rows in (own, found))
            if not all(map(np.array_equal, one, other)):
                return False
    return True


def _is_number(column: Any) -> bool:
    kind, dimensions = kind_of(column.dtype), len(getattr(column.dtype, 'shape', ()))
    text = 'text' in str(getattr(column.dtype, 'data_type', ''))
    return kind == 'BoundingBox' or (kind in ('Generic', 'ClassLabel') and dimensions <= 2 and not text)
