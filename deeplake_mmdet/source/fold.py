"""A chain of TQL queries, each run on the result of the one before, written as one query over the dataset.

What this writes is tried, and compared with the chain itself, before anybody relies on it
(`deeplake_mmdet.source.same_rows`). So it need not know all of TQL: where in doubt, it gives up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deeplake_mmdet.source import tql_text
from deeplake_mmdet.source.tql_text import split_query

# A list of columns, nothing computed or renamed.
_NAMES = re.compile(r'(?:\w+|"[^"]+")(?:\s*,\s*(?:\w+|"[^"]+"))*')


def is_random(queries: Sequence[str]) -> bool:
    """Whether a chain draws rows, or an order of rows, by lot."""
    return any(map(tql_text.is_random, queries))


def named_source(query: str) -> str | None:
    """What a query names behind ``from``: ``path``, ``path@name``; None if it reads what it is run on."""
    parts = split_query(query)
    return parts.source[1:-1] if parts and parts.source.startswith(('"', "'")) else None


def fold(queries: Sequence[str]) -> str | None:
    """One query for a chain of them.

    Args:
        queries: The first one runs on the dataset, and may name it; every other one on the result before.

    Returns:
        The query, empty where the chain selects everything; or None where no query is known to be equal.
    """
    parts = [split_query(query) for query in queries]
    if len(queries) == 1 and named_source(queries[0]) is None:
        return '' if parts[0] == ('*', '', '') else queries[0].strip()
    shown, text = '*', ''
    for position, part in enumerate(parts):
        if part is None or (part.source and (position or part.source.startswith('('))):
            return None
        selected = part.selected
        if _NAMES.fullmatch(selected):
            # Put off to the end, because rows can be traced through ``select *`` only.
            shown, selected = selected, '*'
        elif selected != '*' and (shown != '*' or not selected.startswith('*')):
            return None
        if (selected, part.clauses) != ('*', ''):
            text = f'select {selected}{f" from ({text})" if text else ""}{part.clauses}'
    if shown == '*':
        return text
    if not text or text.startswith('select * '):
        return f'select {shown}{text.removeprefix("select *")}'
    return f'select {shown} from ({text})'
