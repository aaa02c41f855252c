"""A pipeline of MMDetection 2 as one of MMDetection 3, and what is left for the model's preprocessor.

The transforms are translated one by one (`transforms`). What concerns the pipeline as a whole is done here: test-time
augmentation is unfolded, ``Normalize`` and padding go to the preprocessor (`pixels`), and the formatting transforms
become ``PackDetInputs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.packing import collate_padding, pack
from deeplake_mmdet.config.upgrade.pixels import Pixels, take_pixels
from deeplake_mmdet.config.upgrade.resize import OLD_KEYS, scale_list
from deeplake_mmdet.config.upgrade.step import Step, plain
from deeplake_mmdet.config.upgrade.transforms import translate_transform

FORMATTING = ('DefaultFormatBundle', 'ImageToTensor', 'Collect', 'WrapFieldsToLists')
_BY_HAND = ('ToTensor', 'Transpose', 'ToDataContainer')
_OLD_TYPES = (
    *FORMATTING,
    *_BY_HAND,
    'MultiScaleFlipAug',
    'LoadImageFromWebcam',
    'BrightnessTransform',
    'ContrastTransform',
    'EqualizeTransform',
    'Shear',
    'Translate',
)
_OLD_ARGUMENTS = {
    'Resize': OLD_KEYS,
    'RandomFlip': ('flip_ratio',),
    'RandomShift': ('shift_ratio',),
    'Mosaic': ('skip_filter', 'min_bbox_size'),
    'MixUp': ('skip_filter', 'min_bbox_size', 'min_area_ratio', 'max_aspect_ratio'),
    'RandomAffine': ('skip_filter', 'min_bbox_size', 'min_area_ratio', 'max_aspect_ratio'),
    'Rotate': ('max_rotate_angle', 'random_negative_prob', 'img_fill_val'),
    'Albu': ('update_pad_shape',),
}
MIXING = ('Mosaic', 'MixUp', 'CopyPaste')


def is_old(pipeline: Any) -> bool:
    """Whether a pipeline is in the form of MMDetection 2."""
    if not isinstance(pipeline, (list, tuple)) or not all(isinstance(step, Mapping) for step in pipeline):
        return False
    for step in pipeline:
        kind = step.get('type')
        if kind in _OLD_TYPES or any(key in step for key in _OLD_ARGUMENTS.get(str(kind), ())):
            return True
        if any(is_old(policy) for policy in step.get('policies') or step.get('transforms') or () if kind != 'Albu'):
            return True
    return False


def translate_pipeline(
    pipeline: Sequence[Any], where: str, notes: Notes, loads_masks: bool | None = None
) -> tuple[list[dict[str, Any]], Pixels | None]:
    """Translate a pipeline.

    Args:
        pipeline: The transforms of MMDetection 2; not changed.
        where: The pipeline's config key, for messages.
        notes: Where translations and problems are noted.
        loads_masks: Whether the samples come with masks; None to see whether the pipeline loads them.

    Returns:
        The transforms of MMDetection 3, and what the preprocessor has to do: None if the pipeline does not end with
        ``Collect``, as the inner one of a `MultiImageMixDataset`.
    """
    if any(step.get('type') == 'PackDetInputs' for step in pipeline):
        notes.problem(where, 'mixes transforms of MMDetection 2 with PackDetInputs. Write it in one form.')
        return plain(list(pipeline)), None
    steps = _unfold(plain(list(pipeline)), where, notes)
    body, formatting = _split(steps, where, notes)
    if loads_masks is None:
        loads_masks = any(step.get('with_mask') for step in body) or not any(s['type'].startswith('Load') for s in body)
    _check_flips(body, where, notes)
    found = take_pixels(body, where, notes)
    found['seg_scale'] = _take_seg_scale(body)
    new = [translate_transform(Step(step, where, notes, loads_masks)) for step in body]
    collect = next((step for step in formatting if step['type'] == 'Collect'), None)
    if collect is None:
        if 'mean' in found or formatting:
            notes.problem(where, 'normalises or formats but does not Collect. End it with Collect or PackDetInputs.')
        return new, None
    pack(new, collect, where, notes)
    keys = collect.get('keys', ())
    found.update(masks='gt_masks' in keys, seg='gt_semantic_seg' in keys)
    collate_padding(found, formatting, where, notes)
    if not any(key.startswith('gt_') for key in keys) and any(step['type'] == 'Pad' for step in new):
        found['border_is_image'] = True
        notes.translated('Pad in a test pipeline', 'Pad, whose border counts as image: boxes may reach into it')
    _note_preprocessor(found, notes)
    return new, Pixels(**found)


def complete(pipeline: Sequence[Any], training: bool, masks: bool, notes: Notes) -> list[Any]:
    """A pipeline whose loading or collecting steps Deep Lake's documentation leaves out, with these steps.

    Args:
        pipeline: The transforms of MMDetection 2.
        training: Whether the annotations go to the model.
        masks: Whether masks are among them.
        notes: Where an addition is noted.
    """
    steps = list(pipeline)
    kinds = [str(step.get('type')) for step in steps]
    if not any(kind.startswith('Load') or kind in MIXING for kind in kinds):
        notes.translated('a pipeline that does not load', 'LoadImageFromFile, LoadAnnotations and the pipeline')
        annotations = [dict(type='LoadAnnotations', with_bbox=True, with_mask=masks)] if training else []
        steps = [dict(type='LoadImageFromFile'), *annotations, *steps]
    if not any(kind in FORMATTING or kind in _BY_HAND or kind == 'MultiScaleFlipAug' for kind in kinds):
        notes.translated('a pipeline that does not collect', 'the pipeline and PackDetInputs')
        keys = ['img', 'gt_bboxes', 'gt_labels', *(['gt_masks'] if masks else [])] if training else ['img']
        steps.append(dict(type='Collect', keys=keys))
    return steps


def _unfold(steps: list[dict[str, Any]], where: str, notes: Notes) -> list[dict[str, Any]]:
    """Nested ``Compose`` and single-scale ``MultiScaleFlipAug`` as plain transforms."""
    flat: list[dict[str, Any]] = []
    for step in steps:
        if step['type'] == 'Compose':
            flat += _unfold(step['transforms'], where, notes)
        elif step['type'] == 'MultiScaleFlipAug':
            flat += _unfold(_test_steps(step, where, notes), where, notes)
        else:
            flat.append(step)
    return flat


def _test_steps(aug: dict[str, Any], where: str, notes: Notes) -> list[dict[str, Any]]:
    scales = aug.get('img_scale')
    factor = aug.get('scale_factor')
    single = len(scale_list(scales)) == 1 if scales is not None else factor in (1, 1.0)
    if aug.get('flip', False) or not single:
        notes.problem(
            f'{where}: MultiScaleFlipAug',
            'several scales or flips merge boxes before the suppression in MMDetection 2, and after it in MMDetection '
            '3. Test with one scale and flip=False, or write tta_model=dict(type="DetTTAModel", …) and tta_pipeline '
            "with TestTimeAug in MMDetection 3's form.",
        )
    notes.translated('MultiScaleFlipAug', 'its transforms')
    steps = [step for step in aug['transforms'] if step['type'] != 'RandomFlip']
    for step in steps:
        if step['type'] == 'Resize' and not step.get('override'):
            for key in ('img_scale', 'multiscale_mode', 'ratio_range'):
                step.pop(key, None)
            step.update(dict(img_scale=scales) if scales is not None else dict(scale_factor=1.0))
    return steps


def _split(steps: list[dict[str, Any]], where: str, notes: Notes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    first = next((i for i, step in enumerate(steps) if step['type'] in FORMATTING), len(steps))
    for step in steps:
        if step['type'] in _BY_HAND:
            notes.problem(f'{where}: {step["type"]}', 'PackDetInputs makes tensors of what it packs. Remove it.')
    for step in steps[first:]:
        if step['type'] not in (*FORMATTING, *_BY_HAND):
            notes.problem(f'{where}: {step["type"]}', 'stands behind the formatting. Move it in front of it.')
    return [step for step in steps[:first] if step['type'] not in _BY_HAND], steps[first:]


def _check_flips(steps: Sequence[dict[str, Any]], where: str, notes: Notes) -> None:
    if sum(step['type'] == 'RandomFlip' for step in steps) > 1:
        notes.problem(
            f'{where}: RandomFlip',
            'in MMDetection 2 a second one repeats what the first one drew; in MMDetection 3 it draws again. Keep one.',
        )


def _take_seg_scale(steps: list[dict[str, Any]]) -> float:
    """Take ``SegRescale`` out: MMDetection 3 pads semantic maps to the size of the image, so they must not shrink."""
    scale = 1.0
    for step in [step for step in steps if step['type'] == 'SegRescale']:
        scale *= step.get('scale_factor', 1)
        steps.remove(step)
    return scale


def _note_preprocessor(found: Mapping[str, Any], notes: Notes) -> None:
    if 'mean' in found:
        notes.translated('Normalize', 'model.data_preprocessor mean, std, bgr_to_rgb')
    if found.get('divisor', 1) > 1:
        notes.translated('Pad.size_divisor', 'model.data_preprocessor pad_size_divisor')
    if found.get('fixed'):
        notes.translated('Pad.size', 'model.data_preprocessor batch_augments BatchFixedSizePad')
