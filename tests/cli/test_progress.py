"""The progress line: rewritten on a terminal, now and then in a log, with rate and time left."""

from __future__ import annotations

import sys

import pytest

from deeplake_mmdet.cli import progress
from deeplake_mmdet.cli.progress import ProgressLine, duration


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    return now


def run(line, clock, steps, total):
    for seconds, done in steps:
        clock[0] = 100.0 + seconds
        line(done, total)
    line.end()


def test_a_terminal_sees_one_line_with_rate_and_time_left(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    run(ProgressLine(), clock, [(-9, 0), (0, 1), (1, 51), (1.01, 52), (2, 101), (4, 201)], 201)
    shown = [text.rstrip() for text in capsys.readouterr().err.split('\r')[1:]]
    assert shown == [
        '0/201 images',
        '51/201 images, 50/s, 3 s left',
        '101/201 images, 50/s, 2 s left',
        '201/201 images, 50/s',
    ]


def test_a_shorter_text_covers_the_longer_one_before(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    run(ProgressLine(), clock, [(0, 0), (1, 1), (2, 2), (3, 5000)], 5000)
    texts = capsys.readouterr().err.rstrip('\n').split('\r')[1:]
    assert len(texts[3]) >= len(texts[2].rstrip()) > len(texts[3].rstrip())


def test_a_log_gets_a_line_every_half_minute(capsys, clock):
    run(ProgressLine('rows'), clock, [(0, 0), (0, 1), (10, 11), (31, 32), (40, 41), (62, 63), (70, 100)], 100)
    assert capsys.readouterr().err.splitlines() == [
        '32/100 rows, 1/s, 1 min 08 s left',
        '63/100 rows, 1/s, 37 s left',
    ]


def test_what_was_done_before_is_said_and_does_not_count_as_speed(capsys, clock):
    run(ProgressLine(), clock, [(-50, 900), (0, 901), (31, 932)], 1000)
    assert capsys.readouterr().err.splitlines() == [
        'resuming at image 901 of 1000',
        '932/1000 images, 1/s, 1 min 08 s left',
    ]


def test_short_work_says_nothing_in_a_log(capsys, clock):
    run(ProgressLine(), clock, [(0, 0), (1, 3)], 3)
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize(
    ('seconds', 'text'), [(0.2, '0 s'), (59.4, '59 s'), (60, '1 min 00 s'), (3599, '59 min 59 s'), (7500, '2 h 05 min')]
)
def test_a_duration_reads_like_one(seconds, text):
    assert duration(seconds) == text
