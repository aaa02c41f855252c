"""The configs of ``configs/zoo``: what makes each small enough for a test, and which losses its heads have.

They are shrunk from outside, by the options that the command line takes; the files are run as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

ZOO = Path(__file__).parents[2] / 'configs' / 'zoo'
IMAGES, CLASSES = 8, 5  # of the dataset that they are trained on
SIDE = (64, 64)

# Two iterations in one epoch, or one in each of two epochs where the pipeline changes in the last one.
ONE_EPOCH = {'train_cfg.max_epochs': 1, 'train_dataloader.batch_size': IMAGES // 2}
TWO_EPOCHS = {'train_cfg.max_epochs': 2, 'train_dataloader.batch_size': IMAGES}
RUN = {
    'model.backbone.init_cfg': None,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'default_hooks.logger.interval': 1,
    'default_hooks.checkpoint.save_optimizer': False,
    'randomness.seed': 0,
}


def _sides(*keys: str) -> dict[str, Any]:
    return dict.fromkeys(keys, SIDE)


_TRAIN, _MIXED = 'train_dataloader.dataset.pipeline', 'train_dataloader.dataset.dataset.pipeline'
_VAL, _SECOND = 'val_dataloader.dataset.pipeline', 'custom_hooks.1.switch_pipeline'
_RESIZED = _sides(f'{_TRAIN}.2.scale', f'{_VAL}.1.scale')
_FPN = {'model.backbone.depth': 18, 'model.neck.in_channels': [64, 128, 256, 512], **_RESIZED}
_DENSE = {**_FPN, 'model.bbox_head.stacked_convs': 1, 'model.test_cfg.score_thr': 0.0}
_RCNN = {
    **_FPN,
    'model.train_cfg.rpn_proposal.max_per_img': 50,
    'model.test_cfg.rpn.max_per_img': 50,
    'model.test_cfg.rcnn.max_per_img': 20,
    'model.test_cfg.rcnn.score_thr': 0.0,
}
_TWO_STAGES = {**_RCNN, 'model.roi_head.bbox_head.fc_out_channels': 64, 'model.train_cfg.rcnn.sampler.num': 32}
_RTMDET = {
    **TWO_EPOCHS,
    **_sides(*(f'{_TRAIN}.{step}' for step in ('2.img_scale', '3.scale', '4.crop_size', '7.size', '8.img_scale'))),
    **_sides(*(f'{_SECOND}.{step}' for step in ('2.scale', '3.crop_size')), f'{_VAL}.1.scale', f'{_VAL}.2.size'),
    'custom_hooks.1.switch_epoch': 1,
    'model.test_cfg.score_thr': 0.0,
    'model.test_cfg.max_per_img': 20,
}
_DETR = {
    'model.backbone.depth': 18,
    'model.encoder.num_layers': 1,
    'model.decoder.num_layers': 2,
    'model.num_queries': 20,
    'model.test_cfg.max_per_img': 20,
    f'{_VAL}.1.scale': SIDE,
    f'{_TRAIN}.3.transforms.0.0.scales': [SIDE],
    f'{_TRAIN}.3.transforms.1.0.scales': [SIDE],
    f'{_TRAIN}.3.transforms.1.1.crop_size': SIDE,
    f'{_TRAIN}.3.transforms.1.2.scales': [SIDE],
}


def _losses(names: str, prefixes: tuple[str, ...] = ('',)) -> frozenset[str]:
    return frozenset(f'{prefix}loss_{name}' for prefix, name in product(prefixes, names.split()))


@dataclass(frozen=True)
class StockConfig:
    """One file of ``configs/zoo``.

    Attributes:
        name: Its name, without ``_demo.py``.
        losses: The losses of its heads, as they are logged.
        shrink: Config key to value.
        heads: How many numbers of classes its model holds.
        augmented: Transforms of several images, each applied to every image of the first epoch and to none later.
        metrics: What it evaluates.
    """

    name: str
    losses: frozenset[str]
    shrink: dict[str, Any] = field(repr=False)
    heads: int = 1
    augmented: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ('bbox',)

    @property
    def path(self) -> Path:
        return ZOO / f'{self.name}_demo.py'

    def options(self, dataset: str) -> list[str]:
        """Arguments for the command line: another dataset, and all that makes the run small."""
        paths = {f'data.{split}.deeplake_path': dataset for split in ('train', 'val')}
        options = {**RUN, **ONE_EPOCH, **self.shrink, **paths}
        return ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]


STOCK = (
    StockConfig('faster-rcnn_r50_fpn_1x', _losses('rpn_cls rpn_bbox cls bbox'), _TWO_STAGES),
    StockConfig(
        'cascade-rcnn_r50_fpn_1x',
        _losses('rpn_cls rpn_bbox') | _losses('cls bbox', ('s0.', 's1.', 's2.')),
        {**_RCNN, **{f'model.roi_head.bbox_head.{stage}.fc_out_channels': 64 for stage in range(3)}},
        heads=3,
    ),
    StockConfig('retinanet_r50_fpn_1x', _losses('cls bbox'), _DENSE),
    StockConfig('fcos_r50-caffe_fpn_gn-head_1x', _losses('cls bbox centerness'), _DENSE),
    StockConfig('atss_r50_fpn_1x', _losses('cls bbox centerness'), _DENSE),
    StockConfig(
        'ssd300',
        _losses('cls bbox'),
        {
            **_sides(f'{_MIXED}.4.scale', f'{_VAL}.1.scale'),
            'train_dataloader.dataset.times': 1,
            'model.backbone.depth': 11,
            'model.backbone.out_feature_indices': (14, 24),
            'model.neck.level_paddings': (1, 1, 1, 1),
            'model.test_cfg.score_thr': 0.0,
        },
    ),
    StockConfig(
        'yolov3_d53_8xb8-ms-416-273e',
        _losses('cls conf xy wh'),
        {
            f'{_TRAIN}.4.scale': [(48, 48), SIDE],
            f'{_VAL}.1.scale': SIDE,
            'model.test_cfg.conf_thr': 0.0,
            'model.test_cfg.score_thr': 0.0,
        },
    ),
    StockConfig(
        'yolox_s_8xb8-300e',
        _losses('cls bbox obj l1'),
        {
            **TWO_EPOCHS,
            **_sides(*(f'{_TRAIN}.{step}' for step in ('0.img_scale', '2.img_scale', '5.scale')), f'{_VAL}.1.scale'),
            f'{_TRAIN}.1.border': (-32, -32),
            'custom_hooks.0.num_last_epochs': 0,  # the hook counts one epoch more
            'model.test_cfg.score_thr': 0.0,
        },
        augmented=('Mosaic', 'MixUp'),
    ),
    StockConfig(
        'rtmdet_tiny_8xb32-300e',
        _losses('cls bbox'),
        {**_RTMDET, f'{_SECOND}.6.size': SIDE},
        augmented=('CachedMosaic', 'CachedMixUp'),
    ),
    StockConfig('detr_r50_8xb2-150e', _losses('cls bbox iou', ('', 'd0.')), {**_DETR, 'model.neck.in_channels': [512]}),
    StockConfig(
        'deformable-detr_r50_16xb2-50e',
        _losses('cls bbox iou', ('', 'd0.')),
        {**_DETR, 'model.neck.in_channels': [128, 256, 512]},
    ),
    StockConfig(
        'dino-4scale_r50_8xb2-12e',
        _losses('cls bbox iou', ('', 'd0.', 'enc_', 'dn_', 'd0.dn_')),
        {**_DETR, 'model.neck.in_channels': [128, 256, 512], 'model.dn_cfg.group_cfg.num_dn_queries': 10},
    ),
    StockConfig(
        'centernet_r18_8xb16-crop512-140e',
        _losses('center_heatmap wh offset'),
        {**_sides(f'{_MIXED}.3.crop_size', f'{_MIXED}.4.scale'), 'train_dataloader.dataset.times': 1},
    ),
    StockConfig(
        'mask-rcnn_r50_fpn_1x',
        _losses('rpn_cls rpn_bbox cls bbox mask'),
        {**_TWO_STAGES, 'model.roi_head.mask_head.num_convs': 1},
        heads=2,
        metrics=('bbox', 'segm'),
    ),
    StockConfig(
        'rtmdet-ins_tiny_8xb32-300e',
        _losses('cls bbox mask'),
        {**_RTMDET, f'{_SECOND}.7.size': SIDE},
        augmented=('CachedMosaic', 'CachedMixUp'),
        metrics=('bbox', 'segm'),
    ),
)
