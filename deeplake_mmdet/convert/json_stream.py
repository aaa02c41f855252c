"""A JSON object whose lists are longer than memory: each element is decoded once, in order, with its place in it.

What is kept of a list is up to the caller; an element can be decoded again from its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from deeplake_mmdet.convert.json_file import JsonFile
from deeplake_mmdet.convert.json_window import Window, decode
from deeplake_mmdet.convert.ring_texts import shorten

_SEPARATOR = re.compile(r'[ \t\n\r]*,[ \t\n\r]*')


@dataclass(frozen=True)
class Elements:
    """Neighbours in a list of objects.

    Attributes:
        values: The objects, in which `ring_texts.TOKEN` stands for each polygon without fault.
        starts: The byte that each begins at, int64 (n,).
        ends: The byte behind each, int64 (n,).
    """

    values: list[dict[str, Any]]
    starts: np.ndarray
    ends: np.ndarray


@dataclass
class Document:
    """What is left of a JSON object.

    Attributes:
        counts: How many elements each list had that was handed on.
        others: All other keys and their values.
        digest: SHA-256 of the file, in hexadecimal digits.
    """

    counts: dict[str, int] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    digest: str = ''


def read_document(file: JsonFile, lists: Mapping[str, Callable[[Elements], object]]) -> Document:
    """Reads a whole file.

    Args:
        file: The file, whose document is an object.
        lists: What takes the elements of a list, for each top-level key that may hold a list of objects.

    Raises:
        ConversionError: The file is no JSON object, no UTF-8, or has a key twice in an object.
    """
    window, found = Window(file), Document()
    if window.peek() != '{':
        refuse_list(file, next(iter(lists)), type(window.value()).__name__)
    window.take('{', '')
    for _ in _items(window, '}'):
        _read_member(window, found, lists)
    if window.peek():
        file.malformed('Extra data', window.offset)
    found.digest = window.digest.hexdigest()
    return found


def refuse_list(file: JsonFile, key: str, got: str) -> NoReturn:
    """Raises a ConversionError because something else is in place of a list of objects."""
    file.fail(
        f'a JSON object with a list of objects {key!r}',
        got,
        'Give a COCO instances file; a set without boxes has an empty list of annotations',
    )


def _items(window: Window, closing: str) -> Iterator[None]:
    """Takes the commas and the closing bracket of a list or object, and yields at each item, which is to be taken."""
    if window.peek() == closing:
        window.take(closing, '')
        return
    yield
    while window.take(',' + closing, "Expecting ',' delimiter") == ',':
        window.peek()
        yield


def _read_member(window: Window, found: Document, lists: Mapping[str, Callable[[Elements], object]]) -> None:
    char, offset = window.peek(), window.offset
    if char != '"':
        window.file.malformed('Expecting property name enclosed in double quotes', offset)
    key = window.value()
    if key in found.counts or key in found.others:
        window.file.malformed(f'the key {key!r} twice in one object', offset)
    window.take(':', "Expecting ':' delimiter")
    if key not in lists:
        found.others[key] = window.value()
        return
    if window.peek() != '[':
        refuse_list(window.file, key, type(window.value()).__name__)
    window.take('[', '')
    found.counts[key] = 0
    for batch in _batches(window, key):
        lists[key](batch)
        found.counts[key] += len(batch.values)


def _batches(window: Window, key: str) -> Iterator[Elements]:
    """The elements of a list, a window's at a time."""
    for _ in _items(window, ']'):
        cut = True
        while cut:
            batch, cut = _decode_window(window, key)
            if batch.values:
                yield batch
            if cut:
                window.grow()
                window.peek()


def _decode_window(window: Window, key: str) -> tuple[Elements, bool]:
    """Takes the elements that are in the window as a whole; and whether it cuts one off behind them."""
    short = shorten(window.text[window.position :])
    values, starts, ends, begin, cut = list[Any](), list[int](), list[int](), 0, False
    try:
        separator = None
        while separator or not values:
            value, end = decode(short.text, begin)
            if type(value) is not dict:
                refuse_list(window.file, key, f'a list with {type(value).__name__}')
            values.append(value)
            starts.append(begin)
            ends.append(end)
            separator = _SEPARATOR.match(short.text, end)
            begin = separator.end() if separator else end
    except json.JSONDecodeError as error:
        window.refuse_unless_cut(error, window.position + int(short.origin(error.pos)))
        cut = True
    found = (window.offset + short.origin(np.array(places, np.int64)) for places in (starts, ends))
    elements = Elements(values, *found)
    window.position += int(short.origin(begin))
    return elements, cut
