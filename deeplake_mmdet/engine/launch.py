"""Starting several processes with torch's elastic launcher."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from deeplake_mmdet import errors
from deeplake_mmdet.engine.datasets_in_config import SPLITS, find_datasets, refuse_opened
from deeplake_mmdet.engine.join import joined
from deeplake_mmdet.errors import ConfigError, DeepLakeMMDetError


def processes_to_start(distributed: bool | int, config: Any) -> int:
    """How many processes to start; 0 to stay in this one, which may be one of several.

    Args:
        distributed: True for one a GPU, or a number.
        config: May list GPUs as ``gpu_ids``. If this process is one of several, it is told to join them.

    Raises:
        ConfigError: It is no number, or there is no GPU and no number is given.
    """
    import torch

    if not isinstance(distributed, int) or distributed < 0:
        raise ConfigError(f'distributed expected True, False or a number of processes, but got {distributed!r}.')
    if not distributed:
        return 0
    if joined():
        config.launcher = 'pytorch'
        return 0
    if distributed is not True:
        return distributed
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
        ConfigError: The config names a dataset that only this process has; or this process is itself being started.
        DeepLakeMMDetError: What the process that failed first raised.
        torch.distributed.elastic.multiprocessing.errors.ChildFailedError: A process failed otherwise; it holds the
            traceback.
    """
    if getattr(multiprocessing.current_process(), '_inheriting', False):
        raise ConfigError(
            'distributed= starts processes that run your script from its beginning, so it would start them without '
            "end. Put what the script does under if __name__ == '__main__':"
        )
    for key, node in find_datasets(arguments[0], SPLITS):
        refuse_opened(key, str(node.get('deeplake_path')))
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
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
    try:
        return elastic_launch(launch, function)(*arguments)[0]
    except ChildFailedError as failure:
        raise _own_error(failure) or failure from None


def _own_error(failure: Any) -> DeepLakeMMDetError | None:
    """The error of ours that the first process to fail recorded, as ``name: message``."""
    recorded = failure.get_first_failure()[1].error_file_data['message']
    if not isinstance(recorded, dict):  # nothing was recorded: a signal, or an exit
        return None
    name, _, message = recorded['message'].partition(': ')
    kind = getattr(errors, name, None)
    ours = isinstance(kind, type) and issubclass(kind, DeepLakeMMDetError)
    return kind(message) if ours else None  # type: ignore[misc]
