"""Fetching what is behind links to local files and to the web, from a thread."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from http.client import HTTPException, InvalidURL
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from deeplake_mmdet.errors import ImageReadError, SourceError
from deeplake_mmdet.source.link_address import LinkAddress

_TRIES = 3
_PIECE = 2**20
# An answer to the question for this file; any other failure is one of the machine.
_OF_THE_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)
# Answers that another try may better.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_URL_CHARACTERS = "%/:=&?~#+!$,;'@()*[]"


def read_file(address: LinkAddress, stop: int | None) -> bytes:
    """A local file.

    Args:
        address: Of it.
        stop: Only its first bytes, at most this many.

    Raises:
        ImageReadError: There is none that can be read, or it is a device or a pipe, which may never end.
        SourceError: The machine failed.
    """
    try:
        if not stat.S_ISREG(os.stat(address.key).st_mode):
            raise ImageReadError(f'{address.shown!r} is no regular file')
        with open(address.key, 'rb') as file:
            return file.read(-1 if stop is None else stop)
    except ImageReadError:
        raise
    except OSError as error:
        kind = ImageReadError if error.errno in _OF_THE_FILE else SourceError
        raise kind(f'{address.shown!r} cannot be read: {error.strerror}') from None


def fetch_web(address: LinkAddress, stop: int | None, end: float, wanted: Callable[[], bool]) -> bytes:
    """The body of a page; no other protocol than HTTP is spoken, wherever it redirects to.

    Args:
        address: Of it.
        stop: Only its first bytes, at most this many.
        end: When to give up, in the time of ``time.monotonic``.
        wanted: Says whether somebody still waits.

    Raises:
        ImageReadError: The server has no such page, or does not give it.
        SourceError: The server cannot be reached, or failed.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return _fetch_once(address, stop, end, wanted)
        except HTTPError as error:
            if error.code == 416 and stop:  # no first byte: it is empty
                return b''
            refused = f'{address.shown!r}: the server answered {error.code} {error.reason}'
            if error.code not in _PASSING:
                raise ImageReadError(refused) from None
            failed = refused
        except (ValueError, InvalidURL) as error:
            raise ImageReadError(f'{address.shown!r} is no address: {error}') from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, 'reason', None) or error
            failed = f'{address.shown!r} cannot be fetched: {type(reason).__name__}: {reason}'
        if attempt == _TRIES or not wanted() or time.monotonic() > end:
            break
        time.sleep(0.2 * attempt)
    raise SourceError(failed)


def _fetch_once(address: LinkAddress, stop: int | None, end: float, wanted: Callable[[], bool]) -> bytes:
    headers = {'User-Agent': 'deeplake-mmdet', 'Accept': '*/*', **({'Range': f'bytes=0-{stop - 1}'} if stop else {})}
    request = Request(quote(address.key, safe=_URL_CHARACTERS), headers=headers)
    with _opener().open(request, timeout=max(1.0, end - time.monotonic())) as response:
        body = bytearray()
        while wanted() and (stop is None or len(body) < stop):
            piece = response.read(_PIECE if stop is None else stop - len(body))
            if not piece:
                break
            body += piece
        declared = response.headers.get('Content-Length')
        complete = declared is None or len(body) >= min(int(declared), stop or int(declared))
        if not complete:  # which reading in pieces does not notice
            raise HTTPException(f'{len(body)} of {declared} bytes arrived')
        return bytes(body)


def _opener() -> Any:
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPHandler(),
        HTTPDefaultErrorHandler(),
        HTTPRedirectHandler(),
        HTTPSHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
