"""Text of others on a terminal: names of classes, files and views come from data, and may hold escape sequences."""

from __future__ import annotations

_REPLACEMENT = '\N{REPLACEMENT CHARACTER}'


def printable(text: str) -> str:
    """A text that moves no cursor and changes no colour or title: all but line ends that cannot be printed is replaced.

    Args:
        text: Any text.
    """
    if text.isprintable():
        return text
    return ''.join(char if char.isprintable() or char == '\n' else _REPLACEMENT for char in text)


def one_line(text: str) -> str:
    """The same in one line."""
    return printable(' '.join(text.split()))
