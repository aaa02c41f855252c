"""Metrics of predictions that were made before: the test dataset and the test evaluator of a config, and no model."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from deeplake_mmdet.config.dicts import type_name
from deeplake_mmdet.datasets.image_uri import PREFIX
from deeplake_mmdet.engine.datasets_in_config import find_datasets
from deeplake_mmdet.errors import ConfigError

_WRITERS = ('DumpResults', 'DumpDetResults')  # evaluators that write predictions
_SHOWN = 5


def evaluate_predictions(config: Any, predictions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Evaluate predictions on the test dataset of a config.

    Args:
        config: A config that went through `deeplake_mmdet.engine.prepare.prepare` for the test data.
        predictions: One dict an image, as `deeplake_mmdet.engine.predictions.read_predictions` gives them.

    Returns:
        Metric name to value, such as ``{'coco/bbox_mAP': 0.412, …}``: the numbers of the test run.

    Raises:
        ConfigError: The predictions are not one for each image of the dataset, or the config has no test evaluator.
    """
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    import deeplake_mmdet  # noqa: F401  (registers our modules where a config forgot custom_imports)

    init_default_scope(config.get('default_scope') or 'mmdet')
    evaluator = _evaluator(config.get('test_evaluator'))
    dataset = DATASETS.build(_without_pipelines(config.get('test_dataloader'))['dataset'])
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    _check_classes(dataset, predictions)
    _check_images(dataset, predictions)
    evaluator.dataset_meta = dataset.metainfo
    return evaluator.offline_evaluate(predictions)


def _evaluator(evaluator: Any) -> Any:
    """The evaluator of a config, as the Runner builds it, but for metrics that write predictions."""
    from mmengine.evaluator import Evaluator
    from mmengine.registry import EVALUATOR

    if evaluator and 'metrics' in evaluator:
        return EVALUATOR.build({'type': 'Evaluator', **evaluator})
    metrics = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
    metrics = [metric for metric in metrics if metric and type_name(metric) not in _WRITERS]
    if not metrics:
        raise ConfigError(
            f'test_evaluator expected a metric, but got {evaluator!r}. Give one, such as '
            "dict(type='DeepLakeCocoMetric', metric='bbox')."
        )
    return Evaluator(metrics)


def _without_pipelines(loader: Any) -> dict[str, Any]:
    """A test dataloader whose Deep Lake datasets load nothing: no sample is asked for, only what it is."""
    if not loader:
        raise ConfigError(f'test_dataloader expected a dataset, but got {loader!r}. Give the data that were predicted.')
    loader = copy.deepcopy(loader)
    for _, node in find_datasets({'test_dataloader': loader}, ('test',)):
        node['pipeline'] = [{'type': 'PackDetInputs'}]  # of no pipeline at all a dataset gives all it has, masks too
    return loader


def _check_classes(dataset: Any, predictions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse labels that are positions in another list of classes, where the predictions tell theirs."""
    from deeplake_mmdet.engine.dump_predictions import CLASSES_KEY

    meta = dataset.metainfo
    expected = list(meta.get('classes', ())) if isinstance(meta, dict) else None
    for item in predictions:
        if expected and item.get(CLASSES_KEY, expected) != expected:
            raise ConfigError(
                f'The predictions expected the classes {expected} of {_name(dataset)}, but were made for '
                f'{item[CLASSES_KEY]}: their labels would mean other classes. Evaluate them with the classes that they '
                'were made for (metainfo.classes).'
            )


def _check_images(dataset: Any, predictions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse predictions that are not one for each image: numbers over a part look like numbers over the whole.

    Raises:
        ConfigError: An image is not in the dataset, was predicted twice, or was not predicted.
    """
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    # A path names the dataset and its commit too; files may have moved since.
    by_path = all(str(item.get('img_path')).startswith(f'{PREFIX}://') for item in predictions)
    key = 'img_path' if by_path else 'img_id'
    ids = {item[key]: item['img_id'] for item in (*predictions, *infos)}
    expected, found = (Counter(item[key] for item in items) for items in (infos, predictions))
    what = f'the {len(infos)} images of {_name(dataset)}, one prediction each'
    if foreign := [ids[image] for image in found if image not in expected]:
        raise ConfigError(
            f'The predictions expected {what}, but {len(foreign)} of them are of other images: img_id '
            f'{_first(foreign)}. They were made on another dataset, commit or view: evaluate them with the config in '
            'the work dir of the test run, which names its commit.'
        )
    if twice := [ids[image] for image in found - expected]:
        raise ConfigError(
            f'The predictions expected {what}, but got several for {len(twice)} of them: img_id {_first(twice)}. Test '
            'again, or keep one.'
        )
    if missing := [ids[image] for image in expected - found]:
        raise ConfigError(
            f'The predictions expected {what}, but {len(missing)} have none: img_id {_first(missing)}. Test again; to '
            'evaluate a part, give test_dataloader.dataset a view, a query or indices=….'
        )


def _name(dataset: Any) -> str:
    source = getattr(dataset, 'source', None)
    return str(source.revision) if source else f'the test {type(dataset).__name__}'


def _first(ids: Sequence[Any]) -> str:
    return ', '.join(map(repr, ids[:_SHOWN])) + (', …' if len(ids) > _SHOWN else '')
