"""What becomes of each transform of MMDetection 2, one function a transform.

The table names every transform of MMDetection 2.28 but those that normalise, format and collect, which concern a
pipeline as a whole. Where MMDetection 3 cannot do what the transform did, the function says so: nothing is
translated into something that only looks alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deeplake_mmdet.config.upgrade.resize import translate_resize
from deeplake_mmdet.config.upgrade.step import Step

# Names of sample fields that have changed.
FIELDS = {'gt_labels': 'gt_bboxes_labels', 'gt_semantic_seg': 'gt_seg_map'}
NO_FILTER = 'MMDetection 3 does not filter boxes here'
FILTER_INSTEAD = (
    'MMDetection 3 does not filter boxes here. Remove skip_filter, and put '
    'dict(type="FilterAnnotations", min_gt_bbox_wh=(w, h)) behind this transform if small boxes are to go.'
)


def _keep(step: Step) -> None:
    """The transform is the same in both."""


def _load_image(step: Step) -> None:
    if step.kind == 'LoadImageFromWebcam':
        step.retype('LoadImageFromNDArray')
    step.expect('channel_order', 'bgr', 'MMDetection 3 reads BGR. Remove it, and set bgr_to_rgb in the preprocessor.')
    _backend_args(step)


def _load_annotations(step: Step) -> None:
    step.drop('denorm_bbox', why='boxes are in pixels when MMDetection 3 loads them')
    if step.config.get('with_label') is False:  # the RPN of MMDetection 3 wants labels, and sets them to zero
        step.drop('with_label', why='a detector that needs no labels ignores them')
    _backend_args(step)


def _backend_args(step: Step) -> None:
    given = step.config.pop('file_client_args', None)
    if given and given.get('backend', 'disk') != 'disk':
        step.notes.translated(f'{step.kind}.file_client_args', 'backend_args')
        step.config['backend_args'] = given


def _load_proposals(step: Step) -> None:
    step.refuse('precomputed proposals are not columns of a dataset. Train a detector with its own RPN instead.')


def _random_flip(step: Step) -> None:
    if step.config.get('flip_ratio') is None and 'prob' not in step.config:
        step.refuse('expected a probability. Write RandomFlip(prob=…).', 'flip_ratio')
    step.rename(
        'flip_ratio', 'prob', lambda p: [float(x) for x in p] if isinstance(p, (list, tuple)) else float(p or 0)
    )


def _random_shift(step: Step) -> None:
    step.rename('shift_ratio', 'prob')


def _pad(step: Step) -> None:
    step.swap('size')
    value = step.config.get('pad_val')
    if isinstance(value, (int, float)):
        step.config['pad_val'] = value = dict(img=value, masks=value, seg=255)
    if value and isinstance(value.get('img'), (int, float)) and value['img'] != 0:
        step.notes.translated(f'Pad.pad_val={value["img"]} (pads the first channel, the others are 0)', 'three values')
        value['img'] = (value['img'], 0, 0)


def _random_crop(step: Step) -> None:
    # A range of lengths (absolute_range) and one of fractions (relative_range) mean the same in both.
    if step.config.get('crop_type', 'absolute') in ('absolute', 'relative'):
        step.swap('crop_size')


def _center_crop_pad(step: Step) -> None:
    step.swap('crop_size')


def _albu(step: Step) -> None:
    step.drop('update_pad_shape', why="the padded shape is the preprocessor's business")
    fields = (step.config.get('bbox_params') or {}).get('label_fields')
    if fields and 'gt_labels' in fields:
        new = [FIELDS.get(name, name) for name in fields]
        step.config['bbox_params']['label_fields'] = [*new, 'gt_ignore_flags']
        step.notes.translated('Albu.bbox_params.label_fields=gt_labels', 'gt_bboxes_labels, gt_ignore_flags')
    if step.config.get('keymap'):
        step.config['keymap'] = {FIELDS.get(key, key): value for key, value in step.config['keymap'].items()}


def _mosaic(step: Step) -> None:
    step.swap('img_scale')
    _no_filter(step, 'min_bbox_size')


def _mix_up(step: Step) -> None:
    step.swap('img_scale')
    _no_filter(step, 'min_bbox_size', 'min_area_ratio', 'max_aspect_ratio')
    step.notes.translated('MixUp, black where the other image does not reach', 'MixUp, which fills that with pad_val')
    # MMDetection 3 flips when its random number is larger, MMDetection 2 when it is smaller.
    if step.config.get('flip_ratio', 0.5) != 0.5:
        step.rename('flip_ratio', 'flip_ratio', lambda ratio: round(1 - ratio, 12))


def _random_affine(step: Step) -> None:
    step.swap('border')
    _no_filter(step, 'min_bbox_size', 'min_area_ratio', 'max_aspect_ratio')


def _no_filter(step: Step, *thresholds: str) -> None:
    step.expect('skip_filter', True, FILTER_INSTEAD)
    step.drop(*thresholds, why=NO_FILTER)


def _copy_paste(step: Step) -> None:
    if not step.loads_masks:  # MMDetection 2 pastes rectangles then, MMDetection 3 wants to be told
        step.config.setdefault('paste_by_box', True)
        step.notes.translated('CopyPaste without masks', 'CopyPaste.paste_by_box')


def _auto_augment(step: Step) -> None:
    step.retype('RandomChoice')
    policies = step.config.pop('policies', [])
    step.config['transforms'] = [
        [translate_transform(Step(child, step.where, step.notes, step.loads_masks)) for child in policy]
        for policy in policies
    ]


def _rotate(step: Step) -> None:
    angle = step.config.pop('max_rotate_angle', 30) * step.config.get('level', 10) / 10
    step.expect('scale', 1, 'MMDetection 3 rotates without scaling. Add a RandomResize.')
    step.expect('center', None, 'MMDetection 3 rotates about the centre of the image. Remove it.')
    if round(angle, 1) != angle:
        step.refuse(f'MMDetection 3 rounds {angle} degrees to a tenth. Give level and max_rotate_angle that fit.')
    step.config.update(level=10, min_mag=0.0, max_mag=float(angle), prob=step.config.get('prob', 0.5))
    step.rename('img_fill_val', 'img_border_value')
    # MMDetection 2 says how often the angle is negative, MMDetection 3 how often it is positive.
    step.rename('random_negative_prob', 'reversal_prob', lambda p: round(1 - float(p), 12))


def _color(new: str) -> Callable[[Step], None]:
    def translate(step: Step) -> None:
        level = step.config.get('level', 5)
        factor = level * 0.18 + 0.1
        step.retype(new)
        step.config.setdefault('prob', 0.5)
        if level != int(level) or abs(round(factor, 1) - factor) > 1e-9:
            step.refuse(
                f'MMDetection 3 rounds the strength to a tenth, {factor:g} to {round(factor, 1)}. '
                f"Write {new}(level={level}) into a pipeline in MMDetection 3's form if that will do.",
                'level',
            )

    return translate


def _no_counterpart(remedy: str) -> Callable[[Step], None]:
    return lambda step: step.refuse(remedy)


TRANSFORMS: dict[str, Callable[[Step], None]] = {
    'LoadImageFromFile': _load_image,
    'LoadImageFromWebcam': _load_image,
    'LoadMultiChannelImageFromFiles': _load_image,
    'LoadAnnotations': _load_annotations,
    'LoadPanopticAnnotations': _load_annotations,
    'LoadProposals': _load_proposals,
    'FilterAnnotations': _keep,
    'Resize': translate_resize,
    'RandomFlip': _random_flip,
    'RandomShift': _random_shift,
    'Pad': _pad,
    'RandomCrop': _random_crop,
    'RandomCenterCropPad': _center_crop_pad,
    'SegRescale': _keep,
    'PhotoMetricDistortion': _keep,
    'Expand': _keep,
    'MinIoURandomCrop': _keep,
    'Corrupt': _keep,
    'CutOut': _keep,
    'YOLOXHSVRandomAug': _keep,
    'InstaBoost': _keep,
    'Albu': _albu,
    'Mosaic': _mosaic,
    'MixUp': _mix_up,
    'RandomAffine': _random_affine,
    'CopyPaste': _copy_paste,
    'AutoAugment': _auto_augment,
    'Rotate': _rotate,
    'Shear': _no_counterpart(
        'MMDetection 3 shears by angles that it rounds. Use ShearX or ShearY (max_mag in degrees).'
    ),
    'Translate': _no_counterpart(
        'MMDetection 3 shifts by a fraction of the image, not by pixels. Use TranslateX or TranslateY.'
    ),
    'ColorTransform': _color('Color'),
    'BrightnessTransform': _color('Brightness'),
    'ContrastTransform': _color('Contrast'),
    'EqualizeTransform': _color('Equalize'),
}


def translate_transform(step: Step) -> dict[str, Any]:
    """Translate one transform; one that MMDetection 2 does not have is the user's own and stays as it is.

    Returns:
        The step's config, translated in place.
    """
    translate = TRANSFORMS.get(step.kind)
    if translate is not None:
        translate(step)
    elif not is_registered(step.kind):
        step.refuse(
            'neither MMDetection 2 nor 3 has a transform of this name. If it is yours, register it with '
            "mmdet.registry.TRANSFORMS in a module that the config's custom_imports names."
        )
    return step.config


def is_registered(kind: str) -> bool:
    """Whether MMDetection 3 or the user has registered a transform of this name; imports MMDetection."""
    import mmdet.datasets.transforms  # noqa: F401
    from mmdet.registry import TRANSFORMS as REGISTRY

    return REGISTRY.get(kind) is not None
