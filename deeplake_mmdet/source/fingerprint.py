"""What tells one content of a dataset from another one of the same revision.

A revision's words could come back with other rows (`deeplake_mmdet.source.marks`). So what is kept outside of a
dataset, under its revision, is kept under this as well.
"""

from __future__ import annotations

import hashlib
import os

from deeplake_mmdet.config.location import OPENED, Location
from deeplake_mmdet.source.fork_gate import reading
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.marks import mark_of
from deeplake_mmdet.source.recipe import Opened


def fingerprint(source: SourceHandle) -> str | None:
    """A text that is another one where the content is; None where the content may change, or nothing tells.

    Nothing tells of objects that the program has open, of data in memory, of views that follow the head, and of
    versions of format 3 that are not committed.
    """
    revision = source.revision
    is_opened = (revision.view_id or '').startswith(f'{OPENED}://')
    if is_opened or Location(revision.uri).in_memory or not revision.commit_id:
        return None
    opened = source.opened
    with reading():
        found = _of_format_3(opened) if revision.format == 3 else _of_format_4(opened)
    endpoint = source.credentials.creds.get('endpoint_url') or os.environ.get('AWS_ENDPOINT_URL', '')
    return None if found is None else f'{found}\0{endpoint}'


def _of_format_4(opened: Opened) -> str | None:
    head, _ = opened.parents
    follows_head = opened.view_id is not None and not head.tags[opened.view_id].version
    return None if follows_head else mark_of(opened)


def _of_format_3(opened: Opened) -> str | None:
    """Where the chunks of each tensor are: their names are random, and those of a commit are never written again."""
    if not opened.health.is_committed:
        return None
    state = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(opened.health.tensors.items()):
        state.update(f'{name}\0{tensor.key}\0{tensor.length}\0'.encode())
        state.update(tensor.chunks.tobytes())
    return state.hexdigest()
