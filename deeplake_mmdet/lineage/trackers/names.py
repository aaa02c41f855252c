"""Names that trackers accept, whatever datasets, branches, views and classes are called.

What a tracker would refuse is left out, and a short hash of the whole text is added where anything was, so that two
texts never share a name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

ARTIFACT_LENGTH = 128  # of W&B
METRIC_LENGTH = 250  # of MLflow
_HASH = 8  # hexadecimal digits
_NO_ARTIFACT = re.compile(r'[^A-Za-z0-9_.-]+')
_NO_METRIC = re.compile(r'[^A-Za-z0-9_. -]+')


def artifact_name(text: str, *identity: str) -> str:
    """A name for an artifact or a file: letters and digits of ASCII, dash, underscore and dot.

    Args:
        text: What people should recognise.
        *identity: What else two things with equal texts may differ in; its hash becomes part of the name.

    Returns:
        At most 128 characters; `text` itself where it is such a name and there is no `identity`.
    """
    name = _cleaned(text, _NO_ARTIFACT)
    return _hashed(name, ARTIFACT_LENGTH, (text, *identity)) if identity else _kept(name, text, ARTIFACT_LENGTH)


def metric_name(text: str) -> str:
    """A name for a metric, a tag or an image: as above, and with spaces and single slashes inside.

    Returns:
        At most 250 characters; `text` itself where it is such a name.
    """
    parts = (_cleaned(part, _NO_METRIC) for part in text.split('/'))
    return _kept('/'.join(part for part in parts if part), text, METRIC_LENGTH)


def _cleaned(text: str, illegal: re.Pattern[str]) -> str:
    """Letters lose their accents; dots and spaces at an end could name the folder above, or be overlooked."""
    plain = ''.join(char for char in unicodedata.normalize('NFKD', text) if not unicodedata.combining(char))
    return illegal.sub('-', plain).strip('-. ')


def _kept(name: str, text: str, length: int) -> str:
    return text if text and name == text and len(text) <= length else _hashed(name, length, (text,))


def _hashed(name: str, length: int, identity: tuple[str, ...]) -> str:
    content = ''.join(f'{len(part)}:{part}' for part in identity).encode('utf-8', 'surrogatepass')
    digest = hashlib.sha256(content).hexdigest()[:_HASH]
    return f'{name[: length - _HASH - 1].rstrip("-./ ") or "unnamed"}-{digest}'
