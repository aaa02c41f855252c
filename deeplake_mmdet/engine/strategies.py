"""MMEngine's `FlexibleRunner` and its strategies (DDP, FSDP, DeepSpeed) with models of ours and without GPUs.

Its strategy builds and wraps the model when a run begins, where `Runner` does so when it is built.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from deeplake_mmdet.engine.cpu_parallel import wrapper_without_gpu
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.lineage.scrubbed_output import scrub_log


def adapt_strategy(runner: Any, model: Any, on_cpu: bool) -> None:
    """Have the strategy of a runner take over a module as it is, and wrap it for CPUs; other runners have none.

    Args:
        runner: A runner that was just built.
        model: The module, or None for the config's own.
        on_cpu: Whether this process is one of several ranks without a GPU.

    Raises:
        ConfigError: Its checkpoints could not be read again.
    """
    strategy = getattr(runner, 'strategy', None)
    if strategy is None:
        return
    scrub_log(runner.logger)
    if model is not None:
        model._is_init = True  # MMEngine's modules draw their weights once
        runner.model = model
    sharded = hasattr(strategy, 'state_dict_type')
    if sharded:
        _check_readable(strategy)
        strategy.load_optim_state_dict = partial(_load_sharded, strategy)
    if not on_cpu or not hasattr(strategy, 'model_wrapper'):
        return
    if sharded:
        _shard_on_cpu(strategy)
    else:
        strategy.model_wrapper = wrapper_without_gpu({'model_wrapper_cfg': strategy.model_wrapper})


def _check_readable(strategy: Any) -> None:
    """Only whole tensors are read from a checkpoint without running what it says."""
    if strategy.state_dict_type.name != 'FULL_STATE_DICT':
        raise ConfigError(
            f"strategy.state_dict_cfg expected 'full', but got {strategy.state_dict_type.name}, which MMEngine takes "
            'where none is given. Such checkpoints hold parts of tensors as objects of torch, for one number of '
            "processes, and are not read again. Write strategy=dict(type='FSDPStrategy', state_dict_cfg='full')."
        )


def _shard_on_cpu(strategy: Any) -> None:
    """Have an `FSDPStrategy`, which names CUDA devices, do without them."""
    import torch

    given = {'type': 'MMFullyShardedDataParallel', **(strategy.model_wrapper or {})}
    strategy.model_wrapper = {'device_id': torch.device('cpu'), **given}
    for settings in (strategy.state_dict_config, strategy.optim_state_dict_config):
        # From CPU to CPU torch copies nothing, frees what it took, and then reads it.
        settings.offload_to_cpu = False


def _load_sharded(strategy: Any, state: dict[str, Any]) -> None:
    """Load the state of an optimizer as `FSDPStrategy` does, but by name: torch 2.1 changed the order of arguments."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    wrapper = strategy.optim_wrapper
    loaded = FullyShardedDataParallel.optim_state_dict_to_load(
        model=strategy.model, optim=wrapper.optimizer, optim_state_dict=state
    )
    wrapper.load_state_dict(loaded)
