"""Opening the dataset itself, with its branches, commits and views, to read or to write them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.convert.storage import SPARE_BYTES
from deeplake_mmdet.errors import (
    ConfigError,
    DeepLakeMMDetError,
    RevisionNotFoundError,
    SourceError,
    SourceNotFoundError,
)
from deeplake_mmdet.source.fork_gate import guard_forks, reading
from deeplake_mmdet.source.format3.open import is_format3
from deeplake_mmdet.source.open import nothing_at, open_head, refused
from deeplake_mmdet.source.pins import closest, known
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, wait


@dataclass(frozen=True)
class Place:
    """Where a dataset is, and how it is reached.

    Attributes:
        location: Its address, with the name behind ``@`` if one is given.
        credentials: Token and storage credentials.
    """

    location: Location
    credentials: Credentials

    @classmethod
    def of(cls, path: Any, credentials: Any = None) -> Place:
        """Read a path, ``PATH`` or ``PATH@name``, and what ``deeplake_credentials`` holds in a config.

        Raises:
            ConfigError: Either is malformed.
        """
        return cls(Location.parse(path), Credentials.from_config(credentials))

    @property
    def uri(self) -> str:
        return self.location.uri

    def reader(self) -> Any:
        """The dataset, its head of ``main``, to read.

        Raises:
            SourceError: There is none, it is of format 3, or the storage refused.
        """
        return self._opened(lambda head: head)

    def writer(self) -> Any:
        """The same to write. Roll it back where something fails: what goes out of scope commits itself.

        Raises:
            SourceError: As `reader`; or as `check_room`.
        """
        self.check_room()

        def reopen(head: Any) -> Any:
            import deeplake

            arguments = self.credentials.open_arguments()
            return wait(deeplake.open_async(self.uri, **arguments), f'Opening {self.uri} to write', OPEN_DEADLINE_S)

        return self._opened(reopen)

    def check_room(self, nbytes: int = 0) -> None:
        """Refuses to write where that cannot end well.

        Deep Lake does not notice a full disk, and empties the logs that it writes then; where nothing may be written,
        it tries for a minute and a half.

        Args:
            nbytes: What is going to be written, logs aside.

        Raises:
            SourceError: The folder may not be written to, or its disk is full.
        """
        if '://' in self.uri or not os.path.isdir(self.uri):
            return
        if not os.access(self.uri, os.W_OK):
            raise SourceError(
                f'{self.uri} may not be written to by this user, or lies on a file system that is read-only. Copy it '
                f'first: deeplake-mmdet materialize {self.uri} NEW.'
            )
        free, needed = shutil.disk_usage(self.uri).free, nbytes + SPARE_BYTES
        if free < needed:
            raise SourceError(
                f'{self.uri} needs {needed / 2**20:.0f} MB more, but its disk has {free / 2**20:.0f} MB left. Nothing '
                'was written: make room first.'
            )

    def _opened(self, then: Callable[[Any], Any]) -> Any:
        if self.location.is_opened:
            raise ConfigError(f'{self.uri} is an object that a program has open. Give the path of its dataset.')
        guard_forks()
        with self.guarded():
            head = open_head(self.uri, self.credentials)
            if head is None:
                self._refuse_format3()
            return then(head)

    def _refuse_format3(self) -> NoReturn:
        if not is_format3(self.uri, self.credentials):
            raise SourceNotFoundError(nothing_at(self.uri, self.location.ref))
        raise SourceError(
            f'{self.uri} is of Deep Lake format 3, which can be read but not written, and whose versions are not '
            f'listed. Copy it first: deeplake-mmdet convert v3 {self.uri} NEW.'
        )

    @contextmanager
    def guarded(self, what: str = '') -> Iterator[None]:
        """Turns Deep Lake's errors into ours, without a secret in the message.

        Args:
            what: What is done to the dataset, for the message; by default it is opened.

        Raises:
            SourceError: In place of any error of Deep Lake.
        """
        try:
            with reading():
                yield
        except DeepLakeMMDetError:
            raise
        except Exception as error:  # Deep Lake's errors have no common base
            if not what:
                raise SourceError(refused(self.uri, self.credentials, error)) from None
            detail = self.credentials.scrub(str(error)) or 'no further message'
            raise SourceError(f'{what} of {self.uri} failed: {type(error).__name__}: {detail}') from None


def one_of(wanted: str, names: list[str], argument: str, what: str, plural: str, uri: str) -> str:
    """A name that the dataset has.

    Raises:
        RevisionNotFoundError: It does not; the message lists those that there are.
    """
    if wanted not in names:
        raise RevisionNotFoundError(
            f'{argument} names {wanted!r}, which is no {what} of {uri!r}. {known(plural, names)}'
            f'{closest(wanted, names)}'
        )
    return wanted
