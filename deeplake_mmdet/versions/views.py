"""The saved views of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.source.pins import branch_of
from deeplake_mmdet.source.waiting import QUERY_DEADLINE_S, wait
from deeplake_mmdet.versions.opening import Place, one_of


@dataclass(frozen=True)
class SavedView:
    """One saved view.

    Attributes:
        name: By which ``deeplake_view_id`` and ``DATASET@name`` find it.
        rows: How many it has; None where it cannot be opened any more.
        branch: The branch that it was saved on; empty where Deep Lake does not tell.
        commit_id: The commit that it shows; empty for a view that follows the head of its branch.
        query: The last query that led to it; empty for all rows.
        message: Why it was saved.
        time: When.
    """

    name: str
    rows: int | None
    branch: str
    commit_id: str
    query: str
    message: str
    time: datetime

    @property
    def version(self) -> str:
        """Branch and commit in one word."""
        return f'{self.branch or "?"}:{self.commit_id or "head"}'


def list_views(path: Any, credentials: Any = None) -> list[SavedView]:
    """All saved views, by name.

    Args:
        path: Of the dataset.
        credentials: What ``deeplake_credentials`` holds in a config.

    Raises:
        ConfigError, SourceError: The dataset cannot be opened.
    """
    place = Place.of(path, credentials)
    head = place.reader()
    with place.guarded():
        return [describe_view(head, name) for name in sorted(head.tags.names())]


def delete_view(path: Any, name: str, credentials: Any = None) -> SavedView:
    """Delete a saved view. Its rows stay in the dataset.

    Args:
        path, credentials: As `list_views`.
        name: Of the view.

    Returns:
        What it was.

    Raises:
        RevisionNotFoundError: There is no such view.
    """
    place = Place.of(path, credentials)
    dataset = place.writer()
    with place.guarded(f'Deleting the view {name!r}'):
        one_of(name, list(dataset.tags.names()), 'delete_view(name=)', 'view', 'views', place.uri)
        found = describe_view(dataset, name)
        dataset.tags[name].delete()
    return found


def describe_view(head: Any, name: str) -> SavedView:
    """One saved view of an opened dataset."""
    tag = head.tags[name]
    rows, branch = None, ''
    try:
        view = wait(tag.open_async(), f'Opening view {name!r}', QUERY_DEADLINE_S)
        rows, branch = len(view), branch_of(view, head) or ''
    except SourceError:
        raise
    except Exception:  # what it shows is gone; Deep Lake's errors have no common base
        rows = None
    return SavedView(name, rows, branch, tag.version or '', tag.query or '', tag.message or '', tag.timestamp)
