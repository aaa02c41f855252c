"""Several processes: starting them with torch's elastic launcher, and running ranks without a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from deeplake_mmdet.config.location import OPENED
from deeplake_mmdet.engine.datasets_in_config import SPLITS, find_datasets
from deeplake_mmdet.errors import ConfigError


def joined() -> bool:
    """Whether torchrun, or its like, has started this process as one of several."""
    return 'RANK' in os.environ and 'WORLD_SIZE' in os.environ


def processes_asked_for(distributed: bool | int, config: Any) -> int:
    """How many processes to start.

    Args:
        distributed: True for one a GPU, or a number.
        config: May list GPUs as ``gpu_ids``.

    Raises:
        ConfigError: There is no GPU, and no number is given.
    """
    import torch

    if distributed is not True:
        return int(distributed)
    number = len(config.get('gpu_ids') or ()) or torch.cuda.device_count()
    if not number:
        raise ConfigError(
            'distributed=True trains on all GPUs of this machine, but it has none. Ask for a number of processes, '
            'such as distributed=2.'
        )
    return number


def run_on_ranks(processes: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Run a function in several new processes of this machine.

    Args:
        processes: How many.
        function: A function at the top level of a module, decorated with torch's `record`.
        arguments: Its arguments; the first is the config. They are pickled.

    Returns:
        What it returns in rank 0.

    Raises:
        ConfigError: The config names a dataset that only this process has.
        torch.distributed.elastic.multiprocessing.errors.ChildFailedError: A process failed; it holds the traceback.
    """
    for key, node in find_datasets(arguments[0], SPLITS):
        if str(node.get('deeplake_path')).startswith(f'{OPENED}://'):
            raise ConfigError(
                f'{key} is an opened dataset that other processes cannot open again. Save it as a view with '
                ".tag('name'), and open that one."
            )
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend='c10d',
        rdzv_endpoint='localhost:0',
        max_restarts=0,
        start_method='spawn',
    )
    return elastic_launch(launch, function)(*arguments)[0]


def join_without_gpu(config: Any) -> None:
    """Let ranks train on CPUs: MMEngine itself would ask for a CUDA device.

    Args:
        config: The run's config; changed in place.
    """
    import torch
    import torch.distributed as dist

    if config.get('launcher', 'none') == 'none' or torch.cuda.is_available() or not joined():
        return
    import deeplake_mmdet.engine.cpu_parallel  # noqa: F401  (registers the wrapper)

    if not dist.is_initialized():
        dist.init_process_group('gloo')
    wrapper = dict(config.get('model_wrapper_cfg') or {})
    if wrapper.get('type', 'MMDistributedDataParallel') == 'MMDistributedDataParallel':
        config['model_wrapper_cfg'] = {**wrapper, 'type': 'CPUDistributedDataParallel'}
