"""The end of an import: its rows reach the main branch in one merge, with metadata and saved views, in their place.

Each step is skipped when an earlier run did it, so that the next run ends what one began that was killed in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from deeplake_mmdet.convert.checkpoint import Checkpoint
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.storage import Room, patiently, storing
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.meta_log import LARGE, restore_meta_log
from deeplake_mmdet.source.unfinished import UNFINISHED

_SEAL = f'{UNFINISHED}-seal'  # a view for a moment, when there is no other


def finish_import(
    destination: Destination,
    url: str,
    rows: Any,
    noted: Checkpoint,
    message: str,
    views: Mapping[str, View],
    metadata: Mapping[str, Any],
) -> dict[str, int]:
    """Merges the branch of an import, writes metadata, saves the views, and puts the dataset in its place.

    Args:
        destination: Its place.
        url: Where it is now.
        rows: The Deep Lake dataset of the branch.
        noted: The last checkpoint.
        message: Of the commit.
        views: By name, checked.
        metadata: Of the dataset, which has no versions; it replaces what is there under the same keys.

    Returns:
        How many rows each view holds.

    Raises:
        ImportStoppedError: The storage failed, or is full; another run does what is not done yet.
        ConversionError: Others added rows or views meanwhile that do not go together with these.
    """
    Room(destination).take(0)
    with storing(destination):
        main = destination.open(url, writable=True)  # with what others may have added
        if not is_merged(main, rows, noted):
            _check_meanwhile(destination, main, rows, noted.base, views)
            main.merge(UNFINISHED, message=message)
        for key, value in metadata.items():
            main.metadata[key] = value
        main.commit()
        _save_views(main, views)
        restore_meta_log(url, destination.credentials)
        main = rows = None  # closes them, before their folder moves
        if url == destination.workplace:
            destination.keep()
        main = destination.open(destination.url, writable=True)
        counts = {name: len(main.tags[name].open()) for name in views}
        patiently(main.branches[UNFINISHED].delete)
    return counts


def _check_meanwhile(destination: Destination, main: Any, rows: Any, base: int, views: Mapping[str, View]) -> None:
    """Refuses to merge beside what others did since the import began."""
    taken = next((name for name in views if name in main.tags.names()), None)
    if taken is not None:
        destination.refuse('views of other names', f'{taken!r} is there since', 'Give this import up with --restart')
    if 0 < base < len(main):
        twice = np.intersect1d(main['img_id'][base:], rows['img_id'][base:])
        if len(twice):
            destination.refuse(
                'ids of images that are not there yet',
                f'{twice[0]} is there since',
                'Give this import up with --restart',
            )


def _save_views(main: Any, views: Mapping[str, View]) -> None:
    """Saves the views that are not there, and makes the merge safe from what `deeplake_mmdet.source.meta_log` tells of.

    A view is saved as a query of named columns, which Deep Lake keeps as a text, and not as the numbers of rows. The
    last entry in the log is a large one, so that whatever is saved later leaves the merge alone.
    """
    names = [column.name for column in main.schema.columns]
    pending = [name for name in views if name not in main.tags.names()]
    for name in pending:
        message = f'{views[name].rows} rows'.ljust(LARGE) if name == pending[-1] else ''
        patiently(partial(main.query(views[name].naming(names)).tag, name, message))
    if not views and _SEAL not in main.tags.names():
        patiently(partial(main.tag, _SEAL, ' ' * LARGE))
    if not views:
        patiently(main.tags[_SEAL].delete)


def is_merged(main: Any, branch: Any, found: Checkpoint) -> bool:
    """Whether an import came so far before; to merge again would add no rows, but a commit without any."""
    if not found.is_whole:
        return False
    if not found.base:
        return len(main) > 0
    return bool(np.isin(branch['img_id'][found.base :], main['img_id'][:]).all())


def check_views(rows: Any, views: Mapping[str, View], missing: int) -> None:
    """Refuses to finish with views that select other rows than they were made for.

    Args:
        rows: The Deep Lake dataset with all rows.
        views: By name.
        missing: How many rows any view may lack, since their images were left out.

    Raises:
        ConversionError: A view selects more rows, or fewer.
    """
    for name, view in views.items():
        found = len(rows.query(view.query))
        if not view.rows - missing <= found <= view.rows:
            raise ConversionError(
                f'convert(dst=) expected the view {name!r} to hold {view.rows} rows, but got {found}. '
                'Please report this, with the version of deeplake.'
            )
