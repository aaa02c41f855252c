"""JSON in pieces: any file is read as `json` reads it, however small the window, or refused where `json` refuses it."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deeplake_mmdet.convert import json_window
from deeplake_mmdet.convert.json_file import JsonFile
from deeplake_mmdet.convert.json_stream import read_document
from deeplake_mmdet.convert.ring_texts import TOKEN
from deeplake_mmdet.errors import ConversionError

SETTINGS = settings(max_examples=150)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
RINGS = st.lists(st.lists(NUMBERS | st.integers(-9, 9), max_size=8), max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text() | st.just('segmentation'), JSON | RINGS, max_size=3)
DOCUMENTS = st.fixed_dictionaries({}, optional={'a': st.lists(OBJECTS, max_size=4), 'b': st.lists(OBJECTS, max_size=4)})
OTHERS = st.dictionaries(st.text().filter(lambda key: key not in ('a', 'b')), JSON, max_size=2)
STYLES = st.fixed_dictionaries(
    {'ensure_ascii': st.booleans(), 'indent': st.none() | st.sampled_from([0, 1, '\t'])},
    optional={'separators': st.sampled_from([(',', ':'), (' , ', ' : '), (',\r\n', ':')])},
)
WINDOWS = st.sampled_from([1, 7, 40, 2**18])


def read(path, size):
    """A document with windows of a size; the elements of the lists are decoded again from their places."""
    lists = {'a': [], 'b': []}
    json_window.SIZE, before = size, json_window.SIZE
    try:
        with closing(JsonFile(path, 'read(path=)')) as file:

            def take(name):
                return lambda batch: lists[name].extend(zip(batch.starts, batch.ends, batch.values, strict=True))

            document = read_document(file, {name: take(name) for name in lists})
            again = {name: [json.loads(file.read(start, end)) for start, end, _ in lists[name]] for name in lists}
    finally:
        json_window.SIZE = before
    for name in lists:
        for (_, _, value), whole in zip(lists[name], again[name], strict=True):
            assert value.keys() == whole.keys()
            assert all(value[key] in (whole[key], TOKEN) for key in value)
    return document, again


@SETTINGS
@given(document=DOCUMENTS, others=OTHERS, style=STYLES, size=WINDOWS)
@example(document={'a': [{'segmentation': [[1, 2, 3, 4, 5, 6]]}]}, others={}, style={}, size=1)
def test_any_document_is_read_as_json_reads_it(document, others, style, size, tmp_path):
    whole = {**others, **document}
    text = json.dumps(whole, **style).encode('utf-8')
    (tmp_path / 'a.json').write_bytes(text)
    found, elements = read(tmp_path / 'a.json', size)
    assert found.counts == {key: len(value) for key, value in document.items()}
    assert repr(found.others) == repr({key: value for key, value in whole.items() if key not in document})
    assert repr(elements) == repr({key: document.get(key, []) for key in ('a', 'b')})
    assert found.digest == hashlib.sha256(text).hexdigest()


def _place(text, position):
    line, column = text[:position].count('\n') + 1, position - text.rfind('\n', 0, position)
    return rf'line {line} column {column} \(byte {position}\)'


@SETTINGS
@given(document=DOCUMENTS, size=WINDOWS, data=st.data())
def test_a_document_with_a_wrong_character_is_refused_where_json_refuses_it(document, size, data, tmp_path):
    text = json.dumps(document)
    place = data.draw(st.integers(0, len(text)))
    inserted = data.draw(st.sampled_from(['', '}', ']', ',', '"', ':', '-', 'x', '\\', '{', '\n']))
    wrong = text[:place] + inserted + text[place:]
    wrong = wrong if data.draw(st.booleans()) else text[:place]
    (tmp_path / 'a.json').write_text(wrong)
    try:
        expected = json.loads(wrong)
    except json.JSONDecodeError as error:
        bracket = len(wrong) - len(wrong[error.pos + 1 :].lstrip())
        trailing = 'trailing comma' in error.msg  # Python 3.13 names the comma, and others the bracket behind it
        places = '|'.join(_place(wrong, position) for position in [error.pos, *([bracket] if trailing else [])])
        where = rf"^read\(path=\) .*(a complete JSON document, .*: ({places})|a list of objects '[ab]')"
        with pytest.raises(ConversionError, match=where):
            read(tmp_path / 'a.json', size)
        return
    try:
        found, elements = read(tmp_path / 'a.json', size)
    except ConversionError as error:
        assert re.search("twice in one object|a list of objects '[ab]'", str(error))
    else:
        assert {**found.others, **{key: elements[key] for key in found.counts}} == expected


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"a": [], "a": []}', r"the key 'a' twice in one object: line 1 column 11 \(byte 10\)"),
        ('{"x": 1, "x": 2}', r"the key 'x' twice in one object: line 1 column 10"),
        (
            '{\n"a": [{"k": 1},\n {"k": 1, "l": 2, "k": 1}]}',
            r"the key 'k' twice in one object: line 3 column 2 \(byte 19\)",
        ),
        ('{"a": [{}, 3]}', r"expected a JSON object with a list of objects 'a', but got a list with int"),
        ('{"a": {"b": 3}}', r"a list of objects 'a', but got dict"),
        ('{"a": [{"k": ' + '[' * 100_000, r'got maximum recursion depth.*line 1 column 8'),
        ('{"a": [{"k": ' + '1' * 5000 + '}]}', r'got Exceeds the limit.*line 1 column 8'),
        ('{"a": []} {}', r'got Extra data: line 1 column 11'),
        ('{"a": [{"é": "' + 'ü' * 9, r'got Unterminated string starting at: line 1 column 15 \(byte 14\)'),
    ],
)
@pytest.mark.parametrize('size', [1, 2**18])
def test_what_is_refused_is_named_with_its_place(text, message, size, tmp_path):
    (tmp_path / 'a.json').write_text(text, encoding='utf-8')
    with pytest.raises(ConversionError, match=message):
        read(tmp_path / 'a.json', size)


@pytest.mark.parametrize('size', [1, 2**18])
def test_bytes_that_are_no_utf_8_are_named_with_their_place(size, tmp_path):
    (tmp_path / 'a.json').write_bytes(b'{"a": [{"k": "\xc3\xa4 \xff"}]}')
    with pytest.raises(ConversionError, match=r'no UTF-8 \(invalid start byte\): line 1 column 18 \(byte 17\)'):
        read(tmp_path / 'a.json', size)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf{"a": [{"k": 1}]}')
    assert read(tmp_path / 'a.json', 2**18)[1]['a'] == [{'k': 1}]


def test_a_file_that_is_written_to_meanwhile_is_refused(tmp_path):
    (tmp_path / 'a.json').write_text('{}')
    with closing(JsonFile(tmp_path / 'a.json', 'read(path=)')) as file:
        file.check_unchanged()
        (tmp_path / 'a.json').write_text('{"a": 1}')
        with pytest.raises(ConversionError, match=r'a file that stays as it is .*but got a change of it'):
            file.check_unchanged()
