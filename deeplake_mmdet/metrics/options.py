"""Arguments that metrics have in common, checked."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from deeplake_mmdet.errors import ConfigError


def check_choices(key: str, given: str | Sequence[str], choices: Sequence[str]) -> list[str]:
    """One or several of some names.

    Raises:
        ConfigError: There is none, one is unknown, or one comes twice.
    """
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in choices:
            close = difflib.get_close_matches(str(name), choices, n=1)
            hint = f' Did you mean {close[0]!r}?' if close else ''
            raise ConfigError(f'{key} expected some of {", ".join(map(repr, choices))}, but got {name!r}.{hint}')
    if not names or len(set(names)) < len(names):
        raise ConfigError(f'{key} expected each of {", ".join(map(repr, choices))} at most once, but got {given!r}.')
    return names


def iou_thresholds(key: str, given: float | Sequence[float] | None) -> np.ndarray:
    """IoU thresholds, float64 (T,), rising; COCO's ten where none are given.

    Raises:
        ConfigError: A threshold is not above 0 and at most 1, or they do not rise.
    """
    if given is None:
        return np.linspace(0.5, 0.95, 10)
    try:
        values = np.atleast_1d(np.asarray(given, np.float64))
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.ndim != 1 or not values.size or not ((values > 0) & (values <= 1)).all() or (np.diff(values) <= 0).any():
        raise ConfigError(f'{key} expected rising IoU thresholds above 0 and up to 1, but got {given!r}.')
    return values
