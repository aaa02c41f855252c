"""A window on a JSON file: what is decoded of it next, in memory that does not grow with the file.

The window is decoded as Latin-1, in which a character is a byte: so positions in the text are positions in the file,
and it may end inside of a character. A value that it cuts off is decoded again from a larger one, and what is not ASCII
once more, as UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from deeplake_mmdet.convert.json_file import JsonFile

SIZE = 2**17  # bytes; what numpy makes of it stays in the cache of a processor
_SPACE = re.compile(r'[ \t\n\r]*')
_BOM = b'\xef\xbb\xbf'.decode('latin-1')
_CUT = 16  # characters from the end of a window: a fault there may be none, as in "-Infin"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f'the key {next(key for key in keys if keys.count(key) > 1)!r} twice in one object')
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def decode(text: str, position: int) -> tuple[Any, int]:
    """The value at a position of a Latin-1 text, and where it ends.

    Raises:
        json.JSONDecodeError: There is none; it is no UTF-8; an object has a key twice; or Python cannot hold it.
    """
    try:
        value, end = _DECODER.raw_decode(text, position)
        if not text.isascii() and not (own := text[position:end]).isascii():
            value = _DECODER.decode(own.encode('latin-1').decode('utf-8'))
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError(f'no UTF-8 ({error.reason})', text, position + error.start) from None
    except (RecursionError, ValueError) as error:
        raise json.JSONDecodeError(str(error), text, position) from None
    return value, end


class Window:
    """The part of a file that is decoded next.

    Args:
        file: The file, read from its beginning to its end.
    """

    def __init__(self, file: JsonFile) -> None:
        self.file = file
        self.digest = hashlib.sha256()  # of what was read so far
        self.text, self.position = '', 0
        self._begin = 0  # the byte that the text begins at
        self.grow()
        if self.text.startswith(_BOM):
            self.position = len(_BOM)

    @property
    def offset(self) -> int:
        """The byte of the file at which the rest of the window begins."""
        return self._begin + self.position

    @property
    def at_end(self) -> bool:
        """Whether the window reaches to the end of the file."""
        return self._begin + len(self.text) >= self.file.size

    def grow(self) -> None:
        """Drops what is done, and adds as much as remains, at least `SIZE`."""
        rest = self.text[self.position :]
        start = self._begin + len(self.text)
        data = self.file.read(start, start + max(SIZE, len(rest)))
        if not data:
            self.file.check_unchanged()
        self.digest.update(data)
        self._begin, self.position = start - len(rest), 0
        self.text = rest + data.decode('latin-1')

    def peek(self) -> str:
        """Skips white space; the next character, or '' at the end of the file."""
        while True:
            self.position = _SPACE.match(self.text, self.position).end()  # type: ignore[union-attr]  # matches ''
            if self.position < len(self.text) or self.at_end:
                return self.text[self.position : self.position + 1]
            self.grow()

    def take(self, chars: str, fault: str) -> str:
        """Skips white space and one character, which must be among some.

        Returns:
            The character.

        Raises:
            ConversionError: It is another one; it says `fault`.
        """
        char = self.peek()
        if not char or char not in chars:
            self.file.malformed(fault, self.offset)
        self.position += 1
        return char

    def value(self) -> Any:
        """Skips white space and a value, which is returned."""
        self.peek()
        while True:
            try:
                value, end = decode(self.text, self.position)
            except json.JSONDecodeError as error:
                self.refuse_unless_cut(error, error.pos)
            else:
                if len(self.text) - end > _CUT or self.at_end:  # or "1" may be the beginning of "1.5"
                    self.position = end
                    return value
            self.grow()

    def refuse_unless_cut(self, error: json.JSONDecodeError, position: int) -> None:
        """Raises a ConversionError unless the fault may be that the window ends there.

        Args:
            error: The fault.
            position: Of the fault in the text of the window.
        """
        cut = len(self.text) - position <= _CUT or error.msg.startswith('Unterminated string')
        if self.at_end or not cut:
            self.file.malformed(error.msg, self._begin + position)
