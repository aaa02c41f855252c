"""Building MMEngine's Runner from a prepared config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deeplake_mmdet.engine.checkpoints import register_loaders
from deeplake_mmdet.engine.launch import join_without_gpu
from deeplake_mmdet.engine.ssd_head import let_ssd_predict


def build_runner(config: Any, notes: Sequence[str] = (), *, model: Any = None, timestamp: str | None = None) -> Any:
    """The Runner that a config asks for.

    Args:
        config: A config that went through `deeplake_mmdet.engine.prepare.prepare`.
        notes: Lines for the run's log.
        model: A module to train as it is, instead of building ``config.model``.
        timestamp: Name of the run's folder and log; defaults to the time of the start.

    Returns:
        An `mmengine.runner.Runner`, or what ``runner_type`` names.
    """
    from mmdet.registry import RUNNERS
    from mmdet.utils import setup_cache_size_limit_of_dynamo
    from mmengine.runner import Runner

    import deeplake_mmdet  # noqa: F401  (registers our modules where a config forgot custom_imports)

    setup_cache_size_limit_of_dynamo()
    register_loaders()
    join_without_gpu(config)
    kind = RUNNERS.get(config.runner_type) if 'runner_type' in config else Runner
    runner = _adapted(kind, model, timestamp).from_cfg(config)
    let_ssd_predict(runner.model)
    for note in notes:
        runner.logger.info(note)
    return runner


def _adapted(kind: Any, model: Any, timestamp: str | None) -> Any:
    """A Runner class with a visualizer of its own, that takes over a module as it is, and a given timestamp."""

    class AdaptedRunner(kind):
        def build_model(self, config: Any) -> Any:
            return super().build_model(config) if model is None else model

        def _init_model_weights(self) -> None:
            if model is None:
                super()._init_model_weights()

        def setup_env(self, env_cfg: dict[str, Any]) -> None:
            super().setup_env(env_cfg)
            if timestamp is not None:
                self._timestamp = timestamp

        def build_visualizer(self, visualizer: Any = None) -> Any:
            # Stock configs give all the same name, and of one name a process has one, which writes to the first run.
            if isinstance(visualizer, dict):
                visualizer = {**visualizer, 'name': self._experiment_name}
            return super().build_visualizer(visualizer)

    return AdaptedRunner
