"""The bytes behind links: many at a time, with an end to the waiting, and one failing link is that link's error.

Objects in buckets are read by Deep Lake's own storage reader, so nothing else has to be installed or configured for
them. Deep Lake itself would decode what is behind a link, ask AWS for its region in spite of an ``endpoint_url``, and
never recover from a failure; its reader does none of this.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.link_credentials import LinkCredentials
from deeplake_mmdet.errors import DeepLakeMMDetError, ImageReadError, SourceError
from deeplake_mmdet.source.background import Task
from deeplake_mmdet.source.fork_gate import guard_forks, reading
from deeplake_mmdet.source.link_address import LinkAddress
from deeplake_mmdet.source.link_files import fetch_web, read_file
from deeplake_mmdet.source.waiting import READ_DEADLINE_S, wait

_AT_ONCE = 32
_STATUS = re.compile(r'status=(\d+) code=(\w+)')


class LinkReader:
    """Reads what links name; may be pickled and forked.

    Args:
        credentials: For objects in buckets; of a dataset, what `LinkCredentials.resolve` gives.
    """

    def __init__(self, credentials: Credentials | LinkCredentials | None = None) -> None:
        if not isinstance(credentials, LinkCredentials):
            credentials = LinkCredentials(credentials or Credentials())
        self.credentials = credentials
        self._readers: dict[str, Any] = {}
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_readers': {}}

    def read(self, locations: Sequence[str], stop: int | None = None) -> list[bytes | DeepLakeMMDetError]:
        """The bytes behind some links.

        Args:
            locations: Local paths, relative ones to the working directory, or URLs: ``file://``, ``http://``,
                ``https://``, ``s3://``, ``gs://``, ``gcs://``, ``azure://``.
            stop: Only the first bytes of each, at most this many.

        Returns:
            One item a link, in their order: the bytes; `ImageReadError` where there is nothing to be read, or it is
            refused; `SourceError` where the storage, the network or the credentials failed. No text holds a secret.
        """
        addresses = [_parse(location) for location in locations]
        readers = self._open({item.root: item.store for item in addresses if isinstance(item, LinkAddress)})
        found: list[bytes | DeepLakeMMDetError] = []
        pending: deque[_Fetch] = deque()
        with reading():
            try:
                for address in addresses:
                    if len(pending) == _AT_ONCE:
                        found.append(pending.popleft().finish(self.credentials.given))
                    pending.append(_begin(address, readers, stop))
                while pending:
                    found.append(pending.popleft().finish(self.credentials.given))
            finally:  # Ctrl-C, while others are under way
                for fetch in pending:
                    fetch.future.cancel()
        return found

    def _open(self, stores: Mapping[str, str]) -> dict[str, Any]:
        """Deep Lake's reader of each bucket, or why there is none.

        Not inside the gate of forks: the threads that open them pass it, and would wait for a fork that waits for this.

        Args:
            stores: Bucket to the storage that it is of; an empty name is none.
        """
        if self._pid != os.getpid():
            self._readers, self._pid = {}, os.getpid()
        failed: dict[str, Any] = {}
        for root, store in stores.items():
            if root and root not in self._readers:
                guard_forks()
                # Without region and endpoint Deep Lake asks AWS where the bucket is, and takes its time about it.
                opening = Task(partial(_opened, root, self.credentials.of(store).open_arguments()))
                try:
                    self._readers[root] = wait(opening, f'Opening {root}', READ_DEADLINE_S)
                except Exception as error:  # Deep Lake's errors have no common base
                    failed[root] = error
        return {**self._readers, **failed}


def _parse(location: str) -> LinkAddress | ImageReadError:
    try:
        return LinkAddress.parse(location)
    except ImageReadError as error:
        return error


def _begin(address: LinkAddress | ImageReadError, readers: Mapping[str, Any], stop: int | None) -> _Fetch:
    end = time.monotonic() + READ_DEADLINE_S
    if isinstance(address, ImageReadError):
        return _Fetch('', _Failed(address), end)
    try:
        return _Fetch(address.shown, _future(address, readers.get(address.root), stop, end), end)
    except Exception as error:  # Deep Lake's errors have no common base
        return _Fetch(address.shown, _Failed(error), end)


def _future(address: LinkAddress, reader: Any, stop: int | None, end: float) -> Any:
    if address.store == 'local':
        return Task(lambda wanted: read_file(address, stop))
    if address.store == 'web':
        return Task(lambda wanted: fetch_web(address, stop, end, wanted))
    if isinstance(reader, Exception):
        return _Failed(reader)
    return reader.get_async(address.key) if stop is None else reader.get_async(address.key, 0, stop)


class _Fetch:
    """One link under way.

    Args:
        shown: The link, for messages.
        future: Gives its bytes.
        end: When to give up, in the time of ``time.monotonic``.
    """

    def __init__(self, shown: str, future: Any, end: float) -> None:
        self.shown, self.future, self.end = shown, future, end

    def finish(self, credentials: Credentials) -> bytes | DeepLakeMMDetError:
        """Wait for the bytes, or the error."""
        try:
            return bytes(wait(self.future, f'Reading the link {self.shown!r}', self.end - time.monotonic()))
        except DeepLakeMMDetError as error:
            return type(error)(credentials.scrub(str(error)))
        except Exception as error:  # Deep Lake's errors have no common base, and their text may hold a key
            return self._judge(error, credentials.scrub(str(error)))

    def _judge(self, error: Exception, text: str) -> bytes | DeepLakeMMDetError:
        """What an error of Deep Lake's storage reader means."""
        if 'status=416' in text:  # a range behind the end: the object is empty
            return b''
        kind = type(error).__name__
        answered = _STATUS.search(text)
        detail = ' '.join(answered.groups()) if answered else text
        if kind == 'KeyError':
            return ImageReadError(f'{self.shown!r} does not exist ({detail})')
        if kind == 'StorageAccessDenied':  # also of objects that do not exist, where the bucket may not be listed
            return ImageReadError(f'{self.shown!r} may not be read, or does not exist ({detail})')
        return SourceError(f'{self.shown!r} cannot be read: {kind}: {text}')


class _Failed:
    """A future of what failed before it began."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def is_completed(self) -> bool:
        return True

    def cancel(self) -> None:
        pass

    def result(self) -> Any:
        raise self._error


def _opened(root: str, arguments: dict[str, Any], wanted: Callable[[], bool]) -> Any:
    import deeplake

    with reading():  # of this thread, which may still be at it when nobody waits any more
        return deeplake.storage.Reader(root, **arguments)
