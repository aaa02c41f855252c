"""Files, and datasets of format 3, to Deep Lake datasets that train without further configuration; see ``schema``.

The names are resolved on first use, so that importing this package imports neither OpenCV nor Deep Lake.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    'convert_coco': 'coco',
    'convert_voc': 'voc',
    'convert_v3': 'format3',
    'make_demo': 'demo',
    'CopyReport': 'format3',
    'ConversionReport': 'report',
    'DatasetWriter': 'writer',
}
__all__ = [
    'ConversionReport',
    'CopyReport',
    'DatasetWriter',
    'convert_coco',
    'convert_v3',
    'convert_voc',
    'make_demo',
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
