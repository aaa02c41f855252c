"""The log of branches, merges and views of a dataset, which Deep Lake 4.7 loses when a large view is saved.

Such a view (its query and the numbers of its rows take some 40 KB) makes Deep Lake write a summary of the entries since
the last large one, and that summary is empty: views and branches are gone, and so are all rows that a merge brought.
The entries themselves are still there, so that all comes back when the summary is removed. An entry that stands alone
between two large ones is not summarised, and what is older than the last large one never is again.
"""

from __future__ import annotations

import json
import re

from deeplake_mmdet.config.credentials import Credentials

_CLOUD = ('al://', 'hub://')  # shows nobody its files
_LOG = '_deeplake_log/_meta'
_SUMMARY = re.compile(r'(\d+)o(\d+)\.jsonl(\.lz4)?')  # an empty one is no LZ4, whatever its name says
_ENTRY = re.compile(r'(\d+)[a-np-z]\d+\.jsonl(\.lz4)?')
LARGE = 100_000  # characters of a message that make an entry a large one


def restore_meta_log(url: str, credentials: Credentials) -> list[str]:
    """Removes empty summaries of entries that are there; to be called after a view was saved.

    Handles that are open at the time keep what they know; open the dataset again to go on.

    Args:
        url: Of the dataset, a folder or a URL.
        credentials: Of its storage.

    Returns:
        The names of what was removed.
    """
    import deeplake

    if url.startswith(_CLOUD):
        return []
    arguments = credentials.open_arguments()
    reader = deeplake.storage.Reader(url, **arguments).subdir(_LOG)
    names = [item.path.rpartition('/')[2] for batch in reader.list_iter() for item in batch]
    entries = {int(match[1]) for match in map(_ENTRY.fullmatch, names) if match}
    removed = []
    for match in filter(None, map(_SUMMARY.fullmatch, names)):
        summarised = entries.intersection(range(int(match[2]), int(match[1]) + 1))
        if summarised and _is_empty(bytes(reader.get(match[0]))):
            deeplake.storage.Writer(url, **arguments).subdir(_LOG).remove(match[0])
            removed.append(match[0])
    return removed


def _is_empty(summary: bytes) -> bool:
    """Whether a summary tells nothing but when it was written."""
    try:
        return all(json.loads(line).keys() == {'commit'} for line in summary.splitlines())
    except ValueError:  # compressed, since it is not empty
        return False
