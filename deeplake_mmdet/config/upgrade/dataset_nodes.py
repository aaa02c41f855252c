"""Small questions about the dicts of datasets, wrapped or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def has_deeplake(node: Any) -> bool:
    """Whether a dataset, or one inside it, is Deep Lake's."""
    if isinstance(node, Mapping):
        inside = node.get('dataset') or node.get('datasets')
        return any(str(key).startswith('deeplake_') for key in node) or has_deeplake(inside)
    return isinstance(node, (list, tuple)) and any(map(has_deeplake, node))


def is_short_form(node: Any) -> bool:
    """Whether there is nothing but Deep Lake datasets that say nothing of their pipelines."""
    nodes = node if isinstance(node, (list, tuple)) else [node]
    return all(has_deeplake(child) and not is_wrapper(child) and 'pipeline' not in child for child in nodes)


def is_wrapper(node: Any) -> bool:
    """Whether a dataset is one around others."""
    return isinstance(node, Mapping) and ('dataset' in node or 'datasets' in node)


def deeplake_keys(wrapper: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a Deep Lake dataset that were written on its wrapper."""
    return {key: value for key, value in wrapper.items() if str(key).startswith('deeplake_')}


def innermost(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the dataset within all wrappers."""
    while isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset['dataset']
    return dict(dataset)


def loads_masks(node: Any) -> bool:
    """Whether a pipeline of a dataset, or of one inside it, loads masks."""
    if isinstance(node, Mapping):
        return bool(node.get('with_mask')) or any(map(loads_masks, node.values()))
    return isinstance(node, (list, tuple)) and any(map(loads_masks, node))


def one_a_file(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A dataset with lists of files, as one dataset for each."""
    members = []
    for i, ann_file in enumerate(node['ann_file']):
        member = {key: value for key, value in node.items() if key != 'separate_eval'}
        member['ann_file'] = ann_file
        for key in ('img_prefix', 'seg_prefix', 'proposal_file'):
            if isinstance(member.get(key), (list, tuple)):
                member[key] = member[key][i]
        members.append(member)
    return members
