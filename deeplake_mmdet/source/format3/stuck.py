"""Samples of format 3 that Deep Lake 4 waits for without an end: which of the rows that were asked for they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_PROBE_S = 2.0  # a sample that can be read is read in milliseconds


def say_stuck(column: str, rows: list[int], call: Callable[[list[int]], Any]) -> str:
    """What is wrong with a column that gave no answer, in words that name the rows that give none alone either.

    Args:
        column: Name of the column.
        rows: Row numbers that were read together.
        call: Begins to read some rows; gives a Deep Lake future.
    """
    futures = {row: call([row]) for row in dict.fromkeys(rows)}
    end = time.monotonic() + _PROBE_S
    while not all(future.is_completed() for future in futures.values()) and time.monotonic() < end:
        time.sleep(0.01)
    silent = [row for row, future in futures.items() if not future.is_completed()]
    for row in silent:
        futures[row].cancel()
    shown = f'of row {", ".join(map(str, silent[:8]))} ' if silent else ''
    return (
        f'Deep Lake 4 never reads the sample {shown}in tensor {column!r} of format 3: it waits for ever for a link '
        'that is None and for an empty sequence or list. Correct the sample with Deep Lake 3, leave the row out by a '
        'query or view, or read another tensor'
    )
