"""The short form becomes the long one: everything that it says ends in MMDetection 3's own keys.

What is left afterwards is a plain config of MMDetection 3, which its own tools can run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from deeplake_mmdet.config.dataset_spec import DATASET_KEYS, LOADER_TYPES
from deeplake_mmdet.config.dicts import type_name, unknown_key
from deeplake_mmdet.config.own_keys import inherits, own_values
from deeplake_mmdet.config.short_form import contradictions
from deeplake_mmdet.config.short_form.evaluation import Evaluation, apply_evaluation, evaluator_of, read_evaluation
from deeplake_mmdet.config.short_form.graft import graft, is_deep_lake, leaves
from deeplake_mmdet.config.short_form.loader_options import apply_options
from deeplake_mmdet.config.short_form.section import SPLITS, SplitRequest, read_section
from deeplake_mmdet.config.tracker_options import KEY as TRACKERS
from deeplake_mmdet.errors import ConfigError

KEYS = ('data', 'evaluation', 'deeplake_metrics_format', 'deeplake_dataloader_type')
_LOOPS = {'val': {'type': 'ValLoop'}, 'test': {'type': 'TestLoop'}}


def expand(config: Any, filename: str | None = None) -> list[str]:
    """Replace the short form by what it means.

    Args:
        config: An MMEngine config, or any mutable mapping; changed in place.
        filename: The config's file, to tell what it says itself from what it inherits.

    Returns:
        What was changed, for the log; empty if the config has none of the short form's keys.

    Raises:
        ConfigError: Unknown keys, wrong values, or a `data` section that contradicts a dataloader.
    """
    _check_top_level(config)
    if not any(key in config for key in KEYS):
        return []
    evaluation = read_evaluation(config)
    loader_type = _loader_type(config.get('deeplake_dataloader_type'))
    requests = read_section(config.get('data') or {}, loader_type)
    own = own_values(filename) if inherits(filename) else {}  # a dumped config holds what its bases said
    if 'val' in requests and 'test' not in requests and not _names_deep_lake(config, 'test'):
        requests['test'] = _val_as_test(requests['val'], own)
        if not any(key.startswith('test_dataloader.') for key in own):  # the base's own may read in another way
            config['test_dataloader'] = copy.deepcopy(config.get('val_dataloader'))
    _refuse(
        [line for request in requests.values() for line in contradictions.of_split(request, own)]
        + list(contradictions.of_evaluation(evaluation, own))
    )
    notes = []
    for split, request in requests.items():
        notes += _put(config, split, request)
    _say_to_others(config, requests, loader_type)
    _evaluate(config, requests, evaluation, own)
    apply_evaluation(config, evaluation)
    _import_us(config)
    for key in KEYS:
        config.pop(key, None)
    return notes


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError('\n'.join(problems))


def _names_deep_lake(config: Mapping[str, Any], split: str) -> bool:
    loader = config.get(f'{split}_dataloader') or {}
    return any(is_deep_lake(leaf) and leaf.get('deeplake_path') for leaf in leaves(loader.get('dataset')))


def _val_as_test(request: SplitRequest, own: Mapping[str, Any]) -> SplitRequest:
    """The validation data as test data, in a loader that the file may have set up itself."""
    options = {name: option for name, option in request.options.items() if f'test_dataloader.{name}' not in own}
    return replace(request, split='test', options=options)


def _check_top_level(config: Mapping[str, Any]) -> None:
    """A misspelt key of ours would be taken for a variable of the config, and do nothing."""
    for key in config:
        if key.startswith('deeplake_') and key not in (*KEYS, TRACKERS, *DATASET_KEYS):  # the latter may be variables
            message = unknown_key(key, [known for known in (*KEYS, TRACKERS) if known.startswith('deeplake_')])
            if 'Did you mean' in message:
                raise ConfigError(message)


def _loader_type(value: Any) -> str | None:
    if value is None or value == '':
        return None
    if value not in LOADER_TYPES:
        raise ConfigError(f'deeplake_dataloader_type expected one of {list(LOADER_TYPES)}, but got {value!r}.')
    return str(value)


def _put(config: MutableMapping[str, Any], split: str, request: SplitRequest) -> list[str]:
    loader = config.get(f'{split}_dataloader')
    if not loader and split == 'test':
        loader = config.get('val_dataloader')
    if not isinstance(loader, Mapping) or not isinstance(loader.get('dataset'), Mapping):
        raise ConfigError(
            f'data.{split} needs a base config with {split}_dataloader, whose pipeline and wrappers it keeps. Inherit '
            "one, such as _base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'."
        )
    loader = copy.deepcopy(dict(loader))
    loader['dataset'] = graft(loader['dataset'], request)
    changes = apply_options(loader, request.options, split)
    config[f'{split}_dataloader'] = loader
    return [f'data.{split} -> {split}_dataloader: {_shown(loader["dataset"])}', *changes]


def _say_to_others(config: Mapping[str, Any], requests: Mapping[str, SplitRequest], loader_type: str | None) -> None:
    """Tell the loader type to datasets of the long form."""
    for split in SPLITS:
        tree = (config.get(f'{split}_dataloader') or {}).get('dataset')
        for leaf in leaves(tree) if loader_type and split not in requests else []:
            if is_deep_lake(leaf):
                leaf.setdefault('deeplake_dataloader_type', loader_type)


def _shown(tree: Mapping[str, Any]) -> str:
    """The nesting of a dataset, such as ``RepeatDataset > DeepLakeDataset``."""
    names = [type_name(tree)]
    while isinstance(tree.get('dataset'), Mapping):
        tree = tree['dataset']
        names.append(type_name(tree))
    members = tree.get('datasets')
    return ' > '.join(names) + (f' of {len(members)} datasets' if members else '')


def _evaluate(
    config: MutableMapping[str, Any],
    requests: Mapping[str, SplitRequest],
    evaluation: Evaluation,
    own: Mapping[str, Any],
) -> None:
    """Give every Deep Lake dataset its evaluator, and what the config says about evaluation to all evaluators."""
    asked = evaluation.format or evaluation.metric or evaluation.options
    ours = [split for split in _LOOPS if split in requests or _names_deep_lake(config, split)]
    if evaluation.format and not ours:
        raise ConfigError('deeplake_metrics_format is given, but there is no Deep Lake dataset to evaluate on.')
    for split, loop in _LOOPS.items():
        key, base = f'{split}_evaluator', config.get(f'{split}_evaluator')
        if split == 'test' and 'val' in requests and not any(name.startswith(key) for name in own):
            base = config.get('val_evaluator')
        if split in requests or (split in ours and asked):
            config[key] = evaluator_of(copy.deepcopy(base), evaluation)
        elif isinstance(base, Mapping) and (evaluation.metric or evaluation.options):
            metric = {'metric': evaluation.metric} if evaluation.metric else {}
            config[key] = {**base, **metric, **evaluation.options}
        if split in requests and not config.get(f'{split}_cfg'):
            config[f'{split}_cfg'] = dict(loop)


def _import_us(config: MutableMapping[str, Any]) -> None:
    imports = dict(config.get('custom_imports') or {'allow_failed_imports': False})
    names = imports.get('imports') or []
    names = [names] if isinstance(names, str) else list(names)
    if 'deeplake_mmdet' not in names:
        config['custom_imports'] = {**imports, 'imports': [*names, 'deeplake_mmdet']}
