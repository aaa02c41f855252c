"""Saving selected rows as a view, and opening it again before saying that it is saved.

Deep Lake keeps a view as the numbers of its rows where it can, and otherwise as the text of the last query, which then
runs again on all rows and may give others. So what was saved is compared with what was selected, and taken back if it
is something else.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ConfigError, QueryError
from deeplake_mmdet.lineage.created import tell_created
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.meta_log import restore_meta_log
from deeplake_mmdet.source.same_rows import SAMPLE, is_light, same_values
from deeplake_mmdet.source.tql_text import is_random
from deeplake_mmdet.versions.opening import Place
from deeplake_mmdet.versions.reading import columns_of, pieces, read_at, rows_at_once
from deeplake_mmdet.versions.selection import Selection
from deeplake_mmdet.versions.views import SavedView, describe_view

_MOST_A_ROW = 32  # bytes, of the number of a row in a view
_NAME = re.compile(r'\w[\w.+-]*')


def save_view(selection: Selection, name: str, message: str = '') -> SavedView:
    """Save selected rows as a view of their version; it keeps them, in their order, whatever happens to the dataset.

    Args:
        selection: The rows, of ``select(…, to_save=True)``.
        name: Of the view: letters, digits and ``_ . + -``. Views and branches of a dataset share one set of names.
        message: Why; by default the queries, where Deep Lake does not keep them itself.

    Returns:
        What was saved, after it was opened again and compared with the selection.

    Raises:
        ConfigError: The name is taken, or none that a shell and a config can carry.
        QueryError: The rows cannot be saved as a view; nothing is.
        SourceError: The dataset is of format 3, or the storage refused or is full.
    """
    _check_kind(selection)
    place = Place.of(selection.source.revision.uri, selection.config.get('deeplake_credentials'))
    head = place.reader()
    _check_name(name, head, place.uri)
    place.check_room(_MOST_A_ROW * len(selection))
    with place.guarded(f'Saving the view {name!r}'):
        tag = selection.view.tag(name, message or _said(selection))
        restore_meta_log(place.uri, place.credentials)
    try:
        saved = SourceHandle.resolve(DatasetSpec.from_config(_keys_of(selection, name)))
        differs = _difference(saved, selection)
    except BaseException:
        _take_back(place, name)
        raise
    if differs:
        _take_back(place, name)
        raise QueryError(
            f'save_view(name={name!r}) is not saved: opened again, the view has {differs}. Begin the query with '
            '"select *", or save its rows from the dataset instead of another view.'
        )
    tell_created('view', name, _keys_of(selection, name))
    head = place.reader()
    with place.guarded():
        return describe_view(head, tag.name)


def _check_kind(selection: Selection) -> None:
    if not selection.to_save:
        raise ConfigError(
            'save_view(selection=) expected rows that were selected to be saved: select(…, to_save=True).'
        )
    drawn = any(is_random(query) for query in selection.queries)
    if drawn and len(selection.queries) == 1 and not columns_of(selection.source).keys() <= _names(selection.view):
        raise QueryError(
            f'save_view() cannot save {selection.queries[0]!r}: of a query that lists columns, Deep Lake keeps the '
            'words, and would draw other rows each time. Begin the query with "select *".'
        )


def _names(view: Any) -> set[str]:
    return {column.name for column in view.schema.columns}


def _check_name(name: str, head: Any, uri: str) -> None:
    if not _NAME.fullmatch(name) or name == 'main':
        raise ConfigError(
            f"save_view(name=) expected letters, digits and _ . + - that are not 'main', but got {name!r}. Choose "
            'another name.'
        )
    if name in head.branches.names():
        raise ConfigError(f'save_view(name={name!r}) is the name of a branch of {uri}. Choose another name.')
    if name in head.tags.names():
        taken = describe_view(head, name)
        raise ConfigError(
            f'save_view(name={name!r}) is a view of {uri} already: {taken.rows} rows of {taken.version}, '
            f'{taken.query or "all of them"}. Choose another name, or delete it: deeplake-mmdet views {uri} --delete '
            f'{name}.'
        )


def _said(selection: Selection) -> str:
    """The queries, where the last one is not the text that Deep Lake keeps."""
    kept = len(selection.queries) == 1 and not selection.is_cut
    return '' if kept else ', '.join(selection.queries)


def _keys_of(selection: Selection, name: str) -> dict[str, Any]:
    """The keys of a dataset by which the saved view is read."""
    keys = ('deeplake_path', 'deeplake_credentials', 'deeplake_tensors')
    return {**{key: selection.config[key] for key in keys if selection.config.get(key)}, 'deeplake_view_id': name}


def _take_back(place: Place, name: str) -> None:
    dataset = place.writer()
    with place.guarded(f'Deleting the view {name!r}'):
        dataset.tags[name].delete()


def _difference(saved: SourceHandle, selection: Selection) -> str:
    """What a view has that is not what was selected; an empty text if nothing."""
    if len(saved) != len(selection):
        return f'{len(saved)} rows instead of {len(selection)}'
    source, columns = selection.source, columns_of(saved)
    for name, dtype in columns.items():
        if name not in columns_of(source):  # computed by the query
            continue
        count = len(saved)
        rows = np.arange(count) if is_light(dtype) else np.linspace(0, count - 1, min(count, SAMPLE)).astype(int)
        for piece in pieces(len(rows), rows_at_once(dtype)):
            places = rows[piece]
            if not same_values(read_at(saved, name, places), read_at(source, name, selection.positions[places])):
                return f'other values in column {name!r}'
    return ''
