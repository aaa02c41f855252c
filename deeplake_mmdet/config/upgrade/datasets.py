"""One dataset of MMDetection 2 that reads files, as a dataset and an evaluator of MMDetection 3."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.notes import Notes

COCO_LIKE = (
    'CocoDataset',
    'CityscapesDataset',
    'DeepFashionDataset',
    'LVISDataset',
    'LVISV05Dataset',
    'LVISV1Dataset',
    'Objects365V1Dataset',
    'Objects365V2Dataset',
)
VOC_LIKE = ('VOCDataset', 'XMLDataset')
_GONE = {
    'CustomDataset': 'MMDetection 3 has no such dataset. Convert its annotations to COCO and use CocoDataset.',
    'OccludedSeparatedCocoDataset': 'Use CocoDataset, and CocoOccludedSeparatedMetric as an evaluator.',
    'CocoPanopticDataset': 'its keys differ in MMDetection 3. Take them from mmdet::_base_/datasets/coco_panoptic.py.',
    'OpenImagesDataset': 'its keys differ in MMDetection 3. Take them from '
    'mmdet::_base_/datasets/openimages_detection.py.',
    'OpenImagesChallengeDataset': 'its keys differ in MMDetection 3. Take them from mmdet::openimages.',
}
# What an image must measure to be trained on; fixed in MMDetection 2.
_MIN_SIZE = 32
FILE_KEYS = (
    'ann_file',
    'img_prefix',
    'seg_prefix',
    'seg_suffix',
    'proposal_file',
    'data_root',
    'file_client_args',
    'min_size',
    'img_subdir',
    'ann_subdir',
)


def translate_dataset(node: Mapping[str, Any], where: str, training: bool, notes: Notes) -> dict[str, Any]:
    """Translate the keys of a dataset that reads files; its pipeline is translated already.

    Args:
        node: The dataset.
        where: Its config key.
        training: Whether it is trained on; then MMDetection 2 leaves out images without annotations, and small ones.
        notes: Where translations and problems are noted.
    """
    rest = dict(node)
    kind = str(rest.get('type', 'CocoDataset'))
    if kind in _GONE:
        notes.problem(f'{where}.type={kind}', _GONE[kind])
    new: dict[str, Any] = {'type': kind}
    for key in ('data_root', 'ann_file'):
        if rest.get(key) is not None:
            new[key] = rest[key]
        rest.pop(key, None)
    prefix = _prefix(kind, rest, notes)
    if prefix:
        new['data_prefix'] = prefix
    classes = rest.pop('classes', None)
    if classes is not None:
        notes.translated('data.<split>.classes', 'dataset.metainfo.classes')
        new['metainfo'] = {**rest.pop('metainfo', {}), 'classes': class_names(classes, where, notes)}
    new.update(filter_of(rest, training, notes))
    if rest.pop('proposal_file', None) is not None:
        notes.problem(
            f'{where}.proposal_file', 'train a detector with its own RPN, or use LoadProposals of MMDetection 3.'
        )
    client = rest.pop('file_client_args', None)
    if client and client.get('backend', 'disk') != 'disk':
        new['backend_args'] = client
    return {**new, **rest}


def class_names(classes: Any, where: str, notes: Notes) -> tuple[str, ...]:
    """Class names: a sequence of them, or as in MMDetection 2 the name of a file with one in each line."""
    if not isinstance(classes, str):
        return tuple(classes)
    if not os.path.isfile(classes):
        notes.problem(f'{where}.classes', f'expected class names or a file of them, but there is no file {classes!r}.')
        return ()
    with open(classes, encoding='utf-8') as file:
        return tuple(line.strip() for line in file if line.strip())


def _prefix(kind: str, rest: dict[str, Any], notes: Notes) -> dict[str, Any]:
    name = 'sub_data_root' if kind in VOC_LIKE else 'img'
    prefix = {}
    for old, new in (('img_prefix', name), ('seg_prefix', 'seg')):
        value = rest.pop(old, None)
        if value is not None:
            notes.translated(f'data.<split>.{old}', f'dataset.data_prefix.{new}')
            prefix[new] = value
    if rest.get('seg_suffix') is not None:
        rest['seg_map_suffix'] = rest.pop('seg_suffix')
    return prefix


def filter_of(node: dict[str, Any], training: bool, notes: Notes) -> dict[str, Any]:
    """Take what says which images are used out of a dataset, and say it in MMDetection 3's words."""
    if 'filter_empty_gt' in node:
        notes.translated('data.<split>.filter_empty_gt', 'dataset.filter_cfg')
    drops_empty = node.pop('filter_empty_gt', True)
    smallest_box = node.pop('min_size', None)
    if node.pop('test_mode', not training):
        return {'test_mode': True}
    boxes = {'bbox_min_size': smallest_box} if smallest_box else {}
    return {'filter_cfg': {'filter_empty_gt': drops_empty, 'min_size': _MIN_SIZE, **boxes}}


def evaluator_for(dataset: Mapping[str, Any], where: str, metric: Any, notes: Notes) -> dict[str, Any]:
    """The evaluator for what a dataset's ``evaluate`` did in MMDetection 2.

    Args:
        dataset: The translated dataset.
        where: Its config key.
        metric: ``evaluation.metric``, or None.
        notes: Where translations and problems are noted.
    """
    kind = dataset['type']
    if kind in VOC_LIKE or kind == 'WIDERFaceDataset':
        early = kind == 'VOCDataset' and 'VOC2007' in str(dataset.get('data_prefix', {}))
        evaluator = dict(type='VOCMetric', metric=metric or 'mAP', eval_mode='11points' if early else 'area')
    else:
        if kind not in COCO_LIKE and kind not in _GONE:
            notes.problem(
                f'{where}.type={kind}', f'its evaluate() is not called any more. Add {_split(where)}_evaluator.'
            )
        lvis = kind.startswith('LVIS')
        evaluator = dict(type='LVISMetric' if lvis else 'CocoMetric', metric=metric or 'bbox')
        if dataset.get('ann_file'):
            evaluator['ann_file'] = os.path.join(dataset.get('data_root') or '', dataset['ann_file'])
    notes.translated(f'{kind}.evaluate()', f'{_split(where)}_evaluator {evaluator["type"]}')
    return evaluator


def _split(where: str) -> str:
    return where.removeprefix('data.').partition('.')[0]
