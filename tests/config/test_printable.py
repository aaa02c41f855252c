"""Names that come from data do nothing to a terminal."""

from __future__ import annotations

import pytest

from deeplake_mmdet.config.printable import printable
from deeplake_mmdet.versions.text_table import text_table


@pytest.mark.parametrize('text', ['car', 'grün', '犬', 'two\nlines', ''])
def test_ordinary_text_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize('text', ['\x1b[31mred', '\x1b]0;title\x07', 'a\rb', '\x9b2J', 'a\x00b', '\u202eabc'])
def test_what_steers_a_terminal_is_replaced(text):
    shown = printable(text)
    assert '\ufffd' in shown
    assert all(char.isprintable() for char in shown)


def test_tables_show_names_as_such():
    assert text_table(('class', 'boxes'), [('\x1b[2Jcar', 3)]).splitlines()[1] == '\ufffd[2Jcar      3'
