"""A detector with the weights of a checkpoint, all of them and of the right classes, ready to score."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.checkpoints.loading import register_loaders
from deeplake_mmdet.engine.checkpoint_classes import check_classes
from deeplake_mmdet.engine.ssd_head import let_ssd_predict
from deeplake_mmdet.errors import CheckpointError, ConfigError

_SHOWN = 3


def load_detector(config: Any, checkpoint: str, datasets: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build ``config.model`` on this process's device, and fill it from a checkpoint.

    Args:
        config: A prepared config; its ``trust_checkpoint`` says whether code in the file may run.
        checkpoint: File or URL.
        datasets: Config key to `DeepLakeDataset`, whose classes it must have.

    Returns:
        The detector, in evaluation mode, and the checkpoint's ``meta``. Heads whose loss changes in the course of a
        training (TOOD, BoxInst) compute that of the next step; without a record of epoch or iteration, that of its end.

    Raises:
        ConfigError: There is no such file, or it is of other classes than the data.
        CheckpointError: It cannot be read, or is of another model.
    """
    from mmdet.registry import MODELS
    from mmengine.device import get_device
    from mmengine.logging import MessageHub
    from mmengine.model import revert_sync_batchnorm
    from mmengine.runner import CheckpointLoader

    if not os.path.isfile(checkpoint) and '://' not in checkpoint:
        raise ConfigError(f'The checkpoint {checkpoint!r} does not exist.')
    register_loaders(trusted=bool(config.get('trust_checkpoint')))
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    check_classes(content, datasets)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    let_ssd_predict(model)
    _fill(model, content.get('state_dict', content), checkpoint)
    meta = dict(content.get('meta') or {})
    for name in ('epoch', 'iter'):
        MessageHub.get_current_instance().update_info(name, meta.get(name, math.inf))
    return model.to(get_device()).eval(), meta


def _fill(model: Any, weights: Mapping[str, Any], checkpoint: str) -> None:
    """Unlike MMEngine's loading, no weight may be missing: it would be random, and so would all results."""
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    own = model.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith('num_batches_tracked')]
    other = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    if missing or other:
        wrong = [*missing, *other]
        more = f' and {len(wrong) - _SHOWN} more' if len(wrong) > _SHOWN else ''
        raise CheckpointError(
            f"The checkpoint {checkpoint!r} expected the weights of the config's model, but {len(missing)} are "
            f'missing and {len(other)} have another shape: {", ".join(wrong[:_SHOWN])}{more}. Score with the config '
            'that it was trained with.'
        )
    model.load_state_dict({name: weights[name] for name in own if name in weights}, strict=False)
