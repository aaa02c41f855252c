"""Distributed training of ranks that have no GPU."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch.nn import SyncBatchNorm


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
        synchronised = sum(isinstance(layer, SyncBatchNorm) for layer in module.modules())
        if synchronised:
            print_log(
                f'{synchronised} layers of synchronised batch norm normalise by the batch of their own rank: torch '
                'synchronises them on GPUs only.',
                logger='current',
            )
        super().__init__(module=revert_sync_batchnorm(module), **kwargs)


def wrapper_without_gpu(config: Any) -> dict[str, Any] | None:
    """The wrapper of a run's model on CPUs, in the form of ``model_wrapper_cfg``.

    The config itself, which is kept with the run, goes on to name what works on GPUs too.

    Args:
        config: The run's config.

    Returns:
        The settings that MMEngine would use, with our wrapper; the config's own if it asks for another wrapper.
    """
    given = config.get('model_wrapper_cfg')
    if given is None:
        unused = config.get('find_unused_parameters', False)
        given = {'broadcast_buffers': False, 'find_unused_parameters': unused}
    elif given.get('type', 'MMDistributedDataParallel') != 'MMDistributedDataParallel':
        return given
    return {**given, 'type': 'CPUDistributedDataParallel'}
