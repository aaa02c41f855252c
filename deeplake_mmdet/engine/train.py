"""`train_detector`: the training of Deep Lake's own integration, on MMEngine's Runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.distributed.elastic.multiprocessing.errors import record

from deeplake_mmdet.engine.elastic import go_on
from deeplake_mmdet.engine.given_data import put_data, release_data
from deeplake_mmdet.engine.inputs import copied, put_model
from deeplake_mmdet.engine.join import join
from deeplake_mmdet.engine.launch import processes_to_start, run_on_ranks
from deeplake_mmdet.engine.model import take_over
from deeplake_mmdet.engine.prepare import leave_out_validation, prepare
from deeplake_mmdet.engine.run_record import RunRecord, TrainResult
from deeplake_mmdet.engine.runner import build_runner
from deeplake_mmdet.errors import ConfigError


def train_detector(
    model: Any,
    cfg: Any,
    ds_train: Any = None,
    ds_train_tensors: Mapping[str, str] | None = None,
    ds_val: Any = None,
    ds_val_tensors: Mapping[str, str] | None = None,
    distributed: bool | int = False,
    timestamp: str | None = None,
    meta: Mapping[str, Any] | None = None,
    validate: bool = True,
) -> TrainResult:
    """Train a detector on Deep Lake data.

    Args:
        model: A detector (`build_detector`), which is trained with the weights that it has; or ``cfg.model``, or
            None for the config's own: then it is built with as many classes as the dataset has.
        cfg: An MMEngine ``Config``, of MMDetection 3 or 2, in the long or the short form. It is not changed.
        ds_train: An opened Deep Lake dataset or view, any query result included. It is read instead of what ``cfg``
            names.
        ds_train_tensors: Role to column, such as ``{'img': 'images', 'gt_bboxes': 'boxes'}``, instead of
            ``deeplake_tensors``.
        ds_val, ds_val_tensors: The same for validation.
        distributed: Train on all GPUs of this machine; a number asks for that many processes, also without GPUs.
            Inside of torchrun, which has started the processes already, this process joins them. A script that
            starts processes must guard its top level with ``if __name__ == '__main__':``.
        timestamp: Name of the run's folder and log in the work dir; defaults to the time of the start.
        meta: Facts to store in every checkpoint's ``meta``.
        validate: Whether to validate. Without, no validation data is needed.

    Returns:
        The metrics of the last validation, the last checkpoint, and the runner.

    Raises:
        ConfigError, SourceError, ColumnError, AnnotationError, EmptyDatasetError: See `deeplake_mmdet.errors`.

    Examples:
        >>> cfg = Config.fromfile('my_config.py')
        >>> train = deeplake.open_read_only('s3://bucket/cars').query('select * where not night')
        >>> result = train_detector(cfg.model, cfg, ds_train=train)
        >>> result.metrics['coco/bbox_mAP']
        0.412
    """
    config = copied(cfg)
    processes = processes_to_start(distributed, config)
    if not processes:
        join(config)
    module, original = put_model(config, model, 'train_detector')
    notes = put_data(config, 'train', ds_train, ds_train_tensors, 'ds_train')
    if validate:
        notes += put_data(config, 'val', ds_val, ds_val_tensors, 'ds_val')
    else:
        leave_out_validation(config)
    notes += prepare(config, ('train', 'val') if validate else ('train',))
    if validate and not config.get('val_dataloader'):
        raise ConfigError(
            'train_detector(validate=True) expected validation data, but got none. Pass ds_val, give '
            'cfg.data.val = dict(deeplake_path=…), or pass validate=False.'
        )
    if module is not None:
        take_over(module, config, original)
    arguments = (config, module, notes, timestamp, dict(meta or {}))
    try:
        if processes:
            return run_on_ranks(processes, train_on_rank, arguments)
        return _train(*arguments)
    finally:
        release_data(config)


@record
def train_on_rank(config: Any, module: Any, notes: list[str], timestamp: str | None, meta: Mapping[str, Any]) -> Any:
    """One process of several: joins the others, and trains."""
    config.launcher = 'pytorch'
    return _train(config, module, notes, timestamp, meta).without_runner()


def _train(config: Any, module: Any, notes: list[str], timestamp: str | None, meta: Mapping[str, Any]) -> TrainResult:
    runner = build_runner(config, [*notes, *go_on(config)], model=module, timestamp=timestamp)
    record = RunRecord(meta)
    runner.register_hook(record, priority='VERY_LOW')
    runner.train()
    return record.result(runner)
