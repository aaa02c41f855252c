"""TQL as text: taking a query apart without understanding more of it than its clauses.

Whoever relies on a part tries it on Deep Lake and compares, so where the form of a query is in doubt, there is none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\w+|\S""")
SET_WORDS = ('union', 'intersect', 'except')
_OPEN, _CLOSE = '([{', ')]}'
CLAUSES = ('where', 'order', 'limit', 'offset', 'group', 'sample', 'expand', 'arrange', 'augment')
_OTHER_FORMS = (*SET_WORDS, 'join', 'unnest', 'with')
# Another result each time: comparing it once would prove nothing.
_RANDOM = re.compile(r'\brandom\s*\(|\bsample\s+by\b', re.IGNORECASE)


class QueryParts(NamedTuple):
    """A query taken apart: what it selects, the source behind ``from`` or an empty text, and all that follows."""

    selected: str
    source: str
    clauses: str


class Token(NamedTuple):
    """A word, a quoted text or a sign, and where it stands."""

    text: str
    start: int
    end: int


def is_random(query: str) -> bool:
    """Whether a query draws rows, or an order of rows, by lot."""
    return _RANDOM.search(query) is not None


def split_query(query: str) -> QueryParts | None:
    """Take a query apart; None where its form is not one that is known here."""
    query = query.strip().rstrip(';').rstrip()
    tokens = tokens_outside(query)
    words = [token.text.lower() for token in tokens]
    if not words or words[0] != 'select' or any(word in _OTHER_FORMS for word in words):
        return None
    end = next((token.start for token in tokens if token.text.lower() in CLAUSES), len(query))
    if 'from' not in words:
        return QueryParts(query[tokens[0].end : end].strip(), '', _clauses(query[end:]))
    place = words.index('from')
    source = query[tokens[place].end : end].strip()
    quoted = TOKEN.fullmatch(source) is not None and source[0] in '"\''
    if not quoted and not (source.startswith('(') and source.endswith(')')):
        return None
    return QueryParts(query[tokens[0].end : tokens[place].start].strip(), source, _clauses(query[end:]))


def _clauses(text: str) -> str:
    return f' {text}' if text else ''


def tokens_outside(query: str) -> list[Token]:
    """The tokens outside all brackets."""
    found, depth = [], 0
    for match in TOKEN.finditer(query):
        token = match[0]
        if token in _CLOSE:
            depth -= 1
        elif token in _OPEN:
            depth += 1
        elif not depth:
            found.append(Token(token, match.start(), match.end()))
    return found
