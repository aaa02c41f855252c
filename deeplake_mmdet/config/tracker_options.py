"""The key ``deeplake_trackers`` of a config: how its trackers are treated."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.errors import ConfigError

KEY = 'deeplake_trackers'
_TYPES: Mapping[str, type | tuple[type, ...]] = {'strict': bool, 'log_checkpoints': bool, 'patience': (int, float)}


def tracker_options(config: Any) -> dict[str, Any]:
    """Read ``deeplake_trackers``.

    Args:
        config: The run's config.

    Returns:
        ``strict``, ``log_checkpoints`` and ``patience``, as far as they are given; see `guard_backends`.

    Raises:
        ConfigError: A key is unknown, or its value of another type.
    """
    given = config.get(KEY) or {}
    if not isinstance(given, Mapping):
        raise ConfigError(f'{KEY} expected dict(strict=…, log_checkpoints=…, patience=…), but got {given!r}.')
    for name, value in given.items():
        if name not in _TYPES:
            close = difflib.get_close_matches(str(name), _TYPES, n=1)
            hint = f'Did you mean {close[0]!r}?' if close else f'The keys are {", ".join(_TYPES)}.'
            raise ConfigError(f'{KEY} got an unknown key {name!r}. {hint}')
        if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and _TYPES[name] is not bool):
            expected = 'True or False' if _TYPES[name] is bool else 'a number of seconds'
            raise ConfigError(f'{KEY}.{name} expected {expected}, but got {value!r}.')
    return dict(given)
