"""Arrays of format 3 in memory of their own.

What Deep Lake 4 gives are windows on its own memory that do not keep it: once the dataset is closed, their numbers
change.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def own(values: Any) -> Any:
    """A copy of an array, or of all arrays in a list, however deep; anything else as it is."""
    if isinstance(values, np.ndarray):
        return values.copy()
    if isinstance(values, list):
        return [own(value) for value in values]
    return values
