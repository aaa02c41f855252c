"""One ``data_preprocessor`` for all pipelines of a config.

MMDetection 2 normalises in each pipeline, MMDetection 3 once, in the model. So the pipelines have to agree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pixels import Pixels


def preprocessor_of(
    pixels: Mapping[str, Pixels], present: Mapping[str, Any] | None, untranslated: Collection[str], notes: Notes
) -> dict[str, Any]:
    """The preprocessor that does what all translated pipelines did.

    Args:
        pixels: Config key of a pipeline to what it needs; at least one.
        present: The model's own preprocessor, which keeps what pipelines do not say.
        untranslated: Config keys of the pipelines of MMDetection 3 that stay in use and rely on ``present``.
        notes: Where disagreements are noted.
    """
    new: dict[str, Any] = {'type': 'DetDataPreprocessor', **(present or {})}
    first = next(iter(pixels))
    _check_colours(pixels, notes)
    new.pop('rgb_to_bgr', None)
    colours = _colours(pixels[first])
    if untranslated and colours != _present_colours(new):
        notes.problem(
            f'{first}: Normalize',
            f'differs from the normalisation of {", ".join(untranslated)}, which MMDetection 3 does in the model. '
            'Give that split a pipeline with the same Normalize, too.',
        )
    new.update(colours)
    if colours['mean'] is None:
        del new['mean'], new['std'], new['bgr_to_rgb']
    new['pad_size_divisor'] = _divisor(pixels, notes)
    _padding(new, pixels, notes)
    return new


def _colours(wanted: Pixels) -> dict[str, Any]:
    mean = None if wanted.mean is None else list(wanted.mean)
    std = None if wanted.std is None else list(wanted.std)
    return dict(mean=mean, std=std, bgr_to_rgb=wanted.to_rgb)


def _present_colours(present: Mapping[str, Any]) -> dict[str, Any]:
    as_floats = {
        key: None if present.get(key) is None else [float(value) for value in present[key]] for key in ('mean', 'std')
    }
    return {**as_floats, 'bgr_to_rgb': bool(present.get('bgr_to_rgb', False))}


def _check_colours(pixels: Mapping[str, Pixels], notes: Notes) -> None:
    first, *others = pixels
    for other in others:
        if _colours(pixels[first]) != _colours(pixels[other]):
            notes.problem(
                f'{other}: Normalize',
                f'is {_shown(pixels[other])}, but that of {first} is {_shown(pixels[first])}. A model of MMDetection 3 '
                'normalises all its images alike, by model.data_preprocessor. Give both pipelines one normalisation.',
            )


def _shown(wanted: Pixels) -> str:
    if wanted.mean is None:
        return 'missing'
    return f'mean={list(wanted.mean)}, std={list(wanted.std or ())}, to_rgb={wanted.to_rgb}'


def _divisor(pixels: Mapping[str, Pixels], notes: Notes) -> int:
    divisor = max(wanted.divisor for wanted in pixels.values())
    for key, wanted in pixels.items():
        if not wanted.fits(divisor):
            notes.problem(
                f'{key}: Pad',
                f'pads to multiples of {wanted.divisor}, another pipeline to multiples of {divisor}. MMDetection 3 '
                'pads by model.data_preprocessor.pad_size_divisor, everywhere alike. Give both one size_divisor.',
            )
    return divisor


def _padding(new: dict[str, Any], pixels: Mapping[str, Pixels], notes: Notes) -> None:
    values = {wanted.pad_value for wanted in pixels.values()}
    if len(values) > 1:
        notes.problem(
            f'{", ".join(pixels)}: Pad.pad_val',
            f'differs: {sorted(values)}. MMDetection 3 pads by model.data_preprocessor.pad_value, everywhere alike.',
        )
    trained = next(iter(pixels.values()))
    if values != {0} or 'pad_value' in new:
        new['pad_value'] = trained.pad_value
    if any(wanted.masks for wanted in pixels.values()):
        new.update(pad_mask=True, **({'mask_pad_value': trained.mask_value} if trained.mask_value else {}))
    if any(wanted.seg for wanted in pixels.values()):
        new.update(pad_seg=True, seg_pad_value=trained.seg_value)
    _fixed_size(new, pixels, notes)


def _fixed_size(new: dict[str, Any], pixels: Mapping[str, Pixels], notes: Notes) -> None:
    for key, wanted in pixels.items():
        if wanted.fixed is None:
            continue
        if not key.startswith(('data.train', 'train_')):
            notes.problem(
                f'{key}: Pad.size',
                'MMDetection 3 pads to a fixed size in training only (batch_augments). Use size_divisor.',
            )
            continue
        pad = dict(type='BatchFixedSizePad', size=wanted.fixed, img_pad_value=wanted.pad_value)
        if wanted.masks:
            pad.update(pad_mask=True, mask_pad_value=wanted.mask_value)
        if wanted.seg:
            pad.update(pad_seg=True, seg_pad_value=wanted.seg_value)
        new['batch_augments'] = [*new.get('batch_augments', ()), pad]
