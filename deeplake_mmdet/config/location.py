"""Where a dataset is: the storage path, and a branch or view that the path itself names (``path@name``)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.errors import ConfigError

REMOTE_SCHEMES = ('s3', 'gs', 'gcs', 'gcp', 'azure', 'az', 'al', 'hub')
SCHEMES = ('mem', *REMOTE_SCHEMES)
# Scheme of the keys of objects that the program has open (`deeplake_mmdet.source.live`); nobody types one.
OPENED = 'opened'


@dataclass(frozen=True)
class Location:
    """A dataset's address.

    Attributes:
        uri: Absolute local path, or ``scheme://…``.
        ref: The name behind ``@`` (a branch or a view), or None.
    """

    uri: str
    ref: str | None = None

    @classmethod
    def parse(cls, path: Any) -> Location:
        """Parse ``deeplake_path``.

        Raises:
            ConfigError: No path, not a string, a scheme that Deep Lake does not know, or an @ in a folder's name.
        """
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        if not isinstance(path, str) or not path:
            raise ConfigError(
                f'DeepLakeDataset(deeplake_path=) expected the path of a dataset, but got {path!r}. '
                "Give a local folder or a URL such as 's3://bucket/dataset'."
            )
        scheme, separator, rest = path.partition('://')
        if not separator:
            return cls._split(os.path.abspath(os.path.expanduser(path)))
        if scheme == 'file':
            return cls._split(os.path.abspath(rest))
        if scheme not in (*SCHEMES, OPENED):
            raise ConfigError(
                f'DeepLakeDataset(deeplake_path=) expected a local path or one of '
                f'{", ".join(name + "://" for name in SCHEMES)}, but got {path!r}.'
            )
        if re.match(r'[^/@]*:[^/]*@', rest):  # not shown: it may be a secret
            raise ConfigError(
                f'DeepLakeDataset(deeplake_path=) expected {scheme}://bucket/…, but got credentials in the '
                'address, which are not read. Give them with deeplake_credentials=dict(creds=dict(…)).'
            )
        return cls._split(path.rstrip('/'))

    @classmethod
    def _split(cls, uri: str) -> Location:
        base, at, ref = uri.rpartition('@')
        if not at:
            return cls(uri)
        if '/' in ref or '@' in base or os.path.isdir(uri):
            raise ConfigError(
                f'DeepLakeDataset(deeplake_path=) expected no @ in the names of folders, but got {uri!r}: Deep Lake '
                'takes what follows the first @ for a branch. Rename the folder, or reach it by a symbolic link.'
            )
        return cls(base.rstrip('/'), ref or None)

    @property
    def is_remote(self) -> bool:
        """Whether reads go over a network, and so can stall; of an opened object, nobody knows."""
        return self.uri.partition('://')[0] in (*REMOTE_SCHEMES, OPENED) and '://' in self.uri

    @property
    def is_opened(self) -> bool:
        """Whether this is the key of an object that the program has open."""
        return self.uri.startswith(f'{OPENED}://')

    @property
    def in_memory(self) -> bool:
        return self.uri.startswith('mem://')
