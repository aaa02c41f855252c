"""Reading a copy back before it counts as one: its annotations must be those of the source, and so must its views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.convert.copied_columns import SourceColumn
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.numbered import Numbered
from deeplake_mmdet.source.same_rows import is_light, same_values
from deeplake_mmdet.source.waiting import QUERY_DEADLINE_S, wait

_ROWS = 8192


def check_copy(source: SourceHandle, stored: Any, columns: Sequence[SourceColumn], left_out: np.ndarray) -> None:
    """Compare all numbers and texts of a copy with its source.

    Args:
        source: What was copied.
        stored: The Deep Lake dataset that it was copied to.
        columns: The copied columns.
        left_out: Positions of the rows that were not copied, ascending.

    Raises:
        ConversionError: A value is another one; the column and the rows are named.
        SourceError: The storage failed.
    """
    light = [column for column in columns if is_light(column.type)]
    begin = 0
    for start in range(0, len(source), _ROWS) if light else ():
        stop = min(start + _ROWS, len(source))
        kept = np.flatnonzero(~np.isin(np.arange(start, stop), left_out))
        given = source.read_columns([column.name for column in light], start, stop)
        for column, values in zip(light, given, strict=True):
            found = wait(stored[column.name].get_async(slice(begin, begin + len(kept))), 'Reading', QUERY_DEADLINE_S)
            if not same_values([values[place] for place in kept], list(found)):
                raise ConversionError(
                    f'materialize() expected column {column.name!r} ({str(column.type)[:60]}) to read as it was '
                    f'written, but got other values in the rows {begin} to {begin + len(kept) - 1} of the copy. Leave '
                    f'it out: --without {column.name} --restart; and please report this, with the version of deeplake.'
                )
        begin += len(kept)
    if len(stored) != len(source) - len(left_out):
        raise ConversionError(
            f'materialize() expected {len(source) - len(left_out)} rows in the copy, but got {len(stored)}. Please '
            'report this, with the version of deeplake.'
        )


def check_views(stored: Any, views: Mapping[str, tuple[View, np.ndarray]]) -> None:
    """Run the queries of the views on the copy, and compare the rows.

    Args:
        stored: The Deep Lake dataset.
        views: Each view, and the numbers of the rows that it must select.

    Raises:
        ConversionError: One selects others.
    """
    for name, (view, rows) in views.items():
        numbered = Numbered(stored, view.query, QUERY_DEADLINE_S)
        found = numbered.numbers(numbered.run(view.query))
        if not np.array_equal(found, rows):
            raise ConversionError(
                f'materialize() expected the view {name!r} to select the same rows in the copy, but got others. '
                'Please report this, with the version of deeplake.'
            )
