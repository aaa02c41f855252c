"""Distributed training of ranks that have no GPU."""

from __future__ import annotations

from typing import Any

from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module(force=True)
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """`MMDistributedDataParallel` for CPUs.

    MMEngine passes the number of a CUDA device, and synchronised batch norm has no implementation for CPUs: each rank
    normalises by its own batch.

    Args:
        module: The model.
        device_ids: Ignored.
        **kwargs: See `MMDistributedDataParallel`.
    """

    def __init__(self, module: Any, device_ids: Any = None, **kwargs: Any) -> None:
        super().__init__(module=revert_sync_batchnorm(module), **kwargs)
