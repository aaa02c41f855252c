"""A prefix of remote storage that is to hold one new dataset, and nothing else.

``deeplake.delete`` removes every object below a prefix, whoever put it there. So a prefix that holds anything is
refused to begin with, and what is removed after a failure is only what has the names of Deep Lake's own files.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import deeplake

from deeplake_mmdet.config.credentials import Credentials

# The logs; and the chunks of a column, in folders whose names are numbers to the base 36.
_OWN = re.compile(r'_deeplake_log/[\w./-]+|[0-9a-z]{1,8}/[0-9a-z]{2}/[0-9a-z]{16,32}')


class RemotePlace:
    """A prefix of remote storage.

    Args:
        url: Of the dataset.
        credentials: Of the storage.
    """

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.url = url
        self._arguments = credentials.open_arguments()

    def _keys(self) -> Any:
        """Paths below the prefix, in batches as the storage gives them."""
        for batch in deeplake.storage.Reader(self.url, **self._arguments).list_iter():
            yield from (item.path for item in batch)

    def first_key(self) -> str | None:
        """Something that lies below the prefix; None for nothing, or where the storage does not tell.

        A log alone is nothing: it is what a process leaves that is killed while it makes a dataset.
        """
        with suppress(Exception):  # Deep Lake's cloud lists no files, and lets nobody put any there
            return next((key for key in self._keys() if not key.startswith('_deeplake_log/')), None)
        return None

    def remove_dataset(self) -> None:
        """Removes the files of the dataset one by one."""
        with suppress(Exception):  # an error is under way already, and is worth more
            writer = deeplake.storage.Writer(self.url, **self._arguments)
            for path in [path for path in self._keys() if _OWN.fullmatch(path)]:
                writer.remove(path)
