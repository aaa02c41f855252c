"""The small files of a format-3 dataset, read from any storage with an end to the waiting.

Deep Lake 4 opens such a dataset as the result of a query, which tells nothing of commits, branches and saved views,
and takes a damaged description for an empty one. So the files that say these things are read and checked here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, wait

# Deep Lake 3 gives this id to the first commit of every dataset, and keeps its files in the dataset's own folder.
FIRST_COMMIT = 'firstdbf9474d461a19e9333c2fd19b46115348f'


class Format3Files:
    """Files below one dataset, or below a saved view, which is stored as a dataset of its own.

    Local files are read directly: Deep Lake's reader makes up bytes behind the end of a local file, and its blocking
    calls keep all of Python waiting.

    Args:
        uri: Folder or URL of the dataset.
        credentials: Storage credentials.
    """

    def __init__(self, uri: str, credentials: Credentials) -> None:
        import deeplake

        self.uri = uri
        remote = Location(uri).is_remote
        self._reader = deeplake.storage.Reader(uri, **credentials.open_arguments()) if remote else None

    def find(self, path: str) -> bytes | None:
        """Content of a file, relative to the dataset, or None if there is none."""
        return self.find_all([path])[0]

    def find_all(self, paths: Sequence[str], stop: int | None = None) -> list[bytes | None]:
        """The same of several files, fetched side by side.

        Args:
            paths: Relative to the dataset.
            stop: Only the first bytes of each, at most this many.
        """
        if self._reader is None:
            return [_local(os.path.join(self.uri, path), stop) for path in paths]
        futures = [
            self._reader.get_async(path) if stop is None else self._reader.get_async(path, 0, stop) for path in paths
        ]
        end = time.monotonic() + OPEN_DEADLINE_S
        return [self._remote(future, end) for future in futures]

    def reach(self, ends: Sequence[tuple[str, int]]) -> list[bool]:
        """Whether each file, which must exist, has at least so many bytes.

        Args:
            ends: Path and number of bytes, which is positive.
        """
        if self._reader is None:
            return [os.path.getsize(os.path.join(self.uri, path)) >= size for path, size in ends]
        futures = [self._reader.get_async(path, size - 1, size) for path, size in ends]
        end = time.monotonic() + OPEN_DEADLINE_S
        return [bool(self._remote(future, end)) for future in futures]

    def _remote(self, future: Any, end: float) -> bytes | None:
        try:
            return bytes(wait(future, f'Reading files of {self.uri}', max(1.0, end - time.monotonic())))
        except KeyError:  # no such file
            return None
        except Exception as error:
            if 'status=416' in str(error):  # a range behind the end of the file
                return None
            raise

    def json(self, path: str) -> dict[str, Any]:
        """A document that every dataset has.

        Raises:
            SourceError: It is missing or damaged.
        """
        return self.document(path, self.find(path))

    def document(self, path: str, content: bytes | None) -> dict[str, Any]:
        """The JSON object in a file's content; see `json`."""
        if content is None:
            raise self.damaged(path, 'is missing')
        try:
            document = json.loads(content)
        except ValueError:  # not text, or not JSON
            document = None
        if not isinstance(document, dict):
            raise self.damaged(path, f'holds no JSON object ({len(content)} bytes that begin with {content[:20]!r})')
        return document

    def damaged(self, path: str, how: str) -> SourceError:
        """The error of a file that is not what Deep Lake 3 wrote."""
        return SourceError(
            f'The dataset of Deep Lake format 3 at {self.uri!r} is damaged: its file {path!r} {how}. Restore it from a '
            'copy: Deep Lake itself reads such data as empty or as zeros, or crashes.'
        )


def in_folder(commit_id: str, path: str) -> str:
    """Where a file of a commit lies, relative to the dataset."""
    return path if commit_id == FIRST_COMMIT else f'versions/{commit_id}/{path}'


def _local(path: str, stop: int | None) -> bytes | None:
    try:
        with open(path, 'rb') as file:
            return file.read(-1 if stop is None else stop)
    except (FileNotFoundError, NotADirectoryError):
        return None
