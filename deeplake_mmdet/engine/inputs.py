"""What `train_detector` and `test_detector` are given: a config, and a model in one of its forms."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.errors import ConfigError


def copied(cfg: Any) -> Any:
    """A copy of a config, as an MMEngine ``Config``; a plain dict becomes one."""
    from mmengine.config import Config

    if isinstance(cfg, Config):
        config = copy.deepcopy(cfg)
    elif isinstance(cfg, Mapping):
        config = Config(copy.deepcopy(dict(cfg)))
    else:
        raise ConfigError(f'cfg expected an mmengine.Config or a dict, but got a {type(cfg).__name__}.')
    config.setdefault('work_dir', './work_dirs')
    return config


def put_model(config: Any, model: Any, caller: str) -> tuple[Any, dict[str, Any]]:
    """Take the model in any of its forms.

    Args:
        config: The run's config; a model's config is written into it.
        model: A module, a model's config, or None for the config's own.
        caller: Name of the caller, for messages.

    Returns:
        The module, or None if it is to be built; and the model's config before anything is resolved.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(model, Mapping):
        config['model'] = copy.deepcopy(dict(model))
    elif model is not None and not callable(getattr(model, 'train_step', None)):
        raise ConfigError(
            f'{caller}(model=) expected a detector of build_detector or the dict cfg.model, but got a '
            f'{type(model).__name__}.'
        )
    original = copy.deepcopy(dict(config.get('model') or {}))
    return (None if isinstance(model, Mapping) else model), original
