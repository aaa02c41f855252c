"""The config of a checkpoint is read as data: what would run is refused, and all that MMEngine writes is understood."""

from __future__ import annotations

import math

import pytest
from mmengine.config import Config

from deeplake_mmdet.errors import LineageError
from deeplake_mmdet.lineage.config_text import values_of

VALUES = dict(
    a=1,
    b=-2.5,
    c='text with "quotes" and \\ and \n',
    d=(1, (2, [3, None])),
    e=dict(type='X', nested=[dict(type='Y', on=True), dict()], empty=()),
    f={'not a name': 1, 2: 3},
    g={1, 2},
    h=[],
)


def test_what_mmengine_writes_is_read_with_its_types():
    text = Config(VALUES).pretty_text
    found = values_of(text, 'it')
    assert found == VALUES
    assert repr(found['d']) == repr(VALUES['d'])


def test_a_literal_of_a_dict_is_read_too():
    assert values_of(repr(VALUES), 'it') == VALUES


def test_stock_configs_are_read_as_mmengine_reads_them():
    from mmengine.hub import get_config

    for name in (
        'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    ):
        config = get_config(name)
        assert values_of(config.pretty_text, name) == config.to_dict()


def test_numbers_without_a_literal_are_numbers():
    found = values_of('a = inf\nb = -inf\nc = nan', 'it')
    assert (found['a'], found['b']) == (math.inf, -math.inf)
    assert math.isnan(found['c'])


@pytest.mark.parametrize(
    'text',
    [
        'a = open("{file}", "w")',
        'a = dict(b=[().__class__])',
        'a = __import__("pathlib").Path("{file}").touch()',
        'import pathlib',
        'a = [x for x in (1,)]',
        'a = dict(**{{"b": 1}}, c=dict([("x", 1)]))',
        'a = f"{{open(1)}}"',
        'a = "x" "y" + "z"',
        'a = -"x"',
        'a += 1',
        'a = {{**{{}}}}',
        'a.b = 1',
        'open("{file}", "w")',
    ],
)
def test_what_would_run_is_refused_and_not_run(tmp_path, text):
    file = tmp_path / 'made'
    with pytest.raises(LineageError, match='expected literals and dict'):
        values_of(text.format(file=file), "'run.pth'")
    assert not file.exists()


@pytest.mark.parametrize('text', ['a = (', 'a = "\0"', '(' * 5000])
def test_what_is_no_python_is_refused(text):
    with pytest.raises(LineageError, match=r"of 'run\.pth' expected Python literals"):
        values_of(text, "'run.pth'")
