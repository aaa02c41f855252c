"""No secret in what is written down: those that this process knows, and those inside of URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from deeplake_mmdet.config.credentials import PREFIX, SHORT, VARIABLE, Credentials, unstash
from deeplake_mmdet.errors import SourceError

HIDDEN = '***'
_USER = re.compile(r'(?<![a-z0-9+.-])([a-z][a-z0-9+.-]*://)[^\s/?#\'"<>]*@', re.IGNORECASE)
# Parameters of signed URLs (S3, Google, Azure, CloudFront), and what people call keys and tokens.
_SECRET_NAME = (
    r'x-(?:amz|goog|ms)-[a-z-]*|awsaccesskeyid|googleaccessid|key-pair-id|policy|sig|'
    r'[a-z_-]*(?:token|secret|password|passwd|pwd|credentials?|signature|auth|key)'
)
_PARAMETER = re.compile(rf'([?&;#](?:{_SECRET_NAME})=)[^\s&;#\'"<>]+', re.IGNORECASE)
_HEADER = re.compile(r'(authorization\W{1,6}(?:basic|bearer|token)\s+)[^\s\'",]+', re.IGNORECASE)


def scrub(text: str) -> str:
    """A text without the secrets in it; all else stays.

    Hidden are the credentials of the configs that this process read and of its environment, the user and password of
    URLs, the parameters of their query or fragment that sign them or are called a key, token, secret or password, and
    what a header of HTTP authorizes with.

    Args:
        text: Any text.
    """
    for credentials in known():
        text = credentials.scrub(text)
    text = _HEADER.sub(rf'\g<1>{HIDDEN}', _USER.sub(rf'\g<1>{HIDDEN}@', text))
    return _PARAMETER.sub(rf'\g<1>{HIDDEN}', text)


def known() -> Iterator[Credentials]:
    """All credentials in this process's vault, and empty ones, which stand for those of the environment."""
    yield Credentials()
    names = [name.removeprefix(VARIABLE) for name in os.environ if name.startswith(VARIABLE)]
    for name in names:
        with suppress(SourceError):  # a file that cannot be read now: what it held is known to all credentials
            if name != 'SALT':
                yield unstash(PREFIX + name)


def scrubbed(value: Any) -> Any:
    """A copy of JSON-like content with every text in it scrubbed, keys too, but for short ones, which are names."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key if len(str(key)) < SHORT else scrubbed(key): scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(scrubbed(item) for item in value)
    return value
