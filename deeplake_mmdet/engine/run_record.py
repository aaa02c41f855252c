"""What a training leaves behind: its metrics, its checkpoint, and facts that its caller wants in the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmengine.hooks import Hook

from deeplake_mmdet.engine.checkpoint_classes import bare


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training.

    Attributes:
        metrics: Metrics of the last validation, by name; empty if there was none.
        checkpoint: Path of the last checkpoint, or None.
        work_dir: Folder of checkpoints and logs.
        runner: The `mmengine.runner.Runner`; None if the training ran in other processes.
    """

    metrics: dict[str, float]
    checkpoint: str | None
    work_dir: str
    runner: Any = field(default=None, repr=False)

    def without_runner(self) -> TrainResult:
        """The same, as it may travel between processes."""
        return replace(self, runner=None)


class RunRecord(Hook):
    """Keeps the last metrics, writes the caller's facts into every checkpoint, and the classes onto the model.

    Args:
        meta: The facts.
    """

    def __init__(self, meta: Mapping[str, Any]) -> None:
        self._meta = dict(meta)
        self._metrics: dict[str, float] = {}

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self._metrics = dict(metrics or {})

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint['meta'] = {**self._meta, **checkpoint.get('meta', {})}

    def after_train(self, runner: Any) -> None:
        """Leave on the model what it was trained on, where MMDetection's `init_detector` leaves it."""
        bare(runner.model).dataset_meta = runner.train_dataloader.dataset.metainfo

    def result(self, runner: Any) -> TrainResult:
        """The outcome, once the runner is done."""
        checkpoint = runner.message_hub.runtime_info.get('last_ckpt')
        return TrainResult(self._metrics, checkpoint, runner.work_dir, runner)
