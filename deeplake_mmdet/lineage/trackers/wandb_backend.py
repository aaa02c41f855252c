"""MMEngine's backend of W&B, whose end is bounded, kept from uploading secrets in source files and command line."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from deeplake_mmdet.config.redaction import scrub

_SHARE = 0.75  # of the patience, so that W&B ends before it is taken for dead


def prepare(backend: Any, patience: float) -> None:
    """Before the run begins: bound its end, and keep secrets of the command line out of its metadata.

    Args:
        backend: A ``WandbVisBackend``; changed in place.
        patience: Seconds for uploads at the end of the run, unless the config or the environment give another time.
            What is not uploaded by then stays on the disk for ``wandb sync``.
    """
    given = dict(backend._init_kwargs or {})
    settings = given.get('settings') or {}
    settings = copy.copy(settings)
    if _knows('finish_timeout') and not os.environ.get('WANDB_FINISH_TIMEOUT') and not _get(settings, 'finish_timeout'):
        _set(settings, 'finish_timeout', _SHARE * patience)
    if scrub(' '.join(sys.argv)) != ' '.join(sys.argv):
        _set(settings, 'x_disable_meta', True)  # the command line is a part of them
    backend._init_kwargs = {**given, 'settings': settings}


def _knows(setting: str) -> bool:
    """Whether the installed version of W&B has a setting."""
    wandb = sys.modules.get('wandb')
    return setting in getattr(getattr(wandb, 'Settings', None), 'model_fields', ())


def _get(settings: Any, name: str) -> Any:
    return settings.get(name) if isinstance(settings, dict) else getattr(settings, name, None)


def _set(settings: Any, name: str, value: Any) -> None:
    if isinstance(settings, dict):
        settings[name] = value
    else:
        setattr(settings, name, value)


def add_config(backend: Any, config: Any, **kwargs: Any) -> None:
    """As of the backend; of the code, installed packages and files with secrets are left out.

    Args:
        backend: A ``WandbVisBackend`` whose run has begun.
        config: An MMEngine config.
        **kwargs: Ignored, as there.
    """
    run = backend.experiment.run
    run.config.update(config.to_dict(), allow_val_change=(backend._init_kwargs or {}).get('allow_val_change', False))
    run.log_code(name=backend._log_code_name, exclude_fn=left_out)


def left_out(path: str, root: str = '') -> bool:
    """Whether a source file is not to be uploaded.

    Args:
        path: Absolute path of the file.
        root: Folder below which files are sought.
    """
    parts = PurePath(path).relative_to(root).parts if root and PurePath(path).is_relative_to(root) else (path,)
    if {'site-packages', 'wandb', '.wandb'} & set(parts[:-1]):
        return True
    try:
        text = Path(path).read_text(encoding='utf-8', errors='replace')
    except OSError:
        return True
    return scrub(text) != text


def abandon(backend: Any) -> None:
    """Nothing: W&B ends its run by itself when the interpreter ends, and knows the exit code."""


CHANGES: dict[str, Callable[..., Any]] = {'add_config': add_config, 'abandon': abandon}
