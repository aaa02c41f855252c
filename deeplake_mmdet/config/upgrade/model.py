"""A model of MMDetection 2 as one of MMDetection 3.

Most models are written alike; what differs is named here and in `model_parts`. What the pipelines did to pixels comes
to the model as its ``data_preprocessor``.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from deeplake_mmdet.config.upgrade.model_parts import upgrade_parts
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.pixels import Pixels
from deeplake_mmdet.config.upgrade.preprocessor import preprocessor_of
from deeplake_mmdet.config.upgrade.step import plain

# What MMDetection 3 says of its loops under the names that MMDetection 2 has for the model's settings.
_LOOP_KEYS = {
    'train_cfg': ('type', 'by_epoch', 'max_epochs', 'max_iters', 'val_interval', 'val_begin', 'dynamic_intervals'),
    'test_cfg': ('type', 'fp16'),
}
# Losses for which MMDetection 2 takes all anchors, whatever sampler is given.
_TAKE_ALL = ('FocalLoss', 'GHMC', 'QualityFocalLoss')
_MULTI_SCALE = ('input_size', 'size_multiplier', 'random_size_range', 'random_size_interval')


def upgrade_model(config: MutableMapping[str, Any], notes: Notes) -> None:
    """Translate ``model``, and ``train_cfg`` and ``test_cfg`` where they stand beside it.

    Args:
        config: The config, changed in place.
        notes: Where translations and problems are noted.
    """
    model = plain(config.get('model') or {})
    before = plain(model)
    for key in _LOOP_KEYS:
        _settings(config, model, key, notes)
    _pretrained(model, notes)
    _samplers(model, notes)
    upgrade_parts(model, notes)
    if any(key in model for key in _MULTI_SCALE):
        _multi_scale(model, notes)
    if model != before:
        config['model'] = model


def _settings(config: MutableMapping[str, Any], model: dict[str, Any], key: str, notes: Notes) -> None:
    given = config.get(key)
    if not isinstance(given, Mapping):
        return
    ours = {name: plain(value) for name, value in given.items() if name not in (*_LOOP_KEYS[key], '_scope_')}
    if not ours:
        return
    notes.translated(key, f'model.{key}')
    model[key] = {**(model.get(key) or {}), **ours}
    loop = {name: value for name, value in given.items() if name not in ours}
    if loop:
        config[key] = loop
    else:
        config.pop(key)


def _pretrained(model: dict[str, Any], notes: Notes) -> None:
    backbone = model.get('backbone')
    for owner, name in ((backbone, 'model.backbone.pretrained'), (model, 'model.pretrained')):
        if not isinstance(owner, dict) or 'pretrained' not in owner:
            continue
        checkpoint = owner.pop('pretrained')
        if checkpoint and isinstance(backbone, dict):
            notes.translated(name, 'model.backbone.init_cfg')
            backbone['init_cfg'] = dict(type='Pretrained', checkpoint=checkpoint)
        else:
            notes.dropped(f'{name}=None', 'nothing is loaded where init_cfg says nothing')


def _samplers(model: dict[str, Any], notes: Notes) -> None:
    settings = model.get('train_cfg')
    if not isinstance(settings, dict) or 'data_preprocessor' in model:
        return
    for head, own, where in (
        (model.get('bbox_head'), settings, 'model.train_cfg'),
        (model.get('rpn_head'), settings.get('rpn'), 'model.train_cfg.rpn'),
    ):
        if not isinstance(head, dict) or not isinstance(own, dict):
            continue
        loss = (head.get('loss_cls') or {}).get('type')
        if loss in _TAKE_ALL and (own.get('sampler') or {}).get('type', 'PseudoSampler') != 'PseudoSampler':
            del own['sampler']
            notes.dropped(f'{where}.sampler', f'MMDetection 2 takes all anchors with {loss}')


def _multi_scale(model: dict[str, Any], notes: Notes) -> None:
    """YOLOX resizes its batches; in MMDetection 3 the preprocessor does that."""
    asked = {key: model.pop(key) for key in _MULTI_SCALE if key in model}
    factor = asked.get('size_multiplier', 32)
    smallest, largest = asked.get('random_size_range', (15, 25))
    resize = dict(
        type='BatchSyncRandomResize',
        random_size_range=(smallest * factor, largest * factor),
        size_divisor=factor,
        interval=asked.get('random_size_interval', 10),
    )
    notes.translated('model.random_size_range', 'model.data_preprocessor batch_augments BatchSyncRandomResize')
    present = model.get('data_preprocessor') or {'type': 'DetDataPreprocessor'}
    model['data_preprocessor'] = {**present, 'batch_augments': [resize]}


def upgrade_preprocessor(
    config: MutableMapping[str, Any], pixels: Mapping[str, Pixels], untranslated: Sequence[str], notes: Notes
) -> None:
    """Give the model the preprocessor that does what the translated pipelines did.

    Args:
        config: The config, changed in place.
        pixels: Config key of each translated pipeline to what it needs.
        untranslated: Dataloaders whose pipelines rely on the preprocessor that is there.
        notes: Where disagreements are noted.
    """
    if not pixels:
        return
    model = plain(config.get('model') or {})
    if model.get('type') == 'YOLOX' and 'data_preprocessor' not in model:
        _multi_scale(model, notes)
    model['data_preprocessor'] = preprocessor_of(pixels, model.get('data_preprocessor'), untranslated, notes)
    _semantic_scale(model, pixels, notes)
    _mask_border(model, pixels, notes)
    config['model'] = model


def _semantic_scale(model: dict[str, Any], pixels: Mapping[str, Pixels], notes: Notes) -> None:
    """``SegRescale`` shrinks a semantic map before it is padded; in MMDetection 3 the head does it, behind that."""
    scales = {wanted.seg_scale for wanted in pixels.values() if wanted.seg}
    if scales in (set(), {1}):
        return
    head = (model.get('roi_head') or {}).get('semantic_head')
    if isinstance(head, dict) and len(scales) == 1:
        head['seg_scale_factor'] = scales.pop()
        notes.translated('SegRescale.scale_factor', 'model.roi_head.semantic_head.seg_scale_factor')
    else:
        notes.problem('SegRescale', 'no head of this model shrinks semantic maps so in MMDetection 3. Remove it.')


def _mask_border(model: Mapping[str, Any], pixels: Mapping[str, Pixels], notes: Notes) -> None:
    """One-stage models resize masks from what they take for the image; a border in it would distort them."""
    if 'roi_head' in model or not any(wanted.masks for wanted in pixels.values()):
        return
    for key, wanted in pixels.items():
        if wanted.border_is_image:
            notes.problem(
                f'{key}: Pad',
                'in MMDetection 3 the padded border counts as image, and masks would be distorted. Put Pad behind '
                'Normalize, so that the model pads.',
            )
