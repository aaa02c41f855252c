"""The Deep Lake datasets of a config: finding them in any nesting of wrappers, and pinning them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.annotations.labels import class_names
from deeplake_mmdet.config.dataset_spec import DATASET_KEYS, FILE_KEYS, DatasetSpec
from deeplake_mmdet.config.dicts import type_name
from deeplake_mmdet.config.location import OPENED
from deeplake_mmdet.errors import ConfigError, DeepLakeMMDetError
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.revision import Revision

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class PinnedDataset:
    """One Deep Lake dataset of a config.

    Attributes:
        key: Where it stands, such as ``train_dataloader.dataset.dataset``.
        revision: What it was resolved to.
        classes: Its class names, in the order of the labels.
        has_masks: Whether it has a column of masks.
    """

    key: str
    revision: Revision
    classes: tuple[str, ...]
    has_masks: bool


def find_datasets(config: MutableMapping[str, Any], splits: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every Deep Lake dataset dict below the dataloaders of some splits, with its key."""
    for split in splits:
        loader = config.get(f'{split}_dataloader')
        if loader:
            yield from _walk(f'{split}_dataloader', loader)


def refuse_opened(key: str, name: str | None) -> None:
    """Refuse an object that one process has open, where several processes would have to read it.

    Args:
        key: Where the dataset stands.
        name: Its path, or its view as a `Revision` names it.

    Raises:
        ConfigError: It is such an object.
    """
    if (name or '').startswith(f'{OPENED}://'):
        raise ConfigError(
            f'{key} is an opened dataset that other processes cannot open again. Save it as a view with '
            ".tag('name'), and open that one."
        )


def _walk(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, MutableMapping):
        if 'deeplake_path' in node or type_name(node) == 'DeepLakeDataset':
            yield key, node
            return
        children = list(node.items())
    elif isinstance(node, (list, tuple)):
        children = [(str(i), child) for i, child in enumerate(node)]
    else:
        return
    for name, child in children:
        if name not in ('pipeline', 'sampler', 'batch_sampler', 'collate_fn'):
            yield from _walk(f'{key}.{name}', child)


def pin_datasets(config: MutableMapping[str, Any], splits: tuple[str, ...] = SPLITS) -> list[PinnedDataset]:
    """Resolve every Deep Lake dataset once, and write its commit into the config.

    After this all processes read the same commit, whatever happens to the dataset's head.

    Args:
        config: The run's config; changed in place.
        splits: Which dataloaders are looked at.

    Raises:
        ConfigError: A key is wrong, or two datasets of the run have different classes; a dataset of another type must
            state its own in ``metainfo``.
        SourceError: A dataset cannot be opened.
    """
    pinned = []
    for key, node in find_datasets(config, splits):
        with _naming(key):
            _check_batches(key, node)
            pinned.append(_pin(key, node))
    if pinned:
        loaders = ((f'{split}_dataloader.dataset', config.get(f'{split}_dataloader') or {}) for split in splits)
        others = [found for key, loader in loaders for found in other_datasets(key, loader.get('dataset'))]
        _same_classes(pinned, others)
    return pinned


def pin_test_like_val(config: MutableMapping[str, Any]) -> None:
    """Give test datasets that were not opened the commits of the validation datasets that they are copies of.

    The config in the work dir then names what was validated, also for whoever tests with it later.
    """
    pinned = [node for _, node in find_datasets(config, ('val',)) if node.get('deeplake_commit_id')]
    for _, node in find_datasets(config, ('test',)):
        for val in pinned:
            if all(node.get(name) == val.get(name) for name in (*val, *node) if name != 'deeplake_commit_id'):
                node.setdefault('deeplake_commit_id', val['deeplake_commit_id'])


def _check_batches(key: str, node: MutableMapping[str, Any]) -> None:
    """Whole batches are asked for of the outermost dataset only.

    Raises:
        ConfigError: They are demanded of one that is wrapped.
    """
    if node.get('deeplake_dataloader_type') == 'c++' and not key.endswith('_dataloader.dataset'):
        raise ConfigError(
            "deeplake_dataloader_type is 'c++', which reads whole batches, but a wrapper around this dataset asks for "
            "its samples one by one. Write 'auto', which reads batches where it can."
        )


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Name the config key in front of every message of ours."""
    try:
        yield
    except DeepLakeMMDetError as error:
        raise type(error)(f'{key}: {error}') from error.__cause__


def let_concatenate(config: MutableMapping[str, Any]) -> None:
    """Let a Deep Lake dataset stand beside other datasets in a `ConcatDataset`.

    That wrapper compares all metainfo; the palette and what was read differ by nature, the classes must not.
    """
    for split in SPLITS:
        for node in _concatenations(config.get(f'{split}_dataloader')):
            ignored = node.get('ignore_keys') or []
            ignored = [ignored] if isinstance(ignored, str) else list(ignored)
            node['ignore_keys'] = [*ignored, *(key for key in ('deeplake', 'palette') if key not in ignored)]


def _concatenations(node: Any) -> Iterator[MutableMapping[str, Any]]:
    """Every `ConcatDataset` that holds a Deep Lake dataset."""
    if not isinstance(node, MutableMapping):
        return
    members = node.get('datasets') or ()
    if type_name(node) == 'ConcatDataset' and any(True for _ in _walk('', members)):
        yield node
    for child in [node.get('dataset'), *members]:
        yield from _concatenations(child)


def _pin(key: str, node: MutableMapping[str, Any]) -> PinnedDataset:
    ours = (*DATASET_KEYS, *FILE_KEYS)
    spec = DatasetSpec.from_config({n: v for n, v in node.items() if n in ours or n.startswith('deeplake_')})
    source = SourceHandle.resolve(spec)
    node['deeplake_commit_id'] = source.revision.commit_id
    columns = map_columns(source.base(), source.selection(), spec.tensors, source.scalars)
    classes = class_names(columns.class_names, (node.get('metainfo') or {}).get('classes'))
    return PinnedDataset(key, source.revision, classes, columns.get('gt_masks') is not None)


def _same_classes(pinned: list[PinnedDataset], others: Iterable[tuple[str, Any]]) -> None:
    """Labels are positions in the class list: two lists in one run would silently swap classes."""
    listed: list[tuple[str, Any]] = [(dataset.key, dataset.classes) for dataset in pinned[1:]]
    listed += [(key, (node.get('metainfo') or {}).get('classes')) for key, node in others]
    for key, classes in listed:
        if classes is None or tuple(classes) != pinned[0].classes:
            raise ConfigError(
                f'{key} expected the classes of {pinned[0].key}, {list(pinned[0].classes)}, but got '
                f'{classes and list(classes)}. Give both the same metainfo=dict(classes=(…)).'
            )


def other_datasets(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    """Datasets of other types below a dataset dict, the wrappers left out."""
    if not isinstance(node, MutableMapping) or 'deeplake_path' in node or type_name(node) == 'DeepLakeDataset':
        return
    members = node.get('datasets')
    if members:
        for i, member in enumerate(members):
            yield from other_datasets(f'{key}.datasets.{i}', member)
    elif 'dataset' in node:
        yield from other_datasets(f'{key}.dataset', node['dataset'])
    elif 'type' in node:
        yield key, node
