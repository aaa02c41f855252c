"""Opened datasets and tensor mappings that a caller hands over stand above what the config names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.dataset_spec import DATASET_KEYS
from deeplake_mmdet.engine.datasets_in_config import SPLITS, find_datasets
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.adopted import adopt, release

_KEPT = ('deeplake_tensors', 'deeplake_bbox_format', 'deeplake_dataloader_type', 'on_error')
_NAMING = tuple(key for key in DATASET_KEYS if key not in _KEPT)


def put_data(config: Any, split: str, dataset: Any, tensors: Mapping[str, str] | None, argument: str) -> list[str]:
    """Write a dataset and its tensor mapping into the config, in the short form.

    Args:
        config: The config, not yet resolved; changed in place.
        split: ``train``, ``val`` or ``test``.
        dataset: An opened Deep Lake dataset or view, or None.
        tensors: Role to column, or None.
        argument: What the caller's argument is called, for messages.

    Returns:
        What was replaced, for the log.

    Raises:
        ConfigError: `dataset` is no Deep Lake object, or there is a mapping and no dataset to map.
    """
    if dataset is None and not tensors:
        return []
    data = dict(config.get('data') or {})
    node = data.get(split)
    members = [dict(member) for member in node] if isinstance(node, (list, tuple)) else [dict(node or {})]
    notes: list[str] = []
    if dataset is not None:
        notes = _replaced(config, split, members, argument)
        members = [
            {k: v for k, v in members[0].items() if k not in _NAMING} | adopt(dataset, tensors, argument=argument)
        ]
    if tensors:
        if not any(member.get('deeplake_path') or member.get('deeplake_query') for member in members):
            raise ConfigError(f'{argument}_tensors maps columns, but there is neither {argument} nor data.{split}.')
        members = [{**member, 'deeplake_tensors': dict(tensors)} for member in members]
        for _, node in find_datasets(config, (split,)):
            node.pop('deeplake_tensors', None)
    data[split] = members if len(members) > 1 else members[0]
    config['data'] = data
    return notes


def _replaced(config: Any, split: str, members: list[dict[str, Any]], argument: str) -> list[str]:
    """Take away what the config names, so that nothing contradicts; says what it was."""
    places = [(f'data.{split}', member) for member in members] + list(find_datasets(config, (split,)))
    notes = []
    for key, node in places:
        if node.get('deeplake_path'):
            notes.append(f'{argument} is read instead of {key}.deeplake_path = {node["deeplake_path"]!r}')
        for name in _NAMING:
            node.pop(name, None)
    return notes


def release_data(config: Any) -> None:
    """Let go of opened objects that `put_data` wrote into a config; datasets that were built from it keep theirs."""
    for _, node in find_datasets(config, SPLITS):
        release(node.get('deeplake_path') or '')
