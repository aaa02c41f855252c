"""What a pipeline of MMDetection 2 does to the pixels that MMDetection 3 leaves to the model: normalise, and pad.

In MMDetection 2 these are steps of the pipeline; in MMDetection 3 the model's ``data_preprocessor`` does them, behind
all steps. Moving them there must not change what the model sees, so whatever stands behind ``Normalize`` has to commute
with it, and whatever stands behind the padding has to leave images alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.resize import scale_list

# They move or take pixels, but neither compute with them nor make new ones.
_COMMUTE = ('RandomFlip', 'RandomCrop', 'SegRescale', 'FilterAnnotations', 'LoadAnnotations', 'LoadPanopticAnnotations')
_KEEP_SIZE = (
    'RandomFlip',
    'Normalize',
    'PhotoMetricDistortion',
    'CutOut',
    'Corrupt',
    'YOLOXHSVRandomAug',
    'RandomShift',
    'SegRescale',
    'FilterAnnotations',
    'LoadAnnotations',
    'CopyPaste',
)
_KEEP_NORMALIZE = (
    'Or write the pipeline in MMDetection 3\'s form with dict(type="Normalize", mean=…, std=…, to_rgb=…) in it, '
    'and set mean=None, std=None, bgr_to_rgb=False in model.data_preprocessor.'
)


@dataclass(frozen=True)
class Pixels:
    """What the preprocessor has to do for one pipeline.

    Attributes:
        mean, std: Per channel, in the order of ``to_rgb``; None if nothing is normalised.
        to_rgb: Whether BGR becomes RGB before that.
        divisor: Height and width are padded to multiples of it.
        fixed: (height, width) that all images are padded to, or None.
        pad_value, mask_value, seg_value: What is padded with.
        sizes: The (height, width) that images can have behind the pipeline, if the pipeline tells; else None.
        masks, seg: Whether masks and semantic maps reach the model.
        seg_scale: By what semantic maps are shrunk.
        border_is_image: Whether a test image is padded within the pipeline; for MMDetection 3 the border is image then.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    to_rgb: bool = False
    divisor: int = 1
    fixed: tuple[int, int] | None = None
    pad_value: float = 0
    mask_value: float = 0
    seg_value: float = 255
    sizes: tuple[tuple[int, int], ...] | None = None
    masks: bool = False
    seg: bool = False
    seg_scale: float = 1
    border_is_image: bool = False

    def fits(self, divisor: int) -> bool:
        """Whether padding to multiples of ``divisor`` does to these images what the pipeline did."""
        if self.fixed:
            return all(edge % divisor == 0 for edge in self.fixed)
        known = self.sizes is not None and all(edge % divisor == 0 for size in self.sizes for edge in size)
        return self.divisor == divisor or (self.divisor == 1 and known)


def take_pixels(steps: list[dict[str, Any]], where: str, notes: Notes) -> dict[str, Any]:
    """Take ``Normalize`` and the ``Pad`` behind it out of a pipeline.

    Args:
        steps: The transforms of MMDetection 2 in front of the formatting ones; changed in place.
        where: The pipeline's config key.
        notes: Where problems are noted.

    Returns:
        Arguments of `Pixels`.
    """
    found: dict[str, Any] = {'sizes': _sizes(steps)}
    places = [i for i, step in enumerate(steps) if step['type'] == 'Normalize']
    if not places:
        return found
    if len(places) > 1:
        notes.problem(f'{where}: Normalize', f'stands there {len(places)} times, and a model normalises once.')
    behind = steps[places[0] + 1 :]
    normalize = steps.pop(places[0])
    found.update(
        mean=tuple(float(value) for value in normalize['mean']),
        std=tuple(float(value) for value in normalize['std']),
        to_rgb=bool(normalize.get('to_rgb', True)),
    )
    for i, step in enumerate(behind):
        if step['type'] == 'Pad':
            found.update(_take_pad(step, behind[i + 1 :], steps, found['mean'], where, notes))
        elif step['type'] not in (*_COMMUTE, 'Normalize'):
            notes.problem(
                f'{where}: {step["type"]}',
                'stands behind Normalize, where MMDetection 3 has no transforms: the model normalises. '
                f'Move it in front of Normalize. {_KEEP_NORMALIZE}',
            )
    return found


def _take_pad(
    pad: dict[str, Any],
    behind: Sequence[dict[str, Any]],
    steps: list[dict[str, Any]],
    mean: tuple[float, ...],
    where: str,
    notes: Notes,
) -> dict[str, Any]:
    values = _pad_values(pad)
    black = not any(mean) and not values['pad_value']  # then black stays black, and the padding may stay in place
    last = all(step['type'] in _COMMUTE[2:] for step in behind)
    if (pad.get('pad_to_square') or not last) and black:
        return {}
    if pad.get('pad_to_square') or not last or values['pad_value'] is None:
        notes.problem(
            f'{where}: Pad',
            'behind Normalize it can only be the last transform and pad with one value, by size or size_divisor: the '
            f'model pads. Move it in front of Normalize, with pad_val=mean. {_KEEP_NORMALIZE}',
        )
        return {}
    del steps[next(i for i, step in enumerate(steps) if step is pad)]
    if pad.get('size') is not None:
        return {**values, 'fixed': tuple(pad['size'])}
    return {**values, 'divisor': pad.get('size_divisor') or 1}


def _pad_values(pad: dict[str, Any]) -> dict[str, Any]:
    given = pad.get('pad_val', {})
    if not isinstance(given, dict):
        given = dict(img=given, masks=given)
    image = given.get('img', 0)
    if isinstance(image, (list, tuple)):
        image = image[0] if len(set(image)) == 1 else None
    elif image != 0:  # a number pads the first channel only
        image = None
    return dict(pad_value=image, mask_value=given.get('masks', 0), seg_value=given.get('seg', 255))


def _sizes(steps: Sequence[dict[str, Any]]) -> tuple[tuple[int, int], ...] | None:
    """The (height, width) that images can have behind the steps; None if that depends on the image."""
    sizes: tuple[tuple[int, int], ...] | None = None
    for step in steps:
        kind = step['type']
        if kind == 'Resize':
            sizes = _resized(step)
        elif kind == 'Pad' and step.get('size') is not None:
            sizes = (tuple(step['size']),)
        elif kind == 'Pad' and sizes and step.get('size_divisor'):
            divisor = step['size_divisor']
            sizes = tuple((-(-h // divisor) * divisor, -(-w // divisor) * divisor) for h, w in sizes)
        elif kind not in _KEEP_SIZE:
            sizes = None
    return sizes


def _resized(step: dict[str, Any]) -> tuple[tuple[int, int], ...] | None:
    if step.get('keep_ratio', True) or step.get('ratio_range') or not step.get('img_scale'):
        return None
    scales = scale_list(step['img_scale'])
    if len(scales) > 1 and step.get('multiscale_mode', 'range') != 'value':
        return None
    return tuple((scale[1], scale[0]) for scale in scales)
