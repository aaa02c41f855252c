"""What the command prints when something is wrong, and what options of several values mean."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

import pytest
from torch.utils.data import DataLoader

from deeplake_mmdet.cli.main import main, message_of
from deeplake_mmdet.errors import AnnotationError


class Broken:
    """A dataset whose samples are unusable."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, place: int) -> None:
        raise AnnotationError(f"Column 'masks', row {place}: expected: masks.")


@pytest.mark.parametrize('num_workers', [0, 1])
def test_an_error_in_a_worker_process_is_printed_as_one_message(num_workers):
    with pytest.raises(AnnotationError) as raised:
        next(iter(DataLoader(Broken(), num_workers=num_workers)))
    assert message_of(raised.value) == "Column 'masks', row 0: expected: masks."


def parsers_of(verb: str) -> list[argparse.ArgumentParser]:
    """The parser of a verb and those of its formats."""
    module = importlib.import_module(f'deeplake_mmdet.cli.{verb.replace("-", "_")}')
    parser = module.build_parser()
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(inner for action in nested for inner in action.choices.values())]


@pytest.mark.parametrize('verb', ['convert', 'materialize', 'export', 'query', 'diff', 'edit', 'show', 'stats'])
def test_an_option_of_several_values_that_is_given_again_adds_to_them(verb):
    options = [action for parser in parsers_of(verb) for action in parser._actions if action.option_strings]
    replaced = [action.option_strings for action in options if action.nargs in ('+', '*') and is_replaced(action)]
    assert not replaced


def is_replaced(action: argparse.Action) -> bool:
    """Whether only the values count that an option is given last."""
    namespace = argparse.Namespace(**{action.dest: action.default})
    for value in ('a=1', 'b=2'):
        action(argparse.ArgumentParser(), namespace, [value])
    return len(getattr(namespace, action.dest)) < 2


@pytest.mark.parametrize('raised', [KeyboardInterrupt(), ImportError('initialization failed')])
def test_ctrl_c_ends_any_verb_with_one_line_and_the_exit_code_of_shells(raised, monkeypatch, capsys):
    def interrupt(*arguments):
        raise raised from KeyboardInterrupt()

    monkeypatch.setattr('deeplake_mmdet.versions.list_views', interrupt)
    assert main(['views', 'somewhere']) == 130
    assert capsys.readouterr().err == 'interrupted.\n'


@pytest.mark.parametrize('error', [ImportError('no such module'), BrokenPipeError('to a worker')])
def test_what_is_neither_ctrl_c_nor_a_reader_that_ended_stays_an_error(error, monkeypatch, capfd):
    def fail(*arguments):
        raise error

    monkeypatch.setattr('deeplake_mmdet.versions.list_views', fail)
    assert main(['views', 'somewhere']) == 1
    assert capfd.readouterr().err.endswith(f'{type(error).__name__}: {error}\n')


def test_a_reader_that_ends_early_leaves_no_traceback(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, 'w') as pipe:
        monkeypatch.setattr(sys, 'stdout', pipe)
        monkeypatch.setattr('deeplake_mmdet.versions.list_views', lambda *arguments: [])
        assert main(['views', 'somewhere']) == 141
