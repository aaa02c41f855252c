"""A dataset that an import has not finished: its rows are on a branch, or in a hidden folder, where nobody reads it.

An import commits its rows to a branch of the new dataset and merges it into the main branch when all are there. A new
local dataset is made in a hidden folder beside its place besides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeplake_mmdet.errors import SourceError

UNFINISHED = 'unfinished-import'


def hidden_folder(place: Path) -> Path:
    """Where the dataset that is to appear at ``place`` is being made."""
    return place.with_name(f'.{place.name}.unfinished')


def refuse_unfinished(head: Any, uri: str, branch: str | None) -> None:
    """Refuse to read what an import has not finished.

    Rows that were there before somebody began to add others are finished, and are read as ever.

    Args:
        head: The Deep Lake dataset, opened.
        uri: Its address, for the message.
        branch: The branch that is asked for; None for the main one.

    Raises:
        SourceError: The dataset holds nothing but an unfinished import, or its branch is asked for.
    """
    unfinished = branch == UNFINISHED or (
        branch in (None, 'main') and not len(head) and UNFINISHED in head.branches.names()
    )
    if unfinished:
        raise SourceError(
            f'{uri} holds an unfinished import, which must not be taken for a dataset: run the same command '
            '(deeplake-mmdet convert …) again to finish it.'
        )
