"""Joining the other processes of a run: as torchrun, Slurm or MPI started them, with or without GPUs.

MMEngine's Runner joins them too, but late, and on CUDA devices only. Joined before the config is prepared, one process
resolves the datasets for all; the Runner finds the process group and uses it.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from typing import Any

from deeplake_mmdet.engine.process_group import form_group
from deeplake_mmdet.errors import ConfigError

# What each launcher calls the facts that torch reads from the environment.
_VARIABLES = {
    'slurm': {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'},
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
    },
}
_PORT = '29500'  # what torch and MMEngine take when none is given


def joined() -> bool:
    """Whether torchrun, or its like, has started this process as one of several."""
    return 'RANK' in os.environ and 'WORLD_SIZE' in os.environ


def launcher_around() -> str:
    """``'pytorch'`` in a process that torchrun started, else ``'none'``."""
    return 'pytorch' if joined() and 'MASTER_ADDR' in os.environ else 'none'


def check_alone(distributed: bool) -> None:
    """Refuse a training by itself in each of several processes: they would write the same files at once.

    Args:
        distributed: Whether this process trains together with the others.

    Raises:
        ConfigError: It does not, and there are others.
    """
    if not distributed and joined() and int(os.environ['WORLD_SIZE']) > 1:
        raise ConfigError(
            f'This process is one of {os.environ["WORLD_SIZE"]} that torchrun, or its like, started, and would train '
            'by itself and write what the others write. Pass distributed=True (tools/train.py: --launcher pytorch).'
        )


def join(config: Any) -> None:
    """Join the other processes of a run, by NCCL on GPUs and by gloo on CPUs; harmless when called again.

    Args:
        config: The run's config: its ``launcher``, and ``env_cfg.dist_cfg``.

    Raises:
        ConfigError: The launcher did not start this process; or the processes do not meet, because a port is in use or
            somebody does not come in time.
    """
    import torch.distributed as dist

    launcher = config.get('launcher') or 'none'
    if launcher == 'none' or dist.is_initialized():
        return
    if launcher in _VARIABLES:
        _adopt_environment(launcher)
    if not joined():
        raise ConfigError(
            f'launcher={launcher!r} expected a process that it started, but got one without RANK and WORLD_SIZE in its '
            'environment. Start with torchrun (tools/dist_train.sh), or leave out --launcher to train in one process.'
        )
    try:
        form_group(launcher, config)
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        raise ConfigError(_unmet(str(error))) from None
    atexit.register(_leave)  # gloo's threads, left running, would abort the interpreter at its end


def is_cpu_rank() -> bool:
    """Whether this process is one of several ranks without a GPU."""
    import torch
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized() and not torch.cuda.is_available()


def end_rank(code: int = 0) -> None:
    """End this process, if it is one of several, without the interpreter's last steps.

    Deep Lake's and gloo's threads outlive them now and then and abort the process, which torchrun would take for a
    failure. Whatever is registered to run at exit is run.

    Args:
        code: The process's exit code.
    """
    if joined():
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _adopt_environment(launcher: str) -> None:
    """Say in torch's words what a launcher says in its own.

    Raises:
        ConfigError: The launcher's variables are missing.
    """
    for name, theirs in _VARIABLES[launcher].items():
        if theirs not in os.environ:
            raise ConfigError(
                f'launcher={launcher!r} expected {theirs} in the environment, but got none. Start with '
                f'{"srun (tools/slurm_train.sh)" if launcher == "slurm" else "mpirun"}.'
            )
        os.environ[name] = os.environ[theirs]
    os.environ.setdefault('MASTER_PORT', _PORT)
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node() if launcher == 'slurm' else '127.0.0.1'


def _first_node() -> str:
    """Name of the first machine of a Slurm job."""
    nodes = os.environ.get('SLURM_NODELIST', '')
    try:
        shown = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"launcher='slurm' expected scontrol to list the machines of {nodes!r}, but got {error}. Give the address "
            'of the first one as MASTER_ADDR.'
        ) from None
    return shown.stdout.split()[0]


def _unmet(message: str) -> str:
    place = f'{os.environ.get("MASTER_ADDR")}:{os.environ.get("MASTER_PORT")}'
    if 'EADDRINUSE' in message:
        return (
            f'The processes expected to meet at {place}, but got a port that is in use. Choose another one: PORT=… for '
            'tools/dist_train.sh, --master-port for torchrun, MASTER_PORT for other launchers.'
        )
    return (
        f'The processes expected to meet at {place}, but got: {message.splitlines()[0]}. Check that the first machine '
        'runs and that the others reach it at this address and port.'
    )


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
