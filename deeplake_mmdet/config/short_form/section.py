"""Reading the ``data`` section: which datasets each split asks for, and how its dataloader shall run.

Every mistake in it is collected, and all are raised together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.dataset_spec import DATASET_KEYS, FILE_KEYS, MMDET_KEYS
from deeplake_mmdet.config.dicts import unknown_key
from deeplake_mmdet.config.short_form.loader_options import Option, agreeing, read_options
from deeplake_mmdet.errors import ConfigError

SPLITS = ('train', 'val', 'test')
DATA_KEYS = (*SPLITS, *(f'{split}_dataloader' for split in SPLITS), 'samples_per_gpu', 'workers_per_gpu')
# Names that Deep Lake's integrations read, and what they mean.
SYNONYMS = {'deeplake_tag_id': 'deeplake_view_id', 'deeplake_commit': 'deeplake_commit_id'}
_OTHER_KEYS = ('type', 'deeplake_dataloader', 'classes', 'filter_empty_gt')


@dataclass(frozen=True)
class SplitRequest:
    """What ``data.<split>`` asks for.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        members: The datasets: keys of `DeepLakeDataset` and ``filter_empty_gt``, those without a value left out.
        concatenated: Whether a list was given.
        options: How the dataloader shall run.
    """

    split: str
    members: tuple[dict[str, Any], ...]
    concatenated: bool
    options: dict[str, Option] = field(default_factory=dict)


def read_section(data: Any, loader_type: str | None = None) -> dict[str, SplitRequest]:
    """Read ``data``.

    Args:
        data: The section.
        loader_type: ``deeplake_dataloader_type`` of the whole config.

    Returns:
        Split to request, for the splits that are given.

    Raises:
        ConfigError: All that is wrong with it.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f'data expected a dict with train, val and test, but got a {type(data).__name__}.')
    problems = [unknown_key(f'data.{key}', DATA_KEYS) for key in data if key not in DATA_KEYS]
    requests = {}
    for split in SPLITS:
        if not data.get(split):
            continue
        try:
            requests[split] = _read_split(split, data, loader_type)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError('\n'.join(problems))
    return requests


def _read_split(split: str, data: Mapping[str, Any], loader_type: str | None) -> SplitRequest:
    node = data[split]
    concatenated = isinstance(node, (list, tuple))
    if concatenated and split != 'train':
        raise ConfigError(
            f'data.{split} expected one dataset, but got a list of {len(node)}. Evaluate several with '
            f'{split}_dataloader and MultiDatasetsEvaluator in the long form.'
        )
    nodes = list(node) if concatenated else [node]
    keys = [f'data.{split}.{i}' if concatenated else f'data.{split}' for i in range(len(nodes))]
    members = [_read_dataset(key, member, loader_type) for key, member in zip(keys, nodes, strict=True)]
    options = agreeing(
        [
            read_options(member.get('deeplake_dataloader'), f'{key}.deeplake_dataloader')
            for key, member in zip(keys, nodes, strict=True)
        ]
    )
    per_gpu = {name: data[name] for name in ('samples_per_gpu', 'workers_per_gpu') if data.get(name) is not None}
    for weaker in (
        read_options(data.get(f'{split}_dataloader'), f'data.{split}_dataloader'),
        read_options(per_gpu, 'data'),
    ):
        options = {**weaker, **options}
    return SplitRequest(split, tuple(members), concatenated, options)


def _read_dataset(key: str, node: Any, loader_type: str | None) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise ConfigError(f'{key} expected a dict with deeplake_path, but got {node!r}.')
    member = {name: value for name, value in node.items() if value is not None and value != '' and name != '_delete_'}
    _check_keys(key, member)
    member.pop('deeplake_dataloader', None)
    member.pop('type', None)
    for name, meaning in SYNONYMS.items():
        if name in member:
            _move(key, member, name, meaning)
    if not (member.get('deeplake_path') or member.get('deeplake_query')):
        raise ConfigError(f'{key} expected deeplake_path, the path of a Deep Lake dataset, but it is missing.')
    if loader_type:
        member.setdefault('deeplake_dataloader_type', loader_type)
    classes = member.pop('classes', None)
    if isinstance(classes, str):
        raise ConfigError(f'{key}.classes expected a list of class names, but got {classes!r}.')
    if classes is not None:
        member['metainfo'] = {**member.get('metainfo', {}), 'classes': tuple(classes)}
    return member


def _check_keys(key: str, member: Mapping[str, Any]) -> None:
    known = (*DATASET_KEYS, *MMDET_KEYS, *_OTHER_KEYS, *SYNONYMS)
    problems = []
    for name in member:
        if name in FILE_KEYS:
            problems.append(
                f'{key}.{name} names files, and the annotations and images are those of deeplake_path. Remove it.'
            )
        elif name not in known:
            problems.append(unknown_key(f'{key}.{name}', known))
    if member.get('type') not in (None, 'DeepLakeDataset'):
        problems.append(f"{key}.type is {member['type']!r}, but deeplake_path is read by 'DeepLakeDataset'. Remove it.")
    if problems:
        raise ConfigError('\n'.join(problems))


def _move(key: str, member: dict[str, Any], name: str, meaning: str) -> None:
    value = member.pop(name)
    if member.setdefault(meaning, value) != value:
        raise ConfigError(
            f'{key}.{name} is {value!r}, but {key}.{meaning} is {member[meaning]!r}; both mean the same. Keep one.'
        )
