"""Files, and datasets of format 3, to Deep Lake datasets that train without further configuration, and back to files.

The names are resolved on first use, so that importing this package imports neither OpenCV nor Deep Lake.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    'convert_coco': 'coco',
    'convert_voc': 'voc',
    'convert_yolo': 'yolo',
    'convert_v3': 'format3',
    'export_coco': 'export.coco',
    'export_voc': 'export.voc',
    'export_yolo': 'export.yolo',
    'make_demo': 'demo',
    'materialize': 'materializing',
    'CopyReport': 'format3',
    'ConversionReport': 'report',
    'DatasetWriter': 'writer',
    'ExportReport': 'export.report',
    'ImportOptions': 'options',
    'ImportStoppedError': 'storage',
}
__all__ = [
    'ConversionReport',
    'CopyReport',
    'DatasetWriter',
    'ExportReport',
    'ImportOptions',
    'ImportStoppedError',
    'convert_coco',
    'convert_v3',
    'convert_voc',
    'convert_yolo',
    'export_coco',
    'export_voc',
    'export_yolo',
    'make_demo',
    'materialize',
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
