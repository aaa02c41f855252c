"""What MMDetection 2's inheritance would have made of a child's key, where the base is of MMDetection 3.

MMEngine merges a child's ``optimizer`` with the base's ``optimizer``, but a base of MMDetection 3 has none: its
settings are elsewhere. So the base's settings are put into the old form first, and the child is merged into that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DELETE = '_delete_'


def inherit(base: Mapping[str, Any] | None, child: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as configs do: keys of ``child`` win, mappings are merged, ``_delete_=True`` forgets the base's.

    Args:
        base: The base's settings in the child's form, or None.
        child: What the child says.

    Returns:
        A new dict; neither argument is changed.
    """
    merged = {} if base is None or child.get(DELETE) else dict(base)
    for key, value in child.items():
        if key == DELETE:
            continue
        old = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = inherit(old if isinstance(old, Mapping) else None, value)
        else:
            merged[key] = value
    return merged
