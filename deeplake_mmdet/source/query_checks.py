"""What TQL takes another way than it reads, in conditions on columns of one entry an object.

Deep Lake 4.7 compares such a column by its first entry, unless a function looks at all of them; ``in`` and ``between``
select nothing, or crash the process. The former is Deep Lake's meaning of the words, and is said; the latter are
refused, and so is an order that crashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.errors import QueryError
from deeplake_mmdet.source.column_types import kind_of
from deeplake_mmdet.source.tql_text import CLAUSES, TOKEN, Token

# Functions that give one value an entry; any other one makes one value of all entries.
_ENTRY_BY_ENTRY = ('logical_and', 'logical_or', 'logical_not', 'abs', 'sqrt', 'exp', 'log', 'round', 'floor', 'ceil')
_NO_FUNCTIONS = ('', 'where', 'and', 'or', 'not', 'in', 'from', 'select', 'by', 'between', 'like', 'union')


def check_conditions(query: str, base: Any, *, format: int = 4) -> list[str]:
    """Look through the conditions of a query.

    Args:
        query: TQL.
        base: The Deep Lake dataset or view that it runs on.
        format: Deep Lake's format of the dataset; in format 3, one number a row is an array too.

    Returns:
        Remarks for the log.

    Raises:
        QueryError: The query selects nothing, or crashes Deep Lake, whatever the rows hold.
    """
    scan = _Scan(query, _columns(base, format))
    looked_at = ' and '.join(dict.fromkeys(scan.first_only))
    if not looked_at:
        return []
    return [
        f'The query {query!r} compares {looked_at} without any() or all(): Deep Lake looks at the first object of each '
        'row only. Write any(…) around the comparison to look at all objects.'
    ]


def _columns(base: Any, format: int) -> dict[str, int]:
    """Names of the columns of one entry an object, and how many indices name a single number in them."""
    found = {}
    for column in base.schema.columns:
        kind, dimensions = kind_of(column.dtype), len(getattr(column.dtype, 'shape', None) or ())
        if kind == 'BoundingBox':
            found[column.name] = 2
        elif dimensions and (kind == 'ClassLabel' or (kind == 'Generic' and format != 3)):
            found[column.name] = dimensions
    return found


@dataclass
class _Level:
    """One ``select``.

    Attributes:
        clause: The clause that is being read.
        conditions: Columns of one entry an object that its conditions name.
        is_joined: Whether it has several conditions.
    """

    clause: str = ''
    conditions: set[str] = field(default_factory=set)
    is_joined: bool = False


class _Scan:
    """Goes through the words of a query once.

    Args:
        query: TQL.
        columns: See `_columns`.
    """

    def __init__(self, query: str, columns: dict[str, int]) -> None:
        self.first_only: list[str] = []
        self._query, self._columns = query, columns
        self._tokens = [Token(match[0], match.start(), match.end()) for match in TOKEN.finditer(query)]
        self._functions: list[str] = []  # in whose brackets a word stands
        self._levels = [_Level()]
        for place, token in enumerate(self._tokens):
            self._read(place, token.text.lower(), token.text.strip('"'))

    def _read(self, place: int, word: str, name: str) -> None:
        level = self._levels[-1]
        if word == '(':
            self._functions.append('' if self._word(place - 2) == 'union' else self._word(place - 1))
            self._levels.append(_Level() if self._word(place + 1) == 'select' else level)
        elif word == ')' and self._functions:
            self._functions.pop()
            self._levels.pop()
        elif word in CLAUSES:
            level.clause = word
        elif level.clause == 'where' and word in ('and', 'or'):
            level.is_joined = True
        elif name in self._columns and self._word(place - 1) != '.':
            if level.clause == 'where':
                level.conditions.add(name)
                self._condition(place)
            elif (
                level.clause == 'order' and level.is_joined and name in level.conditions and 'shape' in self._functions
            ):
                raise QueryError(
                    f'DeepLakeDataset(deeplake_query=) got {self._query!r}: Deep Lake crashes on an order by the shape '
                    f'of {name!r} behind several conditions, one of them on {name!r} too. Write "select * from '
                    '(select * where …) order by shape(…)".'
                )

    def _word(self, place: int) -> str:
        """A word, or an empty text for what is none."""
        text = self._tokens[place].text.lower() if 0 <= place < len(self._tokens) else ''
        return text if text == '.' or text.isidentifier() else ''

    def _condition(self, place: int) -> None:
        end, indices = self._index(place + 1)
        name = self._tokens[place].text
        text = self._query[self._tokens[place].start : self._tokens[end - 1].end]
        follows = self._word(end) if self._word(end) != 'not' else self._word(end + 1)
        if follows in ('in', 'between'):
            remedy = f'{name} == … or {name} == …' if follows == 'in' else f'logical_and({text} >= …, {text} <= …)'
            raise QueryError(
                f'DeepLakeDataset(deeplake_query=) got {self._query!r}: Deep Lake cannot say {follows!r} of {name!r}, '
                f'which holds one entry an object; it selects nothing, or crashes. Write any({remedy}).'
            )
        one = indices is not None and ':' not in indices and len(indices.split(',')) >= self._columns[name.strip('"')]
        if not one and all(function in (*_NO_FUNCTIONS, *_ENTRY_BY_ENTRY) for function in self._functions):
            self.first_only.append(text)

    def _index(self, place: int) -> tuple[int, str | None]:
        """Where the index ends that may begin at a token, and what is in it."""
        if place >= len(self._tokens) or self._tokens[place].text != '[':
            return place, None
        end = next((k for k in range(place, len(self._tokens)) if self._tokens[k].text == ']'), len(self._tokens) - 1)
        return end + 1, self._query[self._tokens[place].end : self._tokens[end].start]
