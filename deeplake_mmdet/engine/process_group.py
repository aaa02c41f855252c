"""The group through which the processes of a run talk: NCCL on GPUs, gloo on CPUs, and how long they wait."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from deeplake_mmdet.engine.fresh_store import fresh_store, is_kept_between_lives
from deeplake_mmdet.engine.network import choose_interface
from deeplake_mmdet.errors import ConfigError


def form_group(launcher: str, config: Mapping[str, Any]) -> None:
    """Initialise torch's process group with the processes that a launcher started.

    Args:
        launcher: ``'pytorch'``, ``'slurm'`` or ``'mpi'``; the environment says the rest, in torch's words.
        config: The run's config: ``env_cfg.dist_cfg``.

    Raises:
        ConfigError: The timeout is no number of seconds.
        torch.distributed.DistNetworkError, torch.distributed.DistStoreError: The others were not met.
    """
    import torch
    import torch.distributed as dist
    from torch.distributed.constants import default_pg_timeout

    timeout = timeout_of(config)
    choose_interface()
    meeting: dict[str, Any] = {}
    if is_kept_between_lives():
        ranks = {'rank': int(os.environ['RANK']), 'world_size': int(os.environ['WORLD_SIZE'])}
        meeting = {'store': fresh_store(timeout or default_pg_timeout), **ranks}
    if torch.cuda.is_available():
        from mmengine.dist import init_dist

        init_dist(launcher, **{**(_options(config) or {'backend': 'nccl'}), **meeting})
    else:
        dist.init_process_group('gloo', timeout=timeout, **meeting)


def timeout_of(config: Mapping[str, Any]) -> timedelta | None:
    """How long a process waits for the others before it gives up; None for torch's own time.

    Args:
        config: The run's config: ``env_cfg.dist_cfg.timeout``, in seconds.

    Raises:
        ConfigError: It is no number of seconds.
    """
    seconds = _options(config).get('timeout')
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
        raise ConfigError(f'env_cfg.dist_cfg.timeout expected a number of seconds above 0, but got {seconds!r}.')
    return timedelta(seconds=seconds)


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    return dict((config.get('env_cfg') or {}).get('dist_cfg') or {})
