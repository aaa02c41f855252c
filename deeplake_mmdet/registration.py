"""Registering our modules with MMEngine and MMDetection without importing what they need.

Importing MMDetection's datasets takes seconds and pulls in torch. So the registries get a stand-in under each name,
which imports the class when something is built. They are MMEngine's, the parents of MMDetection's, which look there for
what they do not know themselves: OpenMMLab's mmdet imports mmcv, OpenCV and torch with any of its modules.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    'DATASETS': {'DeepLakeDataset': 'deeplake_mmdet.datasets.deeplake_dataset'},
    'DATA_SAMPLERS': {'DeepLakeSampler': 'deeplake_mmdet.datasets.sampler'},
    'LOOPS': {
        'DeepLakeEpochTrainLoop': 'deeplake_mmdet.engine.loops',
        'DeepLakeIterTrainLoop': 'deeplake_mmdet.engine.loops',
    },
    'METRICS': {
        'DeepLakeCocoMetric': 'deeplake_mmdet.metrics.coco',
        'DeepLakeVOCMetric': 'deeplake_mmdet.metrics.voc',
    },
    'HOOKS': {'DeepLakeReportHook': 'deeplake_mmdet.report.hook'},
}


def _stand_in(name: str, module: str) -> Any:
    def build(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f'Builds {module}.{name}.'
    return build


def register_all() -> None:
    """Register dataset, sampler, metrics, train loops, hook and file backend; harmless when called again."""
    import mmengine.registry
    from mmengine.fileio import register_backend

    from deeplake_mmdet.datasets.file_backend import DeepLakeBackend

    for registry_name, modules in _MODULES.items():
        registry = getattr(mmengine.registry, registry_name)
        for name, module in modules.items():
            if name not in registry.module_dict:
                registry.register_module(name=name, module=_stand_in(name, module))
    register_backend('deeplake', DeepLakeBackend, force=True, prefixes='deeplake')
