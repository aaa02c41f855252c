"""Ordering rows by a column in which some have no value, which Deep Lake refuses: such rows are left out, and told of.

A loss of an image that was not scored is one. NaN would not do in its place: Deep Lake orders it anywhere.
"""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.source.column_types import RESULTS
from deeplake_mmdet.source.tql_text import split_query, tokens_outside
from deeplake_mmdet.source.waiting import wait

_BEHIND = ('asc', 'desc', 'limit', 'offset')


def without_nulls(query: str, base: Any, deadline_s: float) -> tuple[str, tuple[str, ...]]:
    """The query that leaves out rows without a value to be ordered by.

    Args:
        query: TQL.
        base: The Deep Lake dataset or view that it runs on.
        deadline_s: Seconds that looking for such rows may take.

    Returns:
        The query, the same where there are no such rows or it is of another form; and what was left out, for the log.
    """
    parts = split_query(query)
    tokens = tokens_outside(parts.clauses) if parts else []
    words = [token.text.lower() for token in tokens]
    if parts is None or 'order' not in words or words[0] not in ('where', 'order'):
        return query, ()
    place = words.index('order')
    key, behind = words[place + 2 : place + 3], words[place + 3 : place + 4]
    if not key or (behind and behind[0] not in _BEHIND):  # an expression
        return query, ()
    quoted = tokens[place + 2].text
    types = {column.name: str(column.dtype) for column in base.schema.columns}
    name = quoted.strip('"')
    if not (types.get(name, '').startswith('nullable') or (name in types and name.startswith(RESULTS))):
        return query, ()
    missing = wait(base.query_async(f'select * where {quoted} is null'), 'The query', deadline_s)
    if not len(missing):
        return query, ()
    start = tokens[place].start
    condition = parts.clauses[tokens[0].end : start].strip() if words[0] == 'where' else ''
    where = f'({condition}) and {quoted} is not null' if condition else f'{quoted} is not null'
    source = f' from {parts.source}' if parts.source else ''
    remark = f'rows without a value in {name!r} are left out, because the query orders by it ({len(missing)} in all)'
    return f'select {parts.selected}{source} where {where} {parts.clauses[start:]}', (remark,)
