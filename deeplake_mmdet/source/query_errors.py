"""What is wrong with a query that Deep Lake refuses: where, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any

from deeplake_mmdet.source.column_types import kind_of, metadata_of
from deeplake_mmdet.source.tql_text import CLAUSES, TOKEN

_POSITION = re.compile(r'Pos (\d+) - ')
_UNKNOWN_COLUMN = re.compile(r'Tensor "([^"]+)" does not exist')
_UNKNOWN_VALUE = re.compile(r"'(.*)' is not valid value for tensor \"([^\"]+)\"")
_UNKNOWN_FUNCTION = re.compile(r"Function '(\w+)' is not found")
_UNEXPECTED = re.compile(r'unexpected ([A-Z_]+)')
_ARRAY_OF = re.compile(r'array\(dtype=(\w+)')
_WORDS = ('select', 'from', 'by', 'and', 'or', 'not', 'in', 'as', 'between', 'like', 'asc', 'desc', *CLAUSES)
_FUNCTIONS = (
    'contains',
    'any',
    'all',
    'all_strict',
    'shape',
    'logical_and',
    'logical_or',
    'sum',
    'random',
    'row_number',
)
_NAMED = 40  # class names in a message


def explain(query: str, error: RuntimeError, base: Any, run: Callable[[str], Any]) -> str:
    """The message for a query that Deep Lake refuses.

    Args:
        query: The query.
        error: What Deep Lake raised.
        base: The Deep Lake dataset or view that it ran on.
        run: Runs another query in its place.

    Returns:
        Deep Lake's reason; the line of the query that it is about, with a mark where it stands; the closest word,
        column or class; and the columns.
    """
    reason = str(error)
    position = _position(query, reason, run)
    hint = _hint(query, reason, position, base)
    text = _POSITION.sub('', reason).rstrip('. ')
    return (
        f'DeepLakeDataset(deeplake_query=) got a query that Deep Lake refuses: {text}.\n{_shown(query, position)}\n'
        f'{hint}{" " if hint else ""}The columns are {_columns(base)}.'
    )


def _position(query: str, reason: str, run: Callable[[str], Any]) -> int | None:
    """Where in the query the error is, in characters. Deep Lake counts bytes, and anew in each line."""
    found = _POSITION.search(reason)
    if found is None:
        return None
    lines = query.splitlines()
    if len(lines) > 1:
        if '--' in query:  # a comment ends with its line
            return None
        try:
            run(' '.join(lines))
        except RuntimeError as error:
            found = _POSITION.search(str(error))
    return None if found is None else len(query.encode()[: int(found[1])].decode(errors='ignore'))


def _shown(query: str, position: int | None) -> str:
    """The query, with a mark under one character."""
    lines, start = [], 0
    for line in query.splitlines():
        lines.append(f'  {line}')
        if position is not None and start <= position <= start + len(line):
            lines.append('  ' + ''.join(sign if sign == '\t' else ' ' for sign in line[: position - start]) + '^')
            position = None
        start += len(line) + 1
    return '\n'.join(lines)


def _hint(query: str, reason: str, position: int | None, base: Any) -> str:
    names = [column.name for column in base.schema.columns]
    column, value, function = (found.search(reason) for found in (_UNKNOWN_COLUMN, _UNKNOWN_VALUE, _UNKNOWN_FUNCTION))
    if value:
        classes = _class_names(base, [value[2]])
        listed = ', '.join(map(repr, classes[:_NAMED])) + (', …' if len(classes) > _NAMED else '')
        return f'{_meant(value[1], classes)}The classes of {value[2]!r} are {listed}.'
    if column:
        if column[1] in _class_names(base, names):
            return f"{column[1]!r} is a class: write it in single quotes, '{column[1]}'."
        return _meant(column[1], names).strip()
    if function:
        return f'{_meant(function[1].lower(), _FUNCTIONS)}Functions are {", ".join(_FUNCTIONS)}.'
    return '' if position is None else _hint_on_syntax(query, reason, position, names)


def _hint_on_syntax(query: str, reason: str, position: int, names: Sequence[str]) -> str:
    word = _UNEXPECTED.search(reason)
    if word and word[1].lower() in names:
        name = word[1].lower()
        return f'{word[1]} is a word of TQL: write the column in double quotes, "{name}".'
    # A misspelled word is taken for a name, and the error is found behind it.
    for match in reversed([match for match in TOKEN.finditer(query) if match.start() <= position]):
        close = difflib.get_close_matches(match[0].lower(), _WORDS, n=1, cutoff=0.75)
        if match[0][0].isalpha() and match[0].lower() not in _WORDS and match[0] not in names and close:
            return f'Did you mean {close[0]!r} instead of {match[0]!r}?'
    return ''


def _meant(wanted: str, names: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(wanted.casefold(), folded, n=1)
    return f'Did you mean {folded[close[0]]!r}? ' if close else ''


def _class_names(base: Any, columns: Sequence[str]) -> list[str]:
    """Class names in the metadata of some columns."""
    return [name for column in columns for name in metadata_of(base[column], 'class_names', str) or ()]


def _columns(base: Any) -> str:
    return ', '.join(f'{column.name!r} ({_type(column.dtype)})' for column in base.schema.columns)


def _type(dtype: Any) -> str:
    """A type in a word or two: ``BoundingBox``, ``int64``, ``array of float64``."""
    kind = kind_of(dtype)
    if kind != 'Generic':
        return kind
    array = _ARRAY_OF.match(str(dtype))
    return f'array of {array[1]}' if array else str(dtype)
