"""Building MMEngine's Runner from a prepared config."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from deeplake_mmdet.checkpoints.hidden_address import without_secrets
from deeplake_mmdet.checkpoints.loading import register_loaders
from deeplake_mmdet.engine.adapted_runner import adapted
from deeplake_mmdet.engine.agreement import RanksAgree
from deeplake_mmdet.engine.checkpoint_classes import CheckpointClasses
from deeplake_mmdet.engine.checkpoint_data import CheckpointData
from deeplake_mmdet.engine.config_agreement import check_same_config
from deeplake_mmdet.engine.join import is_cpu_rank, join
from deeplake_mmdet.engine.lineage_hook import Lineage
from deeplake_mmdet.engine.preemption import Preemption
from deeplake_mmdet.engine.same_buffers import SameBuffers
from deeplake_mmdet.engine.strategies import adapt_strategy
from deeplake_mmdet.engine.told_failures import failures_told
from deeplake_mmdet.errors import ConfigError


@failures_told()
def build_runner(config: Any, notes: Sequence[str] = (), *, model: Any = None, timestamp: str | None = None) -> Any:
    """The Runner that a config asks for.

    Args:
        config: A config that went through `deeplake_mmdet.engine.prepare.prepare`.
        notes: Lines for the run's log.
        model: A module to train as it is, instead of building ``config.model``.
        timestamp: Name of the run's folder and log; defaults to the time of the start.

    Returns:
        An `mmengine.runner.Runner`, or what ``runner_type`` names.

    Raises:
        ConfigError: `timestamp` is no name of a folder.
    """
    from mmdet.registry import RUNNERS
    from mmdet.utils import setup_cache_size_limit_of_dynamo
    from mmengine.runner import Runner

    import deeplake_mmdet  # noqa: F401  (registers our modules where a config forgot custom_imports)

    _check_timestamp(timestamp)
    setup_cache_size_limit_of_dynamo()
    register_loaders(trusted=bool(config.get('trust_checkpoint')))
    join(config)
    check_same_config(config)  # once more: the command line sets some things last
    on_cpu = is_cpu_rank()
    config.load_from = without_secrets(config.get('load_from'))
    kind = RUNNERS.get(config.runner_type) if 'runner_type' in config else Runner
    runner = adapted(kind, model, timestamp, on_cpu).from_cfg(config)
    adapt_strategy(runner, model, on_cpu)
    runner.register_hook(RanksAgree(), priority='VERY_HIGH')
    resumes, anyway = (bool(config.get(name)) for name in ('resume', 'resume_anyway'))
    runner.register_hook(CheckpointClasses(resumes), priority='VERY_HIGH')
    runner.register_hook(CheckpointData(resumes, anyway), priority='VERY_HIGH')
    # Before checkpoints are written, which hold what it notes.
    runner.register_hook(Lineage(runner.sinks, given_model=model is not None), priority='LOW')
    runner.register_hook(Preemption(), priority='LOWEST')
    if on_cpu:
        runner.register_hook(SameBuffers(), priority='VERY_LOW')
    for note in notes:
        runner.logger.info(note)
    return runner


def _check_timestamp(timestamp: Any) -> None:
    named = isinstance(timestamp, str) and timestamp not in ('', '.', '..')
    if timestamp is not None and (not named or os.path.basename(timestamp) != timestamp):
        raise ConfigError(
            f"timestamp expected the name of a folder, such as '20240131_120000', but got {timestamp!r}. "
            'Give the path of its parent as cfg.work_dir.'
        )
