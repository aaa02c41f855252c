"""How a dataloader runs: one precedence for train, val and test.

``deeplake_dataloader`` of the dataset comes first, then ``data.<split>_dataloader``, then ``data.samples_per_gpu`` and
``data.workers_per_gpu``; what none of them says stays as the base config has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.config.dicts import type_name, unknown_key
from deeplake_mmdet.errors import ConfigError

OPTIONS = (
    'shuffle',
    'deterministic_augmentation',
    'batch_size',
    'num_workers',
    'drop_last',
    'persistent_workers',
    'prefetch_factor',
    'pin_memory',
    'timeout',
)
_OURS = 'DeepLakeSampler'
_SYNONYMS = {'samples_per_gpu': 'batch_size', 'workers_per_gpu': 'num_workers'}
_SMALLEST = {'batch_size': 1, 'num_workers': 0, 'prefetch_factor': 1, 'timeout': 0}


@dataclass(frozen=True)
class Option:
    """One option and the key that gave it."""

    value: Any
    key: str


Options = Mapping[str, Option]


def read_options(node: Any, key: str) -> dict[str, Option]:
    """Read a dict of loader options.

    Args:
        node: The dict, or None.
        key: Where it stands.

    Raises:
        ConfigError: Unknown options, values of a wrong type, or one option under two names.
    """
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        raise ConfigError(f'{key} expected a dict of {", ".join(OPTIONS)}, but got {node!r}.')
    options: dict[str, Option] = {}
    for name, value in node.items():
        where, option = f'{key}.{name}', _SYNONYMS.get(name, name)
        if option not in OPTIONS:
            raise ConfigError(unknown_key(where, OPTIONS))
        if value is None:
            continue
        _check(where, option, value)
        if option in options and options[option].value != value:
            raise _twice(where, value, options[option])
        options[option] = Option(value, where)
    return options


def _check(where: str, option: str, value: Any) -> None:
    if option in _SMALLEST:
        least = _SMALLEST[option]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f'{where} expected a whole number of at least {least}, but got {value!r}.')
    elif not isinstance(value, bool):
        raise ConfigError(f'{where} expected True or False, but got {value!r}.')


def _twice(key: str, value: Any, other: Option) -> ConfigError:
    return ConfigError(
        f'{key} is {value!r}, but {other.key} is {other.value!r}, and both are for one dataloader. Keep one of them.'
    )


def agreeing(members: list[dict[str, Option]]) -> dict[str, Option]:
    """The options of datasets that are concatenated, and so share a loader.

    Raises:
        ConfigError: Two of them ask for different values.
    """
    options: dict[str, Option] = {}
    for member in members:
        for name, option in member.items():
            before = options.setdefault(name, option)
            if before.value != option.value:
                raise _twice(option.key, option.value, before)
    return options


def apply_options(loader: MutableMapping[str, Any], options: Options, split: str) -> list[str]:
    """Write options into a dataloader's dict.

    Args:
        loader: ``<split>_dataloader``; changed in place.
        options: What was asked for.
        split: ``train``, ``val`` or ``test``.

    Returns:
        What was changed, for the log.

    Raises:
        ConfigError: The base's sampler cannot shuffle as asked, or options contradict each other.
    """
    changes = []
    for name, option in options.items():
        node, where = _place(loader, name, option, split)
        before = node.get(name)
        if before != option.value:
            changes.append(f'{where}.{name}: {before} -> {option.value}, from {option.key}')
        node[name] = option.value
    let_go_of_workers(loader, options)
    return changes


def _place(
    loader: MutableMapping[str, Any], name: str, option: Option, split: str
) -> tuple[MutableMapping[str, Any], str]:
    key = f'{split}_dataloader'
    if name == 'shuffle':
        sampler = loader.setdefault('sampler', {'type': 'DefaultSampler'})
        _check_can_shuffle(sampler, option, key)
        return sampler, f'{key}.sampler'
    if name == 'deterministic_augmentation':
        return _own_sampler(loader, option, split), f'{key}.sampler'
    # With a batch sampler, it is this one that drops; PyTorch refuses the option beside it.
    if name == 'drop_last' and loader.get('batch_sampler'):
        return loader['batch_sampler'], f'{key}.batch_sampler'
    return loader, key


def _check_can_shuffle(sampler: Mapping[str, Any], option: Option, key: str) -> None:
    import mmdet.datasets.samplers  # noqa: F401  (registers MMDetection's own)
    from mmdet.registry import DATA_SAMPLERS

    kind = sampler['type']
    build = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
    if build is not None and type_name(sampler) != _OURS and 'shuffle' not in inspect.signature(build).parameters:
        raise ConfigError(
            f'{option.key} is {option.value}, but {key}.sampler is {getattr(build, "__name__", build)}, which has an '
            "order of its own. Remove the option, or set the sampler to dict(type='DefaultSampler')."
        )


def _own_sampler(loader: MutableMapping[str, Any], option: Option, split: str) -> MutableMapping[str, Any]:
    """The sampler that makes augmentations deterministic, in the place of MMEngine's."""
    if split != 'train':
        raise ConfigError(f'{option.key} is for training data, but these are for {split}. Remove it.')
    sampler = loader.setdefault('sampler', {'type': 'DefaultSampler', 'shuffle': True})
    if type_name(sampler) not in ('DefaultSampler', 'InfiniteSampler', _OURS):
        raise ConfigError(
            f'{option.key} is {option.value}, but {split}_dataloader.sampler is {type_name(sampler)}, which cannot do '
            f"that. Remove the option, or set the sampler to dict(type='{_OURS}')."
        )
    sampler['type'] = _OURS
    return sampler


def let_go_of_workers(loader: MutableMapping[str, Any], options: Options) -> None:
    """Drop what a loader without worker processes cannot have, and PyTorch refuses.

    Args:
        loader: A dataloader's dict; changed in place.
        options: What was asked for.

    Raises:
        ConfigError: It was asked for.
    """
    if loader.get('num_workers', 0):
        return
    for name, none in (('persistent_workers', False), ('prefetch_factor', None), ('timeout', 0)):
        option = options.get(name)
        if option is not None and option.value:
            raise ConfigError(
                f'{option.key} is {option.value!r}, but there are no worker processes. Set num_workers to 1 or more.'
            )
        if loader.get(name):
            loader[name] = none
