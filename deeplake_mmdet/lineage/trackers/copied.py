"""Copies of what a caller may change before the tracker's thread looks at it; texts in configs without secrets."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from deeplake_mmdet.config.redaction import scrub


def copied(value: Any) -> Any:
    """A copy that shares no array, tensor or container with `value`; other objects are taken as they are."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.copy()
    if hasattr(value, 'detach'):
        return value.detach().clone()
    return value


def config_copy(config: Any) -> Any:
    """A copy of an MMEngine config, its texts scrubbed."""
    config = copy.deepcopy(config)
    _scrub(config)
    return config


def _scrub(node: Any) -> Any:
    if isinstance(node, str):
        return scrub(node)
    if hasattr(node, 'items'):
        for key, item in list(node.items()):
            # Writing back what did not change would turn MMEngine's lazy objects into the classes that they stand for.
            if (clean := _scrub(item)) is not item and clean != item:
                node[key] = clean
    elif isinstance(node, list):
        node[:] = [_scrub(item) for item in node]
    elif type(node) is tuple:
        return tuple(_scrub(item) for item in node)
    return node
