"""`test_detector`: the metrics of a detector on Deep Lake data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.distributed.elastic.multiprocessing.errors import record

from deeplake_mmdet.engine.given_data import put_data, release_data
from deeplake_mmdet.engine.inputs import copied, put_model
from deeplake_mmdet.engine.join import join
from deeplake_mmdet.engine.launch import processes_to_start, run_on_ranks
from deeplake_mmdet.engine.model import take_over
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.engine.runner import build_runner
from deeplake_mmdet.errors import ConfigError


def test_detector(
    model: Any,
    cfg: Any,
    checkpoint: str | None = None,
    ds_test: Any = None,
    ds_test_tensors: Mapping[str, str] | None = None,
    distributed: bool | int = False,
    timestamp: str | None = None,
) -> dict[str, float]:
    """Evaluate a detector on Deep Lake data.

    Args:
        model: A detector with its weights, or ``cfg.model``, or None for the config's own.
        cfg: An MMEngine ``Config``, in any of the forms that `train_detector` takes. It is not changed. Without
            ``data.test`` the validation data are the test data.
        checkpoint: Weights to load; needed unless `model` has them.
        ds_test: An opened Deep Lake dataset or view to evaluate on instead of what ``cfg`` names.
        ds_test_tensors: Role to column, instead of ``deeplake_tensors``.
        distributed, timestamp: As in `train_detector`.

    Returns:
        Metric name to value, such as ``{'coco/bbox_mAP': 0.412, …}``.

    Raises:
        ConfigError, SourceError, ColumnError, AnnotationError, EmptyDatasetError: See `deeplake_mmdet.errors`.
    """
    config = copied(cfg)
    processes = processes_to_start(distributed, config)
    if not processes:
        join(config)
    module, original = put_model(config, model, 'test_detector')
    if module is None and not checkpoint:
        raise ConfigError('test_detector(checkpoint=) expected a file of weights, since model has none, but got None.')
    notes = put_data(config, 'test', ds_test, ds_test_tensors, 'ds_test')
    notes += prepare(config, ('test',))
    config.load_from, config.resume = checkpoint, False
    if module is not None:
        take_over(module, config, original)
    arguments = (config, module, notes, timestamp)
    try:
        if processes:
            return run_on_ranks(processes, test_on_rank, arguments)
        return build_runner(config, notes, model=module, timestamp=timestamp).test()
    finally:
        release_data(config)


@record
def test_on_rank(config: Any, module: Any, notes: list[str], timestamp: str | None) -> dict[str, float]:
    """One process of several: joins the others, and evaluates."""
    config.launcher = 'pytorch'
    return build_runner(config, notes, model=module, timestamp=timestamp).test()
