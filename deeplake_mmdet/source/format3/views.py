"""Saved views of a format-3 dataset: row numbers of one of its versions, or a copy of the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.errors import RevisionNotFoundError, SourceError
from deeplake_mmdet.source.format3.files import Format3Files
from deeplake_mmdet.source.format3.history import History
from deeplake_mmdet.source.pins import closest, known

_FILE = 'queries.json'
ROWS = 'VDS_INDEX'  # the tensor of the row numbers


@dataclass(frozen=True)
class View:
    """One saved view.

    Attributes:
        id: Its id.
        commit_id: The version that it shows.
        is_copy: Whether it was saved with its data (``optimize=True``), not as row numbers.
    """

    id: str
    commit_id: str
    is_copy: bool

    @property
    def folder(self) -> str:
        """Where its files lie, relative to the dataset."""
        return f'.queries/{self.id}'


def read_views(files: Format3Files) -> dict[str, Mapping[str, Any]]:
    """What the dataset says of its saved views, by id; empty if there are none.

    Raises:
        SourceError: The file is damaged.
    """
    content = files.find(_FILE)
    if content is None:
        return {}
    try:
        return {str(item['id']): item for item in json.loads(content)}
    except (KeyError, TypeError, ValueError):
        raise files.damaged(_FILE, f'lists no views ({len(content)} bytes)') from None


def find_view(files: Format3Files, history: History, view_id: str) -> View:
    """The saved view of an id.

    Raises:
        RevisionNotFoundError: The dataset has no such view, or it shows a version that the dataset does not have.
        SourceError: It selects more than rows.
    """
    views = read_views(files)
    if view_id not in views:
        raise RevisionNotFoundError(
            f'DeepLakeDataset(deeplake_view_id=) names {view_id!r}, which {files.uri!r} does not have. '
            f'{known("views", views)}{closest(view_id, views)}'
        )
    item = views[view_id]
    commit_id, is_copy = str(item.get('source-dataset-version')), item.get('virtual-datasource') is False
    if commit_id not in history.commits:
        raise RevisionNotFoundError(
            f'DeepLakeDataset(deeplake_view_id=) names {view_id!r}, which shows commit {commit_id!r} of '
            f'{item.get("source-dataset")!r}. {files.uri!r} has no such commit: the view belongs to another dataset.'
        )
    if not is_copy and len(item.get('source-dataset-index') or ()) > 1:
        raise SourceError(
            f'DeepLakeDataset(deeplake_view_id=) names {view_id!r}, which cuts pieces out of the samples, and Deep '
            'Lake 4 reads whole rows. Save it again with optimize=True, or save a view of whole rows.'
        )
    return View(view_id, commit_id, is_copy)
