"""Models: building one from a config, and taking over one that was built before."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.upgrade import upgrade
from deeplake_mmdet.engine.num_classes import head_keys
from deeplake_mmdet.errors import ConfigError


def build_detector(
    cfg: Mapping[str, Any], train_cfg: Mapping[str, Any] | None = None, test_cfg: Mapping[str, Any] | None = None
) -> Any:
    """Build a detector and initialise its weights.

    Args:
        cfg: ``cfg.model`` of a config, of MMDetection 3 or 2.
        train_cfg, test_cfg: Settings of training and testing, where a config of MMDetection 2 keeps them outside of
            the model.

    Returns:
        The detector, a ``torch.nn.Module``. Weights that ``init_cfg`` names were loaded, so load your own afterwards.

    Raises:
        ConfigError: The model is no dict, or has a key of MMDetection 2 without counterpart.

    Examples:
        >>> cfg = Config.fromfile('configs/demo/rtmdet-narrow_demo.py')
        >>> model = deeplake_mmdet.build_detector(cfg.model)
    """
    if not isinstance(cfg, Mapping):
        raise ConfigError(f'build_detector(cfg=) expected the dict cfg.model, but got a {type(cfg).__name__}.')
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    given = {'train_cfg': train_cfg, 'test_cfg': test_cfg}
    config = Config({'model': {**copy.deepcopy(dict(cfg)), **{k: v for k, v in given.items() if v is not None}}})
    upgrade(config)
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def take_over(model: Any, config: Any, original: Mapping[str, Any]) -> None:
    """Make a module that was built before fit the resolved config.

    Its weights stay as they are. Its preprocessor, which holds none, is built anew if resolving the config changed it:
    a pipeline of MMDetection 2 says how pixels are normalised.

    Args:
        model: The module; changed in place.
        config: The resolved config.
        original: ``model`` of the config that the module was built from.

    Raises:
        ConfigError: A head has another number of classes than the dataset, or the module is wrapped.
    """
    from mmengine.model import is_model_wrapper

    if is_model_wrapper(model):
        raise ConfigError(
            f'model expected a detector as build_detector gives it, but got one in a {type(model).__name__}. Pass it '
            'as it was before it was wrapped; distributed=True wraps it.'
        )
    for key, node, name in head_keys(config.get('model', {})):
        path = key.rpartition('.')[0].removeprefix('model').lstrip('.')
        number = getattr(_submodule(model, path), name, node[name])
        if number != node[name]:
            raise ConfigError(
                f'The head {path!r} of the model has {number} classes, but the dataset has {node[name]}. Set '
                f'cfg.{key} = {node[name]} before build_detector, or pass cfg.model itself instead of a built model.'
            )
    preprocessor = config.get('model', {}).get('data_preprocessor')
    if preprocessor and preprocessor != original.get('data_preprocessor'):
        from mmdet.registry import MODELS

        model.data_preprocessor = MODELS.build(preprocessor)


def _submodule(model: Any, path: str) -> Any:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None
