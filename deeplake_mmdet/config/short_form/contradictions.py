"""What one config file says twice: in the short form, and in the dataloaders, evaluators and loops that it is put into.

A value that a file inherits gives way to the short form; one that the same file sets is meant as much as the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deeplake_mmdet.config.own_keys import NotLiteral
from deeplake_mmdet.config.short_form.evaluation import Evaluation
from deeplake_mmdet.config.short_form.section import SplitRequest

# Keys of a dataset that `data.<split>` may give, and what they are in the dataset's dict.
_DATASET_KEYS = ('pipeline', 'metainfo', 'filter_cfg', 'indices')
_ONE = 'Keep one of them.'


def of_split(request: SplitRequest, own: Mapping[str, Any]) -> Iterator[str]:
    """What a file says otherwise in ``<split>_dataloader``.

    Args:
        request: What ``data.<split>`` asks for.
        own: The file's own values, see `deeplake_mmdet.config.own_keys.own_values`.
    """
    loader, short = f'{request.split}_dataloader', f'data.{request.split}'
    for name, option in request.options.items():
        for key in (f'{loader}.{name}', f'{loader}.sampler.{name}', f'{loader}.batch_sampler.{name}'):
            if own.get(key, NotLiteral) not in (NotLiteral, option.value):
                yield f'{key} is {own[key]!r}, but {option.key} is {option.value!r}. {_ONE}'
    for key, value in own.items():
        if not key.startswith(f'{loader}.dataset.'):
            continue
        if key.endswith('.ann_file') and value:
            yield f'{key} is {value!r}, but {short} names a Deep Lake dataset. {_ONE}'
    for name in _DATASET_KEYS:
        found = next((key for key in own if key.startswith(f'{loader}.dataset.') and name in key.split('.')), None)
        if found and any(name in member for member in request.members):
            yield f'{found} is given, and {short} gives {name}, too. {_ONE}'


def of_evaluation(evaluation: Evaluation, own: Mapping[str, Any]) -> Iterator[str]:
    """What a file says otherwise in its evaluators and its training loop."""
    said = {f'train_cfg.{name}': ('evaluation', value) for name, value in evaluation.loop.items()}
    said |= {f'default_hooks.checkpoint.{name}': ('evaluation', value) for name, value in evaluation.checkpoint.items()}
    for split in ('val', 'test'):
        if isinstance(evaluation.metric, str):
            said[f'{split}_evaluator.metric'] = ('evaluation.metric', evaluation.metric)
        said |= {f'{split}_evaluator.{name}': ('evaluation', value) for name, value in evaluation.options.items()}
    for key, (source, value) in said.items():
        if own.get(key, NotLiteral) not in (NotLiteral, value):
            yield f'{key} is {own[key]!r}, but {source} says {value!r}. {_ONE}'
