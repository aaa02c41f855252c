"""Small questions about the dicts that configs are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def type_name(node: Mapping[str, Any]) -> str:
    """The type that a dict builds, without its scope; pure-Python configs hold the class itself."""
    kind = node.get('type', '')
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of an unknown key.

    Args:
        key: The key, dotted; its last part is compared.
        known: The keys that may stand there.
    """
    known = list(known)
    close = difflib.get_close_matches(key.rpartition('.')[2], known, n=1, cutoff=0.6)
    hint = f'Did you mean {close[0]!r}?' if close else f'The keys are {", ".join(known)}.'
    return f'{key} is no key that is known here. {hint}'
