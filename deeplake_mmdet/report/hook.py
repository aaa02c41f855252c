"""Writing the report whenever a model was evaluated."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.evaluated_dataset import evaluated_dataset
from deeplake_mmdet.report.of_metric import report_metric
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.subject import Subject
from deeplake_mmdet.report.tracker import send, send_predictions
from deeplake_mmdet.report.write import PAGE, folder_of


@HOOKS.register_module(force=True)
class DeepLakeReportHook(Hook):
    """Writes ``WORK_DIR/<timestamp>/report/index.html`` after each validation and test, over the one before.

    It needs a metric of ours, `DeepLakeCocoMetric` or `DeepLakeVOCMetric`; each further one gets a folder ``report_2``
    and so on. A report that fails costs a warning, never the training.

    Args:
        every_validation (bool): Whether to write after each validation of a training. If not, the last one is written
            when the training is done. Defaults to True.
        images (int): How many of the worst images are shown. Defaults to 12.
        tracker (bool): Whether the pictures also go to the trackers among the visualizer's backends (TensorBoard,
            W&B, MLflow, …). Defaults to True.
        strict (bool): Whether a report that fails raises its error. Defaults to False.

    Raises:
        ConfigError: `images` is no number.

    Examples:
        >>> custom_hooks = [dict(type='DeepLakeReportHook', images=24)]
    """

    priority = 'LOW'  # after the logger, which writes the numbers of the validation, and before checkpoints

    def __init__(
        self, every_validation: bool = True, images: int = 12, tracker: bool = True, strict: bool = False
    ) -> None:
        if type(images) is not int or images < 0:
            raise ConfigError(
                f'DeepLakeReportHook(images=) expected a whole number of at least 0, but got {images!r}. Give the '
                'number of images to show.'
            )
        self.every_validation = every_validation
        self.images = images
        self.tracker = tracker
        self.strict = strict
        self._waiting = False
        self._warned = False

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the report of a validation, or remember that there is one to write."""
        self._waiting = _trains(runner) and not self.every_validation
        if not self._waiting:
            self._write(runner, runner.val_loop, 'validation')

    def after_train(self, runner: Any) -> None:
        """Write the report of the last validation, if it waits."""
        if self._waiting:
            self._waiting = False
            self._write(runner, runner.val_loop, 'validation')

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the report of a test."""
        self._write(runner, runner.test_loop, 'test')

    def _write(self, runner: Any, loop: Any, stage: str) -> None:
        """Write a report for each metric that kept its evaluation: on the first rank only, others keep none."""
        metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', ())
        if not any(hasattr(metric, 'evaluation') for metric in metrics):
            self._warn(runner, metrics)
        kept = [metric for metric in metrics if getattr(metric, 'evaluation', None) is not None]
        for number, metric in enumerate(kept, start=1):
            try:
                self._write_one(runner, metric, stage, number)
            except Exception:
                if self.strict:
                    raise
                runner.logger.warning(
                    f'The report of this {stage} failed; the run goes on. Please report this error:\n'
                    f'{traceback.format_exc()}'
                )

    def _warn(self, runner: Any, metrics: Sequence[Any]) -> None:
        if not self._warned:
            self._warned = True
            names = ', '.join(type(metric).__name__ for metric in metrics) or 'none'
            runner.logger.warning(
                f'DeepLakeReportHook writes no report: it expected a DeepLakeCocoMetric or DeepLakeVOCMetric, but the '
                f'evaluator has {names}.'
            )

    def _write_one(self, runner: Any, metric: Any, stage: str, number: int) -> None:
        folder = folder_of(runner.log_dir, number)
        outcome = Outcome.of(metric.evaluation)
        page = report_metric(metric, outcome, subject_of(runner, stage), folder, images=self.images)
        runner.logger.info(f'Report: {folder / PAGE}')
        if self.tracker:
            prefix = 'report' if number == 1 else f'report_{number}'
            step = runner.epoch or runner.iter if _trains(runner) else 0
            send(runner.visualizer, page.pictures, prefix, step)
            send_predictions(runner, outcome, evaluated_dataset(metric), self.images, step)


def subject_of(runner: Any, stage: str) -> Subject:
    """What a report of a runner is about; no path and no option of the config is told."""
    trains, file = _trains(runner), runner.cfg.filename
    return Subject(
        config=os.path.basename(file) if file else runner.experiment_name,
        stage=stage,
        written=datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %z'),
        epoch=runner.epoch if trains else 0,
        iteration=runner.iter if trains else 0,
        checkpoint=_checkpoint(runner, trains),
    )


def _checkpoint(runner: Any, trains: bool) -> str:
    """Name of the file with the weights that were evaluated, where there is one."""
    if not trains:
        return os.path.basename(str(runner._load_from or '').partition('?')[0])
    last = os.path.basename(runner.message_hub.runtime_info.get('last_ckpt') or '')
    return last if last in (f'epoch_{runner.epoch}.pth', f'iter_{runner.iter}.pth') else ''


def _trains(runner: Any) -> bool:
    """Whether a training is going on; asking the runner for its loop would build one."""
    return runner._train_loop is not None and not isinstance(runner._train_loop, dict)
