"""What a link names: a local file, a page of the web, or an object in a bucket; any other kind is not followed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import url2pathname

from deeplake_mmdet.config.link_credentials import STORES
from deeplake_mmdet.errors import ImageReadError

WEB = ('http', 'https')
FOLLOWED = 'local paths, file://, http://, https://, s3://, gs://, gcs:// and azure://'


@dataclass(frozen=True)
class LinkAddress:
    """A link, taken apart.

    Attributes:
        store: ``'local'``, ``'web'``, ``'s3'``, ``'gcs'`` or ``'azure'``.
        root: Bucket or container as a URL; empty for local files and the web.
        key: Absolute path, URL, or the object's key in `root`.
        shown: The link for messages: without a user, a password, and what follows a question mark, where the web has
            its signatures and tokens.
    """

    store: str
    root: str
    key: str
    shown: str

    @classmethod
    def parse(cls, link: str) -> LinkAddress:
        """Take a link apart.

        Relative paths are relative to the working directory, as they are for Deep Lake.

        Raises:
            ImageReadError: It is empty, incomplete, or of a kind that is not followed.
        """
        scheme, separator, rest = link.partition('://')
        scheme = scheme.lower()
        if not separator:
            return cls._local(link)
        if scheme == 'file':
            return cls._local(_path_of(link))
        if scheme in WEB:
            host = rest.partition('/')[0]
            if not host:
                raise ImageReadError(f'the link {link!r} names no page')
            if '@' in host:
                raise ImageReadError(f'the link {shown(link)!r} holds a user or a password, which are not used')
            return cls('web', '', link, shown(link))
        if scheme not in STORES:
            raise ImageReadError(f'the link {shown(link)!r} is of a kind that is not followed. Followed are {FOLLOWED}')
        depth = 2 if STORES[scheme] == 'azure' else 1  # account and container
        *root, key = rest.split('/', depth)
        if len(root) < depth or not all(root) or not key:
            raise ImageReadError(f'the link {shown(link)!r} names no object')
        return cls(STORES[scheme], f'{scheme}://{"/".join(root)}', key, shown(link))

    @classmethod
    def _local(cls, path: str) -> LinkAddress:
        if not path or '\0' in path:
            raise ImageReadError(f'the link {path!r} names no file')
        return cls('local', '', os.path.abspath(path), os.path.abspath(path))


def _path_of(link: str) -> str:
    parts = urlsplit(link)
    if parts.netloc not in ('', 'localhost'):
        raise ImageReadError(f'the link {link!r} names a file of another machine, {parts.netloc!r}')
    return url2pathname(link.partition('://')[2].removeprefix(parts.netloc))


def shown(link: str) -> str:
    """A link for messages, without what it may hold in secrets."""
    public, mark, _ = link.partition('?') if link.lower().startswith(WEB) else (link, '', '')
    return re.sub(r'(://)[^/@]*@', r'\1***@', public) + (f'{mark}…' if mark else '')
