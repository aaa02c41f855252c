"""``Resize`` of MMDetection 2 is three transforms in MMDetection 3: one scale, a choice of scales, a range of scales.

The translations draw the same random numbers in the same order, so that equal seeds give equal sizes.
"""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.config.upgrade.step import Step

OLD_KEYS = ('img_scale', 'multiscale_mode', 'override', 'bbox_clip_border')


def translate_resize(step: Step) -> None:
    """Translate a ``Resize``; its ``keep_ratio`` is always written, as the two defaults differ."""
    config = step.config
    config.setdefault('keep_ratio', True)
    step.rename('bbox_clip_border', 'clip_object_border')
    config.pop('override', None)  # MMDetection 3 resizes as often as it is told to
    mode = config.pop('multiscale_mode', 'range')
    ratio_range = config.pop('ratio_range', None)
    if 'img_scale' not in config:
        if 'scale' not in config and 'scale_factor' not in config:
            step.refuse('no scale is given here. Write Resize(scale=(width, height), keep_ratio=…).', 'img_scale')
        return
    scales = scale_list(config.pop('img_scale'))
    if ratio_range is not None:
        _by_ratio(step, scales, ratio_range)
    elif len(scales) == 1:
        step.notes.translated('Resize.img_scale', 'Resize.scale')
        _put_first(config, 'Resize', scale=scales[0])
    elif mode == 'value':
        step.notes.translated('Resize(multiscale_mode=value)', 'RandomChoiceResize')
        _put_first(config, 'RandomChoiceResize', scales=scales)
    else:
        _by_range(step, scales, mode)


def scale_list(scales: Any) -> list[tuple[int, ...]]:
    """The scales of an ``img_scale``: one pair or a list of pairs."""
    if len(scales) == 2 and all(isinstance(edge, int) for edge in scales):
        return [tuple(scales)]
    return [tuple(scale) for scale in scales]


def _by_ratio(step: Step, scales: list[tuple[int, ...]], ratio_range: Any) -> None:
    if len(scales) != 1:
        step.refuse('expected one scale beside ratio_range. Write RandomResize(scale=…, ratio_range=…).', 'img_scale')
        return
    step.notes.translated('Resize.ratio_range', 'RandomResize')
    _put_first(step.config, 'RandomResize', scale=scales[0], ratio_range=tuple(ratio_range))


def _by_range(step: Step, scales: list[tuple[int, ...]], mode: Any) -> None:
    if mode != 'range' or len(scales) != 2:
        step.refuse(
            f'expected two scales for multiscale_mode={mode!r}, but got {len(scales)}. '
            'Write RandomChoiceResize(scales=[…]) to choose among them.',
            'img_scale',
        )
        return
    step.notes.translated('Resize(multiscale_mode=range)', 'RandomResize')
    # MMDetection 2 draws the long edge and then the short one; MMDetection 3 the first and then the second.
    _put_first(step.config, 'RandomResize', scale=[(max(scale), min(scale)) for scale in scales])


def _put_first(config: dict[str, Any], kind: str, **arguments: Any) -> None:
    rest = {key: value for key, value in config.items() if key != 'type'}
    config.clear()
    config.update({'type': kind, **arguments, **rest})
