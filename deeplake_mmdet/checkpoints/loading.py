"""Reading checkpoints without running code that is in them.

A checkpoint is a pickle, and a pickle can call any function. Since 2.6 torch reads only weights by default; OpenMMLab's
MMEngine 0.10.7 then cannot read its own checkpoints (training resumed, a checkpoint evaluated), because they also hold
the history of the log, and onedl-mmengine falls back to running whatever the file says. The loaders here read such
checkpoints, and nothing that could run code. They take their place in MMEngine's registry of loaders when a Runner is
built.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import partial, update_wrapper
from io import StringIO
from typing import Any

from deeplake_mmdet.checkpoints.hidden_address import register_hidden
from deeplake_mmdet.checkpoints.stand_ins import STAND_INS, restore
from deeplake_mmdet.config.redaction import scrub
from deeplake_mmdet.errors import CheckpointError


def register_loaders(*, trusted: bool = False) -> None:
    """Have MMEngine read local files and URLs by the loaders of this module; harmless when called again.

    Before torch 2.6 a name in a pickle cannot be given another meaning, and MMEngine's own loaders stay.

    Args:
        trusted: Whether whatever a file says is run, as its reader asked for.
    """
    import torch
    from mmengine.runner import CheckpointLoader
    from packaging.version import Version

    register_hidden()
    if Version(torch.__version__) < Version('2.6'):
        return
    for prefix, load in (('', load_from_local), (('http://', 'https://'), load_from_http)):
        named = update_wrapper(partial(load, trusted=trusted), load)  # MMEngine tells its name
        CheckpointLoader.register_scheme(prefix, named, force=True)


def load_from_local(filename: str | os.PathLike[str], map_location: Any = None, *, trusted: bool = False) -> Any:
    """Read a checkpoint file.

    Args:
        filename: Its path.
        map_location: As for `torch.load`.
        trusted: Whether what the file says is run.

    Returns:
        What was saved.

    Raises:
        CheckpointError: It holds something that could run code, or it is damaged.
        FileNotFoundError: There is no such file.
    """
    import torch

    path = os.path.expanduser(filename)
    return _read(path, lambda: torch.load(path, map_location=map_location, weights_only=not trusted), trusted)


def load_from_http(filename: str, map_location: Any = None, *, trusted: bool = False) -> Any:
    """Download a checkpoint into torch's cache, unless it is there, and read it; one process downloads for all.

    Args:
        filename: Its URL.
        map_location: As for `torch.load`.
        trusted: Whether what the file says is run.

    Returns:
        What was saved.

    Raises:
        CheckpointError: It holds something that could run code, or it is damaged.
    """
    from mmengine.dist import barrier, is_main_process
    from torch.hub import load_state_dict_from_url

    def load() -> Any:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # torch tells the whole URL on one of them
            return load_state_dict_from_url(
                filename, map_location=map_location, progress=False, weights_only=not trusted
            )

    if not is_main_process():
        barrier()
        return _read(filename, load, trusted)
    try:
        return _read(filename, load, trusted)
    finally:
        barrier()


def _read(address: str, load: Callable[[], Any], trusted: bool) -> Any:
    name = scrub(address)
    try:
        with nullcontext() if trusted else _stand_ins():
            loaded = load()
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(name, str(error))) from None
    except (RuntimeError, EOFError) as error:
        raise CheckpointError(f'The checkpoint {name!r} cannot be read, it may be cut short: {error}') from error
    if trusted:
        return loaded
    try:
        return restore(loaded)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise CheckpointError(f'The checkpoint {name!r} expected numbers of numpy, but got: {error}') from error


@contextmanager
def _stand_ins() -> Iterator[None]:
    """While this lasts, torch reads the names of `STAND_INS` as them, whatever else was allowed under these names."""
    from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

    before = get_safe_globals()
    names = [entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__qualname__}' for entry in before]
    others = [entry for name, entry in zip(names, before, strict=True) if name not in STAND_INS]
    clear_safe_globals()
    add_safe_globals([*others, *((stand_in, name) for name, stand_in in STAND_INS.items())])
    try:
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def _refusal(name: str, message: str) -> str:
    """What torch says in twenty lines, in three."""
    named = re.search(r'GLOBAL (\S+)', message)
    reason = (message.partition('WeightsUnpickler error:')[2] or message).strip().splitlines()[0]
    return (
        f'The checkpoint {name!r} expected weights, numbers, text and the log of MMEngine, but got '
        f'{named[1] if named else reason}, which could run code when it is read. If you trust its author, add '
        '--trust-checkpoint, or keep the weights only: '
        "torch.save(torch.load(OLD, weights_only=False)['state_dict'], NEW)."
    )
