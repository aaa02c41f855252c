"""The short form becomes the long one: everything that it says ends in MMDetection 3's own keys.

What is left afterwards is a plain config of MMDetection 3, which its own tools can run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping
from typing import Any

from deeplake_mmdet.config.dataset_spec import LOADER_TYPES
from deeplake_mmdet.config.dicts import type_name, unknown_key
from deeplake_mmdet.config.own_keys import own_values
from deeplake_mmdet.config.short_form.evaluation import apply_evaluation, evaluator_of, read_evaluation
from deeplake_mmdet.config.short_form.graft import graft
from deeplake_mmdet.config.short_form.loader_options import apply_options, own_contradictions
from deeplake_mmdet.config.short_form.section import SplitRequest, read_section
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
    requests = read_section(config.get('data') or {}, _loader_type(config.get('deeplake_dataloader_type')))
    own = own_values(filename)
    notes = []
    for split, request in requests.items():
        notes += _put(config, split, request, own)
    if 'val' in requests:
        _evaluate(config, 'val', evaluator_of(config.get('val_evaluator'), evaluation))
    if 'test' in requests:
        _evaluate(config, 'test', evaluator_of(config.get('test_evaluator') or config.get('val_evaluator'), evaluation))
    elif 'val' in requests:
        config['test_dataloader'] = copy.deepcopy(config['val_dataloader'])
        _evaluate(config, 'test', copy.deepcopy(config['val_evaluator']))
    apply_evaluation(config, evaluation)
    _import_us(config)
    for key in KEYS:
        config.pop(key, None)
    return notes


def _check_top_level(config: Mapping[str, Any]) -> None:
    """A misspelt key of ours would be taken for a variable of the config, and do nothing."""
    for key in config:
        if key.startswith('deeplake_') and key not in KEYS:
            message = unknown_key(key, [known for known in KEYS if known.startswith('deeplake_')])
            if 'Did you mean' in message:
                raise ConfigError(message)


def _loader_type(value: Any) -> str | None:
    if value is None or value == '':
        return None
    if value not in LOADER_TYPES:
        raise ConfigError(f'deeplake_dataloader_type expected one of {list(LOADER_TYPES)}, but got {value!r}.')
    return str(value)


def _put(config: MutableMapping[str, Any], split: str, request: SplitRequest, own: Mapping[str, Any]) -> list[str]:
    loader = config.get(f'{split}_dataloader')
    if not loader and split == 'test':
        loader = config.get('val_dataloader')
    if not isinstance(loader, Mapping) or not isinstance(loader.get('dataset'), Mapping):
        raise ConfigError(
            f'data.{split} needs a base config with {split}_dataloader, whose pipeline and wrappers it keeps. Inherit '
            "one, such as _base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'."
        )
    problems = [*own_contradictions(request.options, own, split), *_own_files(own, split)]
    if problems:
        raise ConfigError('\n'.join(problems))
    loader = copy.deepcopy(dict(loader))
    loader['dataset'] = graft(loader['dataset'], request)
    changes = apply_options(loader, request.options, split)
    config[f'{split}_dataloader'] = loader
    return [f'data.{split} -> {split}_dataloader: {_shown(loader["dataset"])}', *changes]


def _own_files(own: Mapping[str, Any], split: str) -> list[str]:
    prefix = f'{split}_dataloader.dataset.'
    return [
        f'{key} is {value!r}, but data.{split} names a Deep Lake dataset. Keep one of them.'
        for key, value in own.items()
        if key.startswith(prefix) and key.endswith('.ann_file') and value
    ]


def _shown(tree: Mapping[str, Any]) -> str:
    """The nesting of a dataset, such as ``RepeatDataset > DeepLakeDataset``."""
    names = [type_name(tree)]
    while isinstance(tree.get('dataset'), Mapping):
        tree = tree['dataset']
        names.append(type_name(tree))
    members = tree.get('datasets')
    return ' > '.join(names) + (f' of {len(members)} datasets' if members else '')


def _evaluate(config: MutableMapping[str, Any], split: str, evaluator: Any) -> None:
    config[f'{split}_evaluator'] = evaluator
    if not config.get(f'{split}_cfg'):
        config[f'{split}_cfg'] = dict(_LOOPS[split])


def _import_us(config: MutableMapping[str, Any]) -> None:
    imports = dict(config.get('custom_imports') or {'allow_failed_imports': False})
    names = imports.get('imports') or []
    names = [names] if isinstance(names, str) else list(names)
    if 'deeplake_mmdet' not in names:
        config['custom_imports'] = {**imports, 'imports': [*names, 'deeplake_mmdet']}
