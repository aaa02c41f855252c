"""Rows of which Deep Lake can save a view.

Deep Lake 4.7 notes the branch of a view only if its rows come from the head of a branch that is open to write. Rows of
anything else are noted as those of the main branch, and the view then opens with other rows.
"""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.errors import QueryError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, wait
from deeplake_mmdet.versions.opening import Place


def base_to_save(place: Place, source: SourceHandle) -> tuple[Any, list[Any]]:
    """The same rows as those of a version or view, in the form in which queries on them can be saved.

    Args:
        place: The dataset.
        source: The version or view.

    Returns:
        The Deep Lake dataset or view, and what must be kept for it to be read.

    Raises:
        QueryError: It is a view or an older commit of another branch than the main one.
        SourceError: The storage failed.
    """
    revision = source.revision
    if revision.branch in ('main', '') or revision.format == 3:
        return source.base(), [source]
    if revision.view_id is None:
        dataset = place.writer()
        with place.guarded():
            branch = dataset.branches[revision.branch]
            tip = wait(branch.open_async(), f'Opening branch {revision.branch!r}', OPEN_DEADLINE_S)
        if tip.version == revision.commit_id:
            return tip, [source, dataset, tip]
    what = 'the view' if revision.view_id else 'a commit that is not the newest'
    raise QueryError(
        f'select(to_save=True) cannot query {revision}: Deep Lake saves no view of {what} of another branch than main. '
        f'Query the head of the branch, {place.uri}@{revision.branch}, instead.'
    )
