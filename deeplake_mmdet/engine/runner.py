"""Building MMEngine's Runner from a prepared config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def build_runner(config: Any, notes: Sequence[str] = ()) -> Any:
    """The Runner that a config asks for.

    Args:
        config: A config that went through `deeplake_mmdet.engine.prepare.prepare`.
        notes: Lines for the run's log.

    Returns:
        An `mmengine.runner.Runner`, or what ``runner_type`` names.
    """
    from mmdet.registry import RUNNERS
    from mmdet.utils import setup_cache_size_limit_of_dynamo
    from mmengine.runner import Runner

    import deeplake_mmdet  # noqa: F401  (registers our modules where a config forgot custom_imports)

    setup_cache_size_limit_of_dynamo()
    runner = RUNNERS.build(config) if 'runner_type' in config else Runner.from_cfg(config)
    for note in notes:
        runner.logger.info(note)
    return runner
