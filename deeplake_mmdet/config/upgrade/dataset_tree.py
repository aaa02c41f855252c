"""The datasets of one split: wrappers around wrappers around a dataset that has a pipeline.

The wrappers are the same in both, only written differently here and there. The dataset inside reads files, or is
Deep Lake's: then its ``deeplake_*`` keys are handed back to the short form, and a place for them is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.upgrade.dataset_nodes import (
    deeplake_keys,
    has_deeplake,
    innermost,
    is_short_form,
    is_wrapper,
    loads_masks,
    one_a_file,
)
from deeplake_mmdet.config.upgrade.datasets import FILE_KEYS, class_names, filter_of, translate_dataset
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pipelines import complete, is_old, translate_pipeline
from deeplake_mmdet.config.upgrade.pixels import Pixels
from deeplake_mmdet.config.upgrade.step import plain

_WRAPPED = {'RepeatDataset': 'times', 'ClassBalancedDataset': 'oversample_thr', 'MultiImageMixDataset': 'pipeline'}


@dataclass
class DatasetTree:
    """Translates ``data.<split>``.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        notes: Where translations and problems are noted.
        present: The dataset of the config's dataloader of MMDetection 3, if there is one.
        default_pipeline: What a dataset without a pipeline gets, as in Deep Lake's integration; or None.
        learns_masks: Whether the model does.
        short: What is left for the short form, or None.
        pixels: Config key of each translated pipeline to what it needs of the preprocessor.
    """

    split: str
    notes: Notes
    present: dict[str, Any] | None
    default_pipeline: list[dict[str, Any]] | None
    learns_masks: bool
    short: Any = None
    pixels: dict[str, Pixels] = field(default_factory=dict)

    def build(self, node: Any) -> dict[str, Any] | None:
        """The dataset of the dataloader, or None if ``present`` stays as it is."""
        where = f'data.{self.split}'
        if self.present is None and self.default_pipeline is None and is_short_form(node):
            self.short = node
            return None
        if self.present is None or is_wrapper(node):
            return self._tree(node, where, {}, mixed=False)
        if has_deeplake(node):
            many = isinstance(node, (list, tuple))
            shorts = [self._short_form(child, where, {}) for child in (node if many else [node])]
            self.short = shorts if many else shorts[0]
            return None
        if isinstance(node, Mapping) and any(key in node for key in (*FILE_KEYS, 'type', 'pipeline', 'classes')):
            return self._over_present(dict(node), where)
        self.short = node
        return None

    def _tree(self, node: Any, where: str, above: Mapping[str, Any], mixed: bool) -> dict[str, Any]:
        if isinstance(node, (list, tuple)):
            return self._joined(node, where, above, mixed)
        kind = node.get('type')
        if kind == 'ConcatDataset':
            return self._joined(node['datasets'], f'{where}.datasets', {**above, **deeplake_keys(node)}, mixed)
        if kind in _WRAPPED:
            inner = self._tree(
                node['dataset'],
                f'{where}.dataset',
                {**above, **deeplake_keys(node)},
                mixed or kind == 'MultiImageMixDataset',
            )
            return self._wrapper(node, where, inner)
        if isinstance(node.get('ann_file'), (list, tuple)) and not (above or has_deeplake(node)):
            return self._joined(one_a_file(node), where, above, mixed)
        return self._leaf(node, where, above, mixed)

    def _wrapper(self, node: Mapping[str, Any], where: str, inner: dict[str, Any]) -> dict[str, Any]:
        kind = node['type']
        argument = _WRAPPED[kind]
        new = {'type': kind, argument: node.get(argument), 'dataset': inner}
        if kind == 'MultiImageMixDataset':
            masks = loads_masks(node['dataset'])
            new['pipeline'] = self._pipeline(node.get('pipeline') or [], f'{where}.pipeline', masks)
            new.update({key: node[key] for key in ('skip_type_keys', 'max_refetch') if key in node})
            if node.get('dynamic_scale') is not None:
                self.notes.problem(f'{where}.dynamic_scale', 'put a RandomResize into the pipeline instead.')
        return new

    def _joined(self, nodes: Sequence[Any], where: str, above: Mapping[str, Any], mixed: bool) -> dict[str, Any]:
        if not any(map(has_deeplake, nodes)) and not above:
            members = [self._tree(node, f'{where}.{i}', {}, mixed) for i, node in enumerate(nodes)]
            new = dict(type='ConcatDataset', datasets=members)
            if any(member.get('type') == 'VOCDataset' for member in members):  # each year calls itself differently
                new['ignore_keys'] = ['dataset_type']
            return new
        if not all(has_deeplake(node) and not is_wrapper(node) for node in nodes):
            self.notes.problem(
                where, 'joins Deep Lake datasets with other ones. Write the dataloader in the long form.'
            )
            return {}
        members, shorts = [], []
        for i, node in enumerate(nodes):
            members.append(self._leaf(node, f'{where}.{i}', above, mixed))
            shorts.append(self.short)
        same = all(member.get('pipeline') == members[0].get('pipeline') for member in members)
        self.short = [
            short if same else {**short, 'pipeline': member['pipeline']}
            for short, member in zip(shorts, members, strict=True)
        ]
        return members[0]

    def _leaf(self, node: Mapping[str, Any], where: str, above: Mapping[str, Any], mixed: bool) -> dict[str, Any]:
        node = {**node, **above}
        rest = {key: value for key, value in node.items() if key != 'pipeline'}
        deeplake = has_deeplake(node)
        pipeline: Sequence[Any] = node.get('pipeline') or self.default_pipeline or ()
        if pipeline and deeplake and not mixed:
            pipeline = self._completed(pipeline)
        inner = innermost(self.present) if self.present else {}
        if pipeline:
            inner['pipeline'] = self._pipeline(pipeline, f'{where}.pipeline', None)
        elif 'pipeline' not in inner:
            self.notes.problem(f'{where}.pipeline', 'is missing: without it, no image is loaded.')
        if not deeplake:
            return {
                **inner,
                **translate_dataset({**rest, 'pipeline': inner.get('pipeline')}, where, self._trains, self.notes),
            }
        self.short = self._without_files(rest, where)
        if self.present is None:
            limits = filter_of(self.short, self._trains, self.notes)
            inner = {'type': 'CocoDataset', **limits, **inner}
        return inner

    @property
    def _trains(self) -> bool:
        return self.split == 'train'

    def _pipeline(self, pipeline: Sequence[Any], where: str, masks: bool | None) -> list[Any]:
        packed = any(step.get('type') == 'PackDetInputs' for step in pipeline)
        if not is_old(pipeline) and (packed or self.present is not None):
            return plain(list(pipeline))
        new, wanted = translate_pipeline(pipeline, where, self.notes, masks)
        if wanted is not None:
            self.pixels[where] = wanted
        return new

    def _completed(self, pipeline: Sequence[Any]) -> Sequence[Any]:
        return complete(pipeline, self._trains, self.learns_masks, self.notes) if is_old(pipeline) else pipeline

    def _short_form(self, node: Mapping[str, Any], where: str, above: Mapping[str, Any]) -> dict[str, Any]:
        """A Deep Lake dataset whose place in a dataloader of MMDetection 3 is there already."""
        short = self._without_files({**node, **above}, where)
        pipeline: Sequence[Any] = short.get('pipeline') or self.default_pipeline or ()
        if is_old(pipeline):
            short['pipeline'] = self._pipeline(self._completed(pipeline), f'{where}.pipeline', None)
        return short

    def _without_files(self, node: Mapping[str, Any], where: str) -> dict[str, Any]:
        short = dict(node)
        for key in FILE_KEYS:
            if short.pop(key, None):
                self.notes.dropped(f'{where}.{key}', 'deeplake_path has the images and annotations')
        if short.get('type', 'DeepLakeDataset') != 'DeepLakeDataset':
            self.notes.dropped(f'{where}.type={short.pop("type")}', 'deeplake_path is read by DeepLakeDataset')
        if isinstance(short.get('classes'), str):
            short['classes'] = class_names(short['classes'], where, self.notes)
        return short

    def _over_present(self, node: dict[str, Any], where: str) -> dict[str, Any]:
        """Files of MMDetection 2 in the place of those that the dataloader of MMDetection 3 reads."""
        new = plain(self.present)
        inner, mixed = new, False
        while isinstance(inner.get('dataset'), dict):
            mixed = mixed or inner.get('type') == 'MultiImageMixDataset'
            inner = inner['dataset']
        pipeline = node.pop('pipeline', None)
        if 'datasets' in inner or (mixed and pipeline):
            self.notes.problem(
                where, f'cannot tell which dataset of {self.split}_dataloader it means. Write that instead.'
            )
            return new
        if pipeline:
            inner['pipeline'] = self._pipeline(pipeline, f'{where}.pipeline', None)
        given = translate_dataset({'type': inner.get('type'), **node}, where, self._trains, self.notes)
        if 'filter_empty_gt' not in node:
            given.pop('filter_cfg', None)
        inner.update(given)
        return new
