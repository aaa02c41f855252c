"""Gathering on the first rank, and waiting for it as long as it takes.

The first rank evaluates for all. On GPUs the others would wait for it in NCCL, which ends a process after ten minutes
of that, and large evaluations take longer. So predictions and values travel through a group of their own, over the
network of the CPUs, in which a day of waiting is no fault.
"""

from __future__ import annotations

import pickle
import shutil
import weakref
from datetime import timedelta
from pathlib import Path
from typing import Any

from mmengine import dist

from deeplake_mmdet.errors import ConfigError

_PATIENCE = timedelta(days=1)

# The run's group, and the one that was made beside it. The run owns both, and may leave them for others.
_made: tuple[weakref.ref[Any], weakref.ref[Any]] | None = None


def patient_group() -> Any:
    """The group for waiting, made when all ranks first ask for it, as they must; None for a process that is alone."""
    global _made
    if dist.get_world_size() == 1:
        return None
    default = dist.get_default_group()
    group = _made[1]() if _made is not None and _made[0]() is default else None
    if group is None:
        import torch.distributed

        group = torch.distributed.new_group(backend='gloo', timeout=_PATIENCE)
        _made = weakref.ref(default), weakref.ref(group)
    return group


def gather(own: Any, folder: str | None = None) -> list[Any] | None:
    """What each rank has, on the first rank; None on the others.

    Args:
        own: What this rank has.
        folder: A folder that all machines see, through which it travels instead; it is removed.

    Raises:
        ConfigError: The folder cannot be written, or the machines do not see the same; on all ranks alike.
    """
    group = patient_group()
    if folder is None or group is None:
        gathered: list[Any] | None = dist.gather_object(own, group=group)
        return gathered
    files = [Path(folder, f'part_{rank}.pkl') for rank in range(dist.get_world_size())]
    _raise_first(dist.all_gather_object(_write(files[dist.get_rank()], own), group))
    found, problem = _read(files) if dist.get_rank() == 0 else (None, None)
    _raise_first([tell(problem)])
    return found


def tell(value: Any) -> Any:
    """What the first rank has, on all ranks.

    Args:
        value: Of the first rank; that of the others is not looked at.
    """
    told = [value]
    dist.broadcast_object_list(told, group=patient_group())
    return told[0]


def _write(file: Path, value: Any) -> ConfigError | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(value))
    except OSError as error:
        return ConfigError(f'collect_dir is {str(file.parent)!r}, where nothing can be written: {error.strerror}.')
    return None


def _read(files: list[Path]) -> tuple[list[Any] | None, ConfigError | None]:
    """What the ranks wrote, and no error; or the reverse."""
    try:
        found = [pickle.loads(file.read_bytes()) for file in files]
    except FileNotFoundError as error:
        return None, ConfigError(
            f'collect_dir expected a folder that all machines see, but got {str(files[0].parent)!r}, in which the '
            f'first rank does not find {Path(error.filename).name}. Name a shared folder, or leave collect_dir out.'
        )
    shutil.rmtree(files[0].parent)
    return found, None


def _raise_first(problems: list[ConfigError | None]) -> None:
    for problem in problems:
        if problem is not None:
            raise problem
