"""Tables of text that fit a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from deeplake_mmdet.config.printable import one_line

_GAP = '  '
_LEAST = 12  # characters that a column keeps


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, width: int | None = None) -> str:
    """Rows of values under a header; numbers stand to the right, and long texts are cut where the line is full.

    Args:
        header: Names of the columns.
        rows: Their values; None stands for nothing known.
        width: Characters of a line; by default those of the terminal, and without one no text is cut.

    Returns:
        Lines, none of which ends in spaces.
    """
    texts = [[_text(value) for value in row] for row in rows]
    columns = list(zip(header, *texts, strict=True)) if texts else [(name,) for name in header]
    widths = [max(map(len, column)) for column in columns]
    room = (width or _terminal() or sum(widths) + 10**6) - len(_GAP) * (len(header) - 1)
    while sum(widths) > room and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    right = [
        bool(rows) and all(isinstance(row[k], (int, float, type(None))) for row in rows) for k in range(len(header))
    ]
    return '\n'.join(_line(line, widths, right) for line in [list(header), *texts])


def _terminal() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _text(value: object) -> str:
    return '–' if value is None else f'{value:.1f}' if isinstance(value, float) else one_line(str(value))


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cut = [text if len(text) <= width else f'{text[: width - 1]}…' for text, width in zip(texts, widths, strict=True)]
    padded = [text.rjust(w) if r else text.ljust(w) for text, w, r in zip(cut, widths, right, strict=True)]
    return _GAP.join(padded).rstrip()
