"""What a Runner of MMEngine does otherwise in this library, whichever of its classes the config names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from deeplake_mmdet.config.tracker_options import tracker_options
from deeplake_mmdet.engine.checkpoint_files import newest_whole, save_whole
from deeplake_mmdet.engine.cpu_parallel import wrapper_without_gpu
from deeplake_mmdet.engine.dead_workers import rows_named
from deeplake_mmdet.engine.join import check_alone
from deeplake_mmdet.engine.secrets_in_config import hide_in_urls
from deeplake_mmdet.engine.ssd_head import let_ssd_predict
from deeplake_mmdet.engine.told_failures import failures_told
from deeplake_mmdet.engine.watched_loader import watched, with_timeout
from deeplake_mmdet.lineage.scrubbed_output import scrub_log
from deeplake_mmdet.lineage.trackers.attach import guard_backends

if TYPE_CHECKING:
    from mmengine.runner import Runner
else:
    Runner = object  # the class that the config names comes behind it


def adapted(kind: type, model: Any, timestamp: str | None, on_cpu: bool) -> Any:
    """A Runner class with a visualizer of its own, that takes over a module as it is, and a given timestamp.

    Args:
        kind: The class to adapt.
        model: The module, or None to build the config's own.
        timestamp: Name of the run's folder and log, or None for the time of the start.
        on_cpu: Whether this process is one of several ranks without a GPU.
    """
    given = {'_given_model': model, '_given_timestamp': timestamp, '_on_cpu': on_cpu}
    return type('AdaptedRunner', (_Adaptations, kind), given)


class _Adaptations(Runner):
    _given_model: Any
    _given_timestamp: str | None
    _on_cpu: bool
    _load_from: Any
    _place_given: dict[str, int]

    # The model

    def build_model(self, config: Any) -> Any:
        return super().build_model(config) if self._given_model is None else self._given_model

    def _init_model_weights(self) -> None:
        if self._given_model is None:
            super()._init_model_weights()

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        return super().wrap_model(wrapper_without_gpu(self.cfg) if self._on_cpu else model_wrapper_cfg, model)

    # Running

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

    @classmethod
    def build_dataloader(cls, dataloader: Any, *args: Any, **kwargs: Any) -> Any:
        return watched(super().build_dataloader(with_timeout(dataloader), *args, **kwargs))

    # Checkpoints

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
        save = super().save_checkpoint
        save_whole(lambda name: save(out_dir, name, *args, **kwargs), out_dir, filename)
        self.call_hook('after_save_checkpoint', path=os.path.join(out_dir, filename))

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        if fn_name == 'before_save_checkpoint':  # FlexibleRunner counts by itself, whatever it is given
            kwargs['checkpoint']['meta'].update(self._place_given)
        super().call_hook(fn_name, **kwargs)

    # What is shown and stored

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        super().setup_env(env_cfg)
        if self._given_timestamp is not None:
            self._timestamp = self._given_timestamp

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
