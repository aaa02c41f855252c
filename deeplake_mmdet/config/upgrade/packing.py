"""The end of a pipeline: formatting and collecting become ``PackDetInputs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deeplake_mmdet.config.upgrade.notes import Notes

# What PackDetInputs packs by itself; other keys were for a model of the user's own.
_PACKED = ('img', 'gt_bboxes', 'gt_labels', 'gt_bboxes_ignore', 'gt_labels_ignore', 'gt_masks', 'gt_semantic_seg')
_TEST_META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
_TRAIN_META = (*_TEST_META, 'flip', 'flip_direction')
_META = {'filename': 'img_path', 'ori_filename': None, 'pad_shape': None, 'img_norm_cfg': None}


def pack(steps: list[dict[str, Any]], collect: dict[str, Any], where: str, notes: Notes) -> None:
    """End a translated pipeline with ``PackDetInputs``; test images get their boxes loaded, which metrics ask for.

    Args:
        steps: The translated transforms, added to in place.
        collect: The pipeline's ``Collect``.
        where: The pipeline's config key.
        notes: Where translations and problems are noted.
    """
    keys = collect.get('keys', ())
    unknown = [key for key in keys if key not in _PACKED]
    if unknown:
        notes.problem(
            f'{where}: Collect.keys',
            f'PackDetInputs packs the image and its annotations, not {", ".join(unknown)}. Remove them, or register a '
            'PackDetInputs of your own.',
        )
    training = any(key.startswith('gt_') for key in keys)
    if not training and not any(step['type'] in ('LoadAnnotations', 'LoadPanopticAnnotations') for step in steps):
        steps.append(dict(type='LoadAnnotations', with_bbox=True))
    notes.translated('DefaultFormatBundle, ImageToTensor, Collect', 'PackDetInputs')
    packing: dict[str, Any] = dict(type='PackDetInputs')
    if 'meta_keys' in collect or not training:
        packing['meta_keys'] = _meta_keys(collect.get('meta_keys', ()), steps, training)
    steps.append(packing)


def collate_padding(found: dict[str, Any], formatting: Sequence[dict[str, Any]], where: str, notes: Notes) -> None:
    """The smaller images of a batch are padded once more, by a value of the formatting."""
    given: dict[str, Any] = next((step['pad_val'] for step in formatting if 'pad_val' in step), {})
    value = given.get('img', 0)
    if found.get('divisor', 1) > 1 and found['pad_value'] != value:
        notes.problem(
            f'{where}: DefaultFormatBundle.pad_val',
            f'pads with {value}, and Pad with {found["pad_value"]}; MMDetection 3 pads once. Give both one value.',
        )
    if not found.get('fixed'):
        found['pad_value'] = value


def _meta_keys(asked: Any, steps: Sequence[dict[str, Any]], training: bool) -> tuple[str, ...]:
    """The names of MMDetection 3 for what is said about an image; what the preprocessor says itself is left out."""
    asked = (asked,) if isinstance(asked, str) else tuple(asked)
    names = [*(_TRAIN_META if training else _TEST_META), *(_META.get(key, key) for key in asked)]
    flips = any(step['type'] == 'RandomFlip' for step in steps)
    return tuple(dict.fromkeys(name for name in names if name and (flips or not name.startswith('flip'))))
