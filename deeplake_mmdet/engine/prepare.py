"""Everything between reading a config file and building the Runner."""

from __future__ import annotations

import copy
import logging
import os
import tempfile
from collections.abc import Mapping, MutableMapping
from typing import Any

from mmengine.logging import MMLogger, print_log

from deeplake_mmdet.config.dicts import type_name
from deeplake_mmdet.config.short_form.expand import expand
from deeplake_mmdet.config.short_form.loader_options import OPTIONS, Option, let_go_of_workers
from deeplake_mmdet.config.upgrade.upgrade import upgrade
from deeplake_mmdet.engine.config_agreement import check_same_config
from deeplake_mmdet.engine.datasets_in_config import (
    SPLITS,
    PinnedDataset,
    find_datasets,
    let_concatenate,
    other_datasets,
    pin_test_like_val,
)
from deeplake_mmdet.engine.num_classes import fit_heads
from deeplake_mmdet.engine.resolved_once import pin_together
from deeplake_mmdet.engine.resumable_config import let_resume
from deeplake_mmdet.engine.secrets_in_config import CREDENTIALS_KEY, hide_credentials
from deeplake_mmdet.engine.told_failures import failures_told
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.lineage.scrubbed_output import scrub_log

# Command-line options for these keys stand above what older and shorter forms make of them.
_REWRITTEN = (
    *(f'{split}_{part}' for split in SPLITS for part in ('dataloader', 'evaluator', 'cfg')),
    'default_hooks',
    'env_cfg',
    'model',
    'optim_wrapper',
    'param_scheduler',
    'randomness',
)


@failures_told()
def prepare(config: Any, splits: tuple[str, ...] = SPLITS, overrides: Mapping[str, Any] | None = None) -> list[str]:
    """Hide the secrets, resolve older and shorter forms, pin the data, fit the heads, and refuse what cannot work.

    Args:
        config: An MMEngine config; changed in place.
        splits: The splits that will be used.
        overrides: What the command line sets, dotted key to value; merged into the config before.

    Returns:
        What was found and changed, for the log.

    Raises:
        ConfigError, SourceError, ColumnError: See `deeplake_mmdet.errors`.
    """
    check_work_dir(config.get('work_dir'))
    overrides = copy.deepcopy(dict(overrides or {}))
    warnings = hide_credentials(config)
    hide_credentials({'--cfg-options': overrides})
    scrub_log(MMLogger.get_current_instance())
    for warning in warnings:
        print_log(warning, 'current', logging.WARNING)
    notes = [*upgrade(config, config.filename), *expand(config, config.filename)]
    _override(config, overrides)
    let_concatenate(config)
    if any(True for _ in find_datasets(config, splits)):
        for split in splits:
            _check_files(config, split)
    check_same_config(config)
    pinned = pin_together(config, splits)
    pin_test_like_val(config)
    for split in splits:
        _check_evaluator(config, split, pinned)
    if not pinned:
        return notes
    changes = fit_heads(config, pinned[0].classes, config.filename, overrides)
    changes += let_resume(config) if 'train' in splits else []
    return [*notes, *_found(pinned), *changes]


def _override(config: Any, overrides: Mapping[str, Any]) -> None:
    # Credentials are in their place already: hidden, and carried along with their dataset.
    late = {k: v for k, v in overrides.items() if k.partition('.')[0] in _REWRITTEN and CREDENTIALS_KEY not in k}
    config.merge_from_dict(late)
    for split in SPLITS:
        loader, key = config.get(f'{split}_dataloader'), f'{split}_dataloader'
        if loader and f'{key}.num_workers' in overrides:
            given = {name: overrides.get(f'{key}.{name}') for name in OPTIONS}
            let_go_of_workers(loader, {name: Option(v, f'{key}.{name}') for name, v in given.items() if v is not None})


def _found(pinned: list[PinnedDataset]) -> list[str]:
    return [f'{dataset.key}: {dataset.revision}' for dataset in pinned]


def check_work_dir(work_dir: str | None) -> None:
    """Find out now, and not after the first epoch, whether checkpoints can be written.

    Raises:
        ConfigError: The folder cannot be made or written.
    """
    if not work_dir:
        return
    try:
        os.makedirs(work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        raise ConfigError(
            f'work_dir is {work_dir!r}, where nothing can be written: {error.strerror}. '
            'Give a writable folder with --work-dir.'
        ) from None


def _check_files(config: Any, split: str) -> None:
    """A stock config validates on COCO's own files, which Deep Lake users do not have."""
    loader = config.get(f'{split}_dataloader') or {}
    for key, node in other_datasets(f'{split}_dataloader.dataset', loader.get('dataset')):
        ann_file = os.path.join(node.get('data_root') or '', node.get('ann_file') or '')
        if ann_file and '://' not in ann_file and not os.path.exists(ann_file):
            without = '' if split == 'train' else f', or run without {split} data (training: --no-validate)'
            raise ConfigError(
                f'{key}.ann_file is {ann_file!r}, which does not exist. '
                f'Give data=dict({split}=dict(deeplake_path=…)){without}.'
            )


def _check_evaluator(config: Any, split: str, pinned: list[PinnedDataset]) -> None:
    """A stock config evaluates against COCO's own JSON, which Deep Lake users do not have."""
    datasets = [key for key, _ in find_datasets(config, (split,))]
    if not datasets:
        return
    maskless = [dataset.key for dataset in pinned if dataset.key in datasets and not dataset.has_masks]
    evaluators = config.get(f'{split}_evaluator') or []
    for evaluator in [evaluators] if isinstance(evaluators, MutableMapping) else evaluators:
        if type_name(evaluator) in ('DeepLakeCocoMetric', 'DeepLakeVOCMetric') and len(datasets) > 1:
            raise ConfigError(
                f'{split}_evaluator expected one dataset, but got {", ".join(datasets)}. Use MultiDatasetsEvaluator.'
            )
        if type_name(evaluator) == 'DeepLakeCocoMetric' and 'segm' in evaluator.get('metric', ()) and maskless:
            raise ConfigError(
                f"{split}_evaluator.metric holds 'segm', but {maskless[0]} has no column of masks. Write "
                f"{split}_evaluator.metric='bbox', or name the column with deeplake_tensors=dict(gt_masks=…)."
            )
        ann_file = evaluator.get('ann_file')
        if ann_file and '://' not in ann_file and not os.path.exists(ann_file):
            raise ConfigError(
                f'{split}_evaluator.ann_file is {ann_file!r}, which does not exist. The dataset itself can be the '
                f"ground truth: {split}_evaluator = dict(_delete_=True, type='DeepLakeCocoMetric', metric='bbox')."
            )


def leave_out_validation(config: Any) -> None:
    """Drop everything that validation needs."""
    data = config.get('data')
    if data:
        config['data'] = {key: node for key, node in data.items() if key not in ('val', 'test')}
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator', 'test_cfg'):
        config[key] = None
