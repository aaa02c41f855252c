"""Putting a Deep Lake dataset where a base config has its own, below whatever wraps it.

A base config says how its data are augmented and repeated: `RepeatDataset`, `ClassBalancedDataset`, and
`MultiImageMixDataset`, which splits the pipeline in two: the wrapped dataset loads, the wrapper mixes. All of that is
kept; only the innermost dataset is replaced.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from deeplake_mmdet.config.dicts import type_name
from deeplake_mmdet.config.short_form.section import SplitRequest
from deeplake_mmdet.errors import ConfigError

# What a dataset in the dataloader has to say about the one in its place.
_SETTINGS = (
    'deeplake_credentials',
    'deeplake_tensors',
    'deeplake_bbox_format',
    'deeplake_dataloader_type',
    'on_error',
)
_KEPT = (
    'pipeline',
    'filter_cfg',
    'test_mode',
    'metainfo',
    'indices',
    'max_refetch',
    'return_classes',
    'caption_prompt',
    *_SETTINGS,
)
_PINS = (
    'deeplake_path',
    'deeplake_branch',
    'deeplake_commit_id',
    'deeplake_view_id',
    'deeplake_query',
)


def graft(tree: Mapping[str, Any], request: SplitRequest) -> dict[str, Any]:
    """The dataset of a base's dataloader, with the requested ones in its innermost place.

    Args:
        tree: ``<split>_dataloader.dataset`` of the base config; not changed.
        request: What ``data.<split>`` asks for.

    Raises:
        ConfigError: The base joins datasets of different pipelines, or names another Deep Lake dataset itself.
    """
    return _graft(copy.deepcopy(dict(tree)), request, f'{request.split}_dataloader.dataset')


def leaves(tree: Any) -> list[Any]:
    """The innermost datasets of a dataset's dict, below all wrappers."""
    if not isinstance(tree, Mapping):
        return []
    below = [tree['dataset']] if isinstance(tree.get('dataset'), Mapping) else list(tree.get('datasets') or [])
    return [leaf for node in below for leaf in leaves(node)] if below else [tree]


def is_deep_lake(leaf: Mapping[str, Any]) -> bool:
    """Whether a dataset's dict is one of ours."""
    return 'deeplake_path' in leaf or type_name(leaf) == 'DeepLakeDataset'


def _graft(node: dict[str, Any], request: SplitRequest, key: str) -> dict[str, Any]:
    if isinstance(node.get('dataset'), Mapping):
        if type_name(node) == 'ClassBalancedDataset' and request.concatenated:
            raise ConfigError(
                f'{key} is a ClassBalancedDataset, which counts the classes of one dataset, but data.{request.split} '
                'is a list. Give one dataset, or write train_dataloader in the long form.'
            )
        if type_name(node) == 'MultiImageMixDataset':
            request = _split_pipelines(node, request)
        node['dataset'] = _graft(dict(node['dataset']), request, f'{key}.dataset')
        return node
    if isinstance(node.get('datasets'), Sequence):
        return _graft(_one_of(node['datasets'], request, f'{key}.datasets'), request, key)
    kept = {name: node[name] for name in _KEPT if name in node}
    if request.split != 'train':
        kept['test_mode'] = True
    members = [_leaf(kept, member) for member in request.members]
    for member in members:
        _check_same(node, member, key, request.split)
    return {'type': 'ConcatDataset', 'datasets': members} if request.concatenated else members[0]


def _leaf(kept: Mapping[str, Any], member: Mapping[str, Any]) -> dict[str, Any]:
    leaf = {'type': 'DeepLakeDataset', **copy.deepcopy(dict(kept)), **member}
    if 'filter_empty_gt' in leaf:
        leaf['filter_cfg'] = {**(leaf.get('filter_cfg') or {}), 'filter_empty_gt': leaf.pop('filter_empty_gt')}
    return leaf


def _one_of(members: Sequence[Any], request: SplitRequest, key: str) -> dict[str, Any]:
    """The dataset that stands for all datasets that a base joins, if they differ only in their files."""
    alike = [_apart_from_files(member) for member in members]
    if any(other != alike[0] for other in alike):
        raise ConfigError(
            f'{key} joins datasets that differ in their pipelines, filters or wrappers, so data.{request.split} cannot '
            f'tell which one it replaces. Write {request.split}_dataloader in the long form.'
        )
    return dict(members[0])


def _apart_from_files(node: Mapping[str, Any]) -> dict[str, Any]:
    """What a dataset of a base says, but for the files that it reads."""
    if isinstance(node.get('dataset'), Mapping):
        return {**node, 'dataset': _apart_from_files(node['dataset'])}
    return {name: node[name] for name in _KEPT if name in node}


def _split_pipelines(wrapper: dict[str, Any], request: SplitRequest) -> SplitRequest:
    """Give the loading steps of a whole pipeline to the wrapped dataset and the others to the wrapper, which mixes."""
    given = [member['pipeline'] for member in request.members if 'pipeline' in member]
    if not given:
        return request
    loads = [_leading_loads(pipeline) for pipeline in given]
    rests = [list(pipeline)[len(load) :] for pipeline, load in zip(given, loads, strict=True)]
    if len(given) < len(request.members) or any(rest != rests[0] for rest in rests):
        raise ConfigError(
            f'data.{request.split} gives its datasets different pipelines, but the base mixes images of all of them '
            'in one MultiImageMixDataset. Give all the same pipeline, or none.'
        )
    wrapper['pipeline'] = rests[0]
    members = []
    for member, load in zip(request.members, loads, strict=True):
        member = {name: value for name, value in member.items() if name != 'pipeline'}
        members.append({**member, 'pipeline': load} if load else member)
    return SplitRequest(request.split, tuple(members), request.concatenated, request.options)


def _leading_loads(pipeline: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    loads = []
    for step in pipeline:
        if not type_name(step).startswith('Load'):
            break
        loads.append(step)
    return loads


def _check_same(node: Mapping[str, Any], member: Mapping[str, Any], key: str, split: str) -> None:
    for name in (*_PINS, *_SETTINGS):
        there, here = node.get(name), member.get(name)
        if there and there != here:
            values = ('given', 'given too') if name == 'deeplake_credentials' else (repr(there), repr(here))
            raise ConfigError(
                f'{key}.{name} is {values[0]}, but data.{split}.{name} is {values[1]}. Keep one: the data section, or '
                'the dataloader in the long form.'
            )
