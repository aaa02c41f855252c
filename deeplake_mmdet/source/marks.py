"""What tells one content of a dataset from another one that has the same names.

Deep Lake's version ids are counters, so a dataset that was put in the place of its own backup may have the same ones
for other rows; and a view can be deleted and saved anew under its name.
"""

from __future__ import annotations

from deeplake_mmdet.config.location import OPENED
from deeplake_mmdet.source.fork_gate import reading
from deeplake_mmdet.source.recipe import Opened


def mark_of(opened: Opened) -> str:
    """A text that is another one where a view or a commit of format 4 is; empty where nothing tells.

    Args:
        opened: What a recipe opened.
    """
    if opened.format != 4 or (opened.view_id or '').startswith(f'{OPENED}://'):
        return ''
    head, tip = opened.parents
    with reading():
        if opened.view_id is not None:
            return str(head.tags[opened.view_id].id)
        commit = tip.history[opened.commit_id]
        return f'{commit.client_timestamp}\0{commit.message}'
