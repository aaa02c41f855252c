"""A chain of TQL queries, each run on the result of the one before, written as one query over the dataset.

What this writes is tried, and compared with the chain itself, before anybody relies on it
(`deeplake_mmdet.source.same_rows`). So it need not know all of TQL: where in doubt, it gives up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\w+|\S""")
_OPEN, _CLOSE = '([{', ')]}'
_CLAUSES = ('where', 'order', 'limit', 'offset', 'group', 'sample', 'expand', 'arrange', 'augment')
_SETS = ('union', 'intersect', 'except', 'join', 'unnest', 'with')
# Another result each time: comparing it once would prove nothing.
_RANDOM = re.compile(r'\brandom\s*\(|\bsample\s+by\b', re.IGNORECASE)
# A list of columns, nothing computed or renamed.
_NAMES = re.compile(r'(?:\w+|"[^"]+")(?:\s*,\s*(?:\w+|"[^"]+"))*')


def is_random(queries: Sequence[str]) -> bool:
    """Whether a chain draws rows, or an order of rows, by lot."""
    return any(_RANDOM.search(query) for query in queries)


def named_source(query: str) -> str | None:
    """What a query names behind ``from``: ``path``, ``path@name``; None if it reads what it is run on."""
    parts = _split(query)
    return parts.source[1:-1] if parts and parts.source.startswith(('"', "'")) else None


def fold(queries: Sequence[str]) -> str | None:
    """One query for a chain of them.

    Args:
        queries: The first one runs on the dataset, and may name it; every other one on the result before.

    Returns:
        The query, empty where the chain selects everything; or None where no query is known to be equal.
    """
    parts = [_split(query) for query in queries]
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


class _Parts(NamedTuple):
    """A query taken apart: what it selects, the source behind ``from`` or an empty text, and all that follows."""

    selected: str
    source: str
    clauses: str


def _split(query: str) -> _Parts | None:
    """Take a query apart; None where its form is not one that is known here."""
    query = query.strip().rstrip(';').rstrip()
    tokens = _tokens_outside(query)
    words = [word.lower() for word, _, _ in tokens]
    if not words or words[0] != 'select' or any(word in _SETS for word in words):
        return None
    end = next((start for word, start, _ in tokens if word.lower() in _CLAUSES), len(query))
    if 'from' not in words:
        return _Parts(query[tokens[0][2] : end].strip(), '', _clauses(query[end:]))
    place = words.index('from')
    source = query[tokens[place][2] : end].strip()
    quoted = _TOKEN.fullmatch(source) is not None and source[0] in '"\''
    if not quoted and not (source.startswith('(') and source.endswith(')')):
        return None
    return _Parts(query[tokens[0][2] : tokens[place][1]].strip(), source, _clauses(query[end:]))


def _clauses(text: str) -> str:
    return f' {text}' if text else ''


def _tokens_outside(query: str) -> list[tuple[str, int, int]]:
    """Tokens outside all brackets: text, start, end."""
    found, depth = [], 0
    for match in _TOKEN.finditer(query):
        token = match[0]
        if token in _CLOSE:
            depth -= 1
        elif token in _OPEN:
            depth += 1
        elif not depth:
            found.append((token, match.start(), match.end()))
    return found
