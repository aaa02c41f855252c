"""Metrics and evaluation of the short form: ``deeplake_metrics_format`` and ``evaluation=dict(metric=…, interval=…)``.

The ground truth is the dataset, so a base's `CocoMetric` or `VOCMetric`, which would read files, gives way to ours and
hands on its options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.dicts import type_name, unknown_key
from deeplake_mmdet.errors import ConfigError


@dataclass(frozen=True)
class MetricsFormat:
    """One value of ``deeplake_metrics_format``.

    Attributes:
        name: The value.
        type: Our metric.
        replaces: Metrics of MMDetection that it stands for.
        metrics: What it can measure; the first one is the default.
        options: Arguments that it has in common with the ones it replaces.
        prefix: What its results are called by, as in ``coco/bbox_mAP``.
        best: The result that is best watched.
    """

    name: str
    type: str
    replaces: tuple[str, ...]
    metrics: tuple[str, ...]
    options: tuple[str, ...]
    prefix: str
    best: str


FORMATS = {
    'COCO': MetricsFormat(
        'COCO',
        'DeepLakeCocoMetric',
        ('CocoMetric', 'DeepLakeCocoMetric'),
        ('bbox', 'segm', 'proposal', 'proposal_fast'),
        ('classwise', 'proposal_nums', 'iou_thrs', 'metric_items', 'outfile_prefix', 'format_only', 'backend'),
        'coco',
        'bbox_mAP',
    ),
    'PascalVOC': MetricsFormat(
        'PascalVOC',
        'DeepLakeVOCMetric',
        ('VOCMetric', 'DeepLakeVOCMetric'),
        ('mAP', 'recall'),
        ('iou_thrs', 'proposal_nums', 'eval_mode'),
        'pascal_voc',
        'mAP',
    ),
}
# Keys of MMDetection 2's `evaluation`, by what they are now.
_METRIC_OPTIONS = {'iou_thr': 'iou_thrs', 'jsonfile_prefix': 'outfile_prefix'}
_LOOP_KEYS = {'interval': 'val_interval', 'start': 'val_begin', 'dynamic_intervals': 'dynamic_intervals'}
_CHECKPOINT_KEYS = ('save_best', 'rule', 'greater_keys', 'less_keys', 'out_dir')
# What each metric gives, as regular expressions.
_ITEMS = '(_50|_75|_s|_m|_l)?'
_RESULTS = {
    'bbox': (f'bbox_mAP{_ITEMS}', r'bbox_AR(_[sml])?@\d+'),
    'segm': (f'segm_mAP{_ITEMS}', r'segm_AR(_[sml])?@\d+'),
    'proposal': (r'AR(_[sml])?@\d+',),
    'proposal_fast': (r'AR@\d+',),
    'mAP': ('mAP', r'AP\d\d'),
    'recall': (r'recall@\d+@[\d.]+', r'AR@\d+'),
}
_IGNORED = ('by_epoch', 'gpu_collect', 'tmpdir', 'broadcast_bn_buffer', 'priority')


@dataclass(frozen=True)
class Evaluation:
    """What the config says about evaluation.

    Attributes:
        format: The metrics format that is asked for, or None.
        metric: Metrics by name, or None.
        options: Arguments of the metric.
        loop: Arguments of the training loop.
        checkpoint: Arguments of the checkpoint hook.
    """

    format: MetricsFormat | None = None
    metric: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    loop: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] = field(default_factory=dict)


def read_evaluation(config: Mapping[str, Any]) -> Evaluation:
    """Read ``evaluation`` and ``deeplake_metrics_format``.

    Raises:
        ConfigError: An unknown format, metric or key.
    """
    given = dict(config.get('evaluation') or {})
    wanted = config.get('deeplake_metrics_format')
    inner = given.pop('metrics_format', None)
    if None not in (wanted, inner) and wanted != inner:
        raise ConfigError(
            f'deeplake_metrics_format is {wanted!r}, but evaluation.metrics_format is {inner!r}. Keep one of them.'
        )
    chosen = _format(wanted or inner)
    options, known = {}, chosen.options if chosen else tuple(o for f in FORMATS.values() for o in f.options)
    loop = {new: given.pop(old) for old, new in _LOOP_KEYS.items() if given.get(old) is not None}
    checkpoint = {key: given.pop(key) for key in _CHECKPOINT_KEYS if given.get(key) is not None}
    metric = given.pop('metric', None)
    _check_numbers(loop)
    for key, value in given.items():
        name = _METRIC_OPTIONS.get(key, key)
        if name in known:
            options[name] = value
        elif key not in _IGNORED and value is not None:
            places = ('metric', *_LOOP_KEYS, *_CHECKPOINT_KEYS, *known)
            raise ConfigError(unknown_key(f'evaluation.{key}', places))
    return Evaluation(chosen, metric, options, loop, checkpoint)


def _check_numbers(loop: Mapping[str, Any]) -> None:
    for key, least in (('interval', 1), ('start', 0)):
        value = loop.get(_LOOP_KEYS[key])
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ConfigError(f'evaluation.{key} expected a whole number of at least {least}, but got {value!r}.')


def _format(name: Any) -> MetricsFormat | None:
    if name is None or name == '':
        return None
    if name not in FORMATS:
        said = str(name).lower()
        close = [known for known in FORMATS if said in known.lower() or known.lower() in said]
        hint = f' Did you mean {close[0]!r}?' if close else ''
        raise ConfigError(f'deeplake_metrics_format expected one of {list(FORMATS)}, but got {name!r}.{hint}')
    return FORMATS[name]


def evaluator_of(base: Any, evaluation: Evaluation) -> Any:
    """The evaluator of a Deep Lake dataset.

    Args:
        base: The base config's evaluator: a dict, a list of them, or None.
        evaluation: What is asked for.

    Returns:
        `base` with its COCO or VOC metric replaced by ours. A metric of another kind stays, unless a format or a
        metric is asked for.

    Raises:
        ConfigError: The metric does not belong to the format.
    """
    if isinstance(base, (list, tuple)):
        ours = [i for i, node in enumerate(base) if _format_of(node)]
        if ours:
            return [evaluator_of(node, evaluation) if i in ours else node for i, node in enumerate(base)]
        base = None if evaluation.format else base
    if isinstance(base, (list, tuple)):
        return base
    inherited = _format_of(base)
    if base is not None and inherited is None and evaluation.format is None and evaluation.metric is None:
        return base
    chosen = evaluation.format or inherited or FORMATS['COCO']
    options = {key: base[key] for key in chosen.options if inherited is chosen and base.get(key) is not None}
    options |= evaluation.options
    metric = evaluation.metric or (inherited is chosen and base.get('metric')) or chosen.metrics[0]
    return {'type': chosen.type, 'metric': _checked_metric(metric, chosen), **options}


def _format_of(node: Any) -> MetricsFormat | None:
    if not isinstance(node, Mapping):
        return None
    return next((known for known in FORMATS.values() if type_name(node) in known.replaces), None)


def _checked_metric(metric: Any, chosen: MetricsFormat) -> Any:
    if chosen.name == 'PascalVOC' and not isinstance(metric, str) and len(metric) != 1:
        raise ConfigError(f"evaluation.metric expected 'mAP' or 'recall', one of them, but got {list(metric)}.")
    for name in [metric] if isinstance(metric, str) else metric:
        if name not in chosen.metrics:
            raise ConfigError(
                f'evaluation.metric expected one of {list(chosen.metrics)} for the metrics format {chosen.name!r}, '
                f'but got {name!r}.'
            )
    return metric


def apply_evaluation(config: MutableMapping[str, Any], evaluation: Evaluation) -> None:
    """Write when to evaluate and which checkpoint is the best into the loop and the checkpoint hook."""
    if evaluation.loop:
        config['train_cfg'] = {**(config.get('train_cfg') or {}), **evaluation.loop}
    hooks = config.get('default_hooks') or {}
    checkpoint = hooks.get('checkpoint')
    if not checkpoint and not evaluation.checkpoint:
        return
    checkpoint = {**(checkpoint or {'type': 'CheckpointHook'}), **evaluation.checkpoint}
    best = checkpoint.get('save_best')
    names = [best] if isinstance(best, str) else best or []
    evaluator = _our_evaluator(config)
    if names and evaluator is not None:
        found = [_result_name(name, evaluator) for name in names]
        checkpoint['save_best'] = found[0] if isinstance(best, str) else found
        if evaluator['metric'] in ('recall', ['recall']):  # MMEngine cannot tell which way is better
            checkpoint.setdefault('rule', 'greater')
    config['default_hooks'] = {**hooks, 'checkpoint': checkpoint}


def _our_evaluator(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    evaluator = config.get('val_evaluator')
    nodes = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    return next((node for node in nodes if _format_of(node)), None)


def _result_name(name: str, evaluator: Mapping[str, Any]) -> str:
    """A result as MMEngine calls it; a name of the other format becomes the one that is best watched in this one.

    Raises:
        ConfigError: The evaluator gives no such result, which would show after the first validation.
    """
    chosen = _format_of(evaluator)
    assert chosen is not None
    if name == 'auto':
        return name
    prefix, _, result = name.rpartition('/')
    if prefix not in ('', chosen.prefix):
        if prefix not in [other.prefix for other in FORMATS.values()]:
            return name
        result = chosen.best
    metrics = [evaluator['metric']] if isinstance(evaluator['metric'], str) else list(evaluator['metric'])
    known = [pattern for metric in metrics for pattern in _RESULTS[metric]]
    if not evaluator.get('classwise') and not any(re.fullmatch(pattern, result) for pattern in known):
        raise ConfigError(
            f'save_best expected a result of the metric {", ".join(metrics)}, but got {name!r}, which it does not '
            f"give. Write 'auto', or a name such as {known[0].partition('(')[0]!r}."
        )
    return f'{chosen.prefix}/{result}'
