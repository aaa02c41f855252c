"""Building MMEngine's Runner from a prepared config."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from deeplake_mmdet.checkpoints.hidden_address import without_secrets
from deeplake_mmdet.checkpoints.loading import register_loaders
from deeplake_mmdet.config.tracker_options import tracker_options
from deeplake_mmdet.engine.agreement import RanksAgree
from deeplake_mmdet.engine.checkpoint_classes import CheckpointClasses
from deeplake_mmdet.engine.checkpoint_data import CheckpointData
from deeplake_mmdet.engine.checkpoint_files import newest_whole, save_whole
from deeplake_mmdet.engine.config_agreement import check_same_config
from deeplake_mmdet.engine.cpu_parallel import wrapper_without_gpu
from deeplake_mmdet.engine.dead_workers import rows_named
from deeplake_mmdet.engine.join import check_alone, is_cpu_rank, join
from deeplake_mmdet.engine.lineage_hook import Lineage
from deeplake_mmdet.engine.preemption import Preemption
from deeplake_mmdet.engine.same_buffers import SameBuffers
from deeplake_mmdet.engine.secrets_in_config import hide_in_urls
from deeplake_mmdet.engine.ssd_head import let_ssd_predict
from deeplake_mmdet.engine.strategies import adapt_strategy
from deeplake_mmdet.engine.told_failures import failures_told
from deeplake_mmdet.engine.watched_loader import watched, with_timeout
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.lineage.scrubbed_output import scrub_log
from deeplake_mmdet.lineage.trackers.attach import guard_backends


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
    runner = _adapted(kind, model, timestamp, on_cpu).from_cfg(config)
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


def _adapted(kind: Any, model: Any, timestamp: str | None, on_cpu: bool) -> Any:
    """A Runner class with a visualizer of its own, that takes over a module as it is, and a given timestamp.

    Args:
        kind: The class to adapt.
        model: The module, or None.
        timestamp: The timestamp, or None.
        on_cpu: Whether this process is one of several ranks without a GPU.
    """

    class AdaptedRunner(kind):
        _load_from: Any
        _place_given: dict[str, int]

        def build_model(self, config: Any) -> Any:
            return super().build_model(config) if model is None else model

        def _init_model_weights(self) -> None:
            if model is None:
                super()._init_model_weights()

        def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
            return super().wrap_model(wrapper_without_gpu(self.cfg) if on_cpu else model_wrapper_cfg, model)

        def train(self) -> Any:
            check_alone(self.distributed)
            with failures_told(), rows_named():
                return super().train()

        def val(self) -> Any:
            with failures_told(), rows_named():
                return super().val()

        def test(self) -> Any:
            with failures_told(), rows_named():
                return super().test()

        @staticmethod
        def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> Any:
            return watched(kind.build_dataloader(with_timeout(dataloader), *args, **kwargs))

        def load_or_resume(self) -> None:
            let_ssd_predict(self.model)
            if self._resume and self._load_from is None and not self._has_loaded:
                self._load_from = newest_whole(self.work_dir, self.logger)
                if self._load_from is None:
                    self.logger.info(f'There is no checkpoint in {self.work_dir} to resume: the training begins.')
                    return
            super().load_or_resume()

        def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
            meta = kwargs.get('meta') or {}
            self._place_given = {name: meta[name] for name in ('epoch', 'iter') if name in meta}
            save_whole(
                lambda name: super(AdaptedRunner, self).save_checkpoint(out_dir, name, *args, **kwargs),
                out_dir,
                filename,
            )
            self.call_hook('after_save_checkpoint', path=os.path.join(out_dir, filename))

        def call_hook(self, fn_name: str, **kwargs: Any) -> None:
            if fn_name == 'before_save_checkpoint':  # FlexibleRunner counts by itself, whatever it is given
                kwargs['checkpoint']['meta'].update(self._place_given)
            super().call_hook(fn_name, **kwargs)

        def setup_env(self, env_cfg: dict[str, Any]) -> None:
            super().setup_env(env_cfg)
            if timestamp is not None:
                self._timestamp = timestamp

        def build_logger(self, *args: Any, **kwargs: Any) -> Any:
            logger = super().build_logger(*args, **kwargs)
            scrub_log(logger)
            return logger

        def build_visualizer(self, visualizer: Any = None) -> Any:
            hide_in_urls(self.cfg)  # of which the Runner shows and stores copies from now on
            # Stock configs give all the same name, and of one name a process has one, which writes to the first run.
            if isinstance(visualizer, dict):
                visualizer = {**visualizer, 'name': self.experiment_name}
            built = super().build_visualizer(visualizer)
            self.sinks = guard_backends(built, work_dir=self.work_dir, **tracker_options(self.cfg))
            return built

    return AdaptedRunner
