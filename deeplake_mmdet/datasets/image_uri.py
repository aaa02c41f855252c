"""Image paths: ``deeplake://<source>/<column>/<row>.jpg``, and the datasets of this process that they lead to.

MMDetection passes images around by path. A path of this form is a plain string with a unique base name, survives
pickling, and is short. `<source>` is a hash of the revision; `find` knows the datasets that this process has built or
received.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from deeplake_mmdet.datasets.open_objects import OpenObjects
from deeplake_mmdet.errors import SourceNotFoundError
from deeplake_mmdet.source.revision import Revision

if TYPE_CHECKING:
    from deeplake_mmdet.datasets.image_store import ImageStore

PREFIX = 'deeplake'
_stores: OpenObjects[ImageStore] = OpenObjects()


def source_key(revision: Revision, column: str) -> str:
    """Hash of what a row number and a column refer to: dataset, branch, commit and saved view."""
    parts = (revision.uri, revision.dataset_id, revision.branch, revision.commit_id, revision.view_id or '', column)
    return hashlib.blake2b('\0'.join(parts).encode(), digest_size=6).hexdigest()


def make_uri(key: str, column: str, row: int, extension: str) -> str:
    return f'{PREFIX}://{key}/{quote(column, safe="")}/{row}.{extension}'


def parse_uri(uri: str) -> tuple[str, str, int]:
    """Source key, column and row number.

    Raises:
        ValueError: Not a path that `make_uri` made.
    """
    scheme, _, path = str(uri).partition('://')
    parts = path.split('/')
    row = parts[-1].partition('.')[0]
    if scheme != PREFIX or len(parts) != 3 or not row.isdigit():
        raise ValueError(f'Expected a path such as deeplake://<source>/<column>/<row>.jpg, but got {uri!r}.')
    return parts[0], unquote(parts[1]), int(row)


def register(key: str, store: ImageStore) -> None:
    """Make a dataset's images readable by path as long as the dataset lives."""
    _stores.add(key, store)


def find(uri: str) -> ImageStore:
    """The store that a path leads to.

    Raises:
        SourceNotFoundError: The dataset was not built in this process, or is gone.
    """
    key, _, row = parse_uri(uri)
    store = _stores.find(key, prefer=lambda store: store.holds(row))
    if store is not None:
        return store
    raise SourceNotFoundError(
        f'{uri} belongs to a dataset that is not open in this process. Build the dataset (its config) first, and keep '
        'it while you read its images.'
    )
