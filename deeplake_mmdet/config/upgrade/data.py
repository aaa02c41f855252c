"""The ``data`` section of MMDetection 2: its datasets become dataloaders, what is Deep Lake's stays for the short form.

A config may have dataloaders already, from a base of MMDetection 3. Then only what its ``data`` says in MMDetection 2's
form is translated; otherwise the dataloaders are built here.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from deeplake_mmdet.config.upgrade.dataset_nodes import has_deeplake
from deeplake_mmdet.config.upgrade.dataset_tree import DatasetTree
from deeplake_mmdet.config.upgrade.datasets import evaluator_for
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pipelines import is_old, translate_pipeline
from deeplake_mmdet.config.upgrade.pixels import Pixels
from deeplake_mmdet.config.upgrade.step import plain

SPLITS = ('train', 'val', 'test')
_LOOPS = {'val': 'ValLoop', 'test': 'TestLoop'}


def upgrade_data(config: MutableMapping[str, Any], notes: Notes) -> tuple[dict[str, Pixels], list[str]]:
    """Translate ``data``, and the pipelines of MMDetection 2 wherever they stand.

    Args:
        config: The config, changed in place.
        notes: Where translations and problems are noted.

    Returns:
        Config key of each translated pipeline to what it needs of the preprocessor; and the dataloaders whose
        pipelines stay as they are.
    """
    pixels: dict[str, Pixels] = {}
    given = config.get('data')
    data = plain(given) if isinstance(given, Mapping) else {}
    before = plain(data)
    if data:
        _old_spellings(data)
        _drop_shadowed_test(data, notes)
        loaders = {split: plain(config.get(f'{split}_dataloader')) for split in SPLITS}
        loaders['test'] = loaders['test'] or loaders['val']
        for split in SPLITS:
            if data.get(split) and isinstance(data[split], (dict, list, tuple)):
                pixels.update(_split(config, data, split, loaders[split], notes))
    for split in SPLITS:
        pixels.update(_pipelines_in(config, f'{split}_dataloader', notes))
    _variables(config)
    if data != before:
        _put_back(config, data)
    replaced = {key.removeprefix('data.').partition('.')[0].removesuffix('_dataloader') for key in pixels}
    return pixels, [f'{split}_dataloader' for split in _in_use(config, data) if split not in replaced]


def _in_use(config: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """The splits whose dataloader has a pipeline; a test without data of its own repeats the validation."""
    splits = [split for split in SPLITS if config.get(f'{split}_dataloader')]
    return [split for split in splits if split != 'test' or 'test' in data or 'val' not in data]


def _old_spellings(data: dict[str, Any]) -> None:
    """What MMDetection 2 itself took for other keys."""
    if 'imgs_per_gpu' in data:
        data['samples_per_gpu'] = data.pop('imgs_per_gpu')
    for split in SPLITS:
        node = data.get(split)
        if isinstance(node, dict) and 'samples_per_gpu' in node:
            data.setdefault(f'{split}_dataloader', {})['samples_per_gpu'] = node.pop('samples_per_gpu')
    persistent = data.pop('persistent_workers', None)
    if persistent is not None:
        data.setdefault('train_dataloader', {}).setdefault('persistent_workers', persistent)


def _drop_shadowed_test(data: dict[str, Any], notes: Notes) -> None:
    """The test data of a base is files; who validates on Deep Lake tests there, too."""
    if 'test' in data and has_deeplake(data.get('val')) and not has_deeplake(data['test']):
        del data['test']
        notes.dropped('data.test', 'it reads files; the dataset of data.val is tested')


def _split(
    config: MutableMapping[str, Any], data: dict[str, Any], split: str, loader: dict[str, Any] | None, notes: Notes
) -> dict[str, Pixels]:
    present = loader['dataset'] if loader else None
    default = config.get('train_pipeline' if split == 'train' else 'test_pipeline')
    default = plain(default) if is_old(default) else None
    tree = DatasetTree(split, notes, present, default, 'mask_head' in str(config.get('model', '')))
    dataset = tree.build(data[split])
    ann_file = data[split].get('ann_file') if isinstance(data[split], dict) else None
    data[split] = tree.short
    if dataset is None:
        return tree.pixels
    if loader:
        config[f'{split}_dataloader'] = {**loader, 'dataset': dataset}
        if ann_file and split != 'train':
            config.pop(f'{split}_evaluator', None)
            _evaluate(config, split, dataset, notes)
    else:
        _build_loader(config, data, split, dataset, notes)
    return tree.pixels


def _build_loader(
    config: MutableMapping[str, Any], data: Mapping[str, Any], split: str, dataset: dict[str, Any], notes: Notes
) -> None:
    training = split == 'train'
    own = data.get(f'{split}_dataloader', {})
    workers = own.get('workers_per_gpu', data.get('workers_per_gpu', 2))
    batch = own.get('samples_per_gpu', data.get('samples_per_gpu', 2) if training else 1)
    by_iter = (config.get('runner') or {}).get('type') == 'IterBasedRunner'
    sampler = dict(type='InfiniteSampler' if training and by_iter else 'DefaultSampler')
    loader: dict[str, Any] = dict(
        batch_size=batch,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler={**sampler, 'shuffle': own.get('shuffle', training)},
        dataset=dataset,
    )
    balanced = own.get('class_aware_sampler')
    if balanced is not None:
        loader['sampler'] = {'type': 'ClassAwareSampler', **balanced}
    elif training:
        loader['batch_sampler'] = dict(type='AspectRatioBatchSampler')
    loader.update({key: own[key] for key in ('drop_last', 'pin_memory', 'prefetch_factor') if key in own})
    notes.translated(f'data.{split}', f'{split}_dataloader')
    config[f'{split}_dataloader'] = loader
    if not training:
        _evaluate(config, split, dataset, notes)


def _evaluate(config: MutableMapping[str, Any], split: str, dataset: Mapping[str, Any], notes: Notes) -> None:
    config.setdefault(f'{split}_cfg', dict(type=_LOOPS[split]))
    if config.get(f'{split}_evaluator'):
        return
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    if 'datasets' in dataset:
        notes.problem(
            f'data.{split}', 'several datasets are evaluated by MultiDatasetsEvaluator. Write them in that form.'
        )
        return
    metric = (config.get('evaluation') or {}).get('metric')
    config[f'{split}_evaluator'] = evaluator_for(dataset, f'data.{split}', metric, notes)


def _pipelines_in(config: MutableMapping[str, Any], key: str, notes: Notes) -> dict[str, Pixels]:
    """Translate the pipelines of MMDetection 2 that were written into a dataloader of MMDetection 3."""
    pixels: dict[str, Pixels] = {}
    loader = plain(config.get(key) or {})

    def visit(node: Any, where: str) -> None:
        for name, child in node.items() if isinstance(node, dict) else enumerate(node):
            if name == 'pipeline' and is_old(child):
                node[name], wanted = translate_pipeline(child, f'{where}.pipeline', notes)
                if wanted is not None:
                    pixels[f'{where}.pipeline'] = wanted
            elif isinstance(child, (dict, list)):
                visit(child, f'{where}.{name}')

    before = plain(loader)
    visit(loader, key)
    if loader != before:
        config[key] = loader
    return pixels


def _variables(config: MutableMapping[str, Any]) -> None:
    """The variables that pipelines were made of mean nothing any more, but should not look as if they did."""
    for key in [key for key in config if str(key).endswith('_pipeline')]:
        if is_old(config[key]):
            scratch = Notes()
            new, _ = translate_pipeline(config[key], key, scratch)
            if not scratch.problems:
                config[key] = new


def _put_back(config: MutableMapping[str, Any], data: dict[str, Any]) -> None:
    data = {key: value for key, value in data.items() if value is not None or key not in SPLITS}
    if any(data.get(split) for split in SPLITS):
        config['data'] = data
    else:
        config.pop('data')
