"""MMDetection 3 trains, evaluates and improves detectors straight from Deep Lake datasets.

Importing this package registers its dataset, metric and file backend, and changes nothing else. In a config::

    custom_imports = dict(imports=['deeplake_mmdet'])
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from deeplake_mmdet.registration import register_all

__version__ = '0.1.0'
__all__ = [
    'DeepLakeCocoMetric',
    'DeepLakeDataset',
    'DeepLakeVOCMetric',
    '__version__',
    'build_dataloader',
    'build_detector',
    'read_config',
    'test_detector',
    'train_detector',
]

_LAZY = {
    'DeepLakeDataset': 'deeplake_mmdet.datasets.deeplake_dataset',
    'DeepLakeCocoMetric': 'deeplake_mmdet.metrics.coco',
    'DeepLakeVOCMetric': 'deeplake_mmdet.metrics.voc',
    'build_dataloader': 'deeplake_mmdet.engine.loader',
    'build_detector': 'deeplake_mmdet.engine.model',
    'read_config': 'deeplake_mmdet.config.upgrade.bases',
    'test_detector': 'deeplake_mmdet.engine.test',
    'train_detector': 'deeplake_mmdet.engine.train',
}

try:
    register_all()
except ModuleNotFoundError as error:
    if error.name not in ('mmengine', 'mmdet'):  # without them there is nothing to register with
        raise
except Exception as error:  # `deeplake-mmdet doctor` must start in a broken environment, to say what is broken
    warnings.warn(f'deeplake_mmdet could register nothing: {error}. Run: deeplake-mmdet doctor', stacklevel=2)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
