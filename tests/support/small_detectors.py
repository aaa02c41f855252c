"""MMDetection's stock detectors made narrow, with random weights, and batches of small images for them."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

CLASSES = 3
_RESNET: dict[str, Any] = {'backbone.depth': 18, 'backbone.base_channels': 16, 'backbone.init_cfg': None}
_FPN = {**_RESNET, 'neck.in_channels': [16, 32, 64, 128], 'neck.out_channels': 16}
_DENSE = {'bbox_head.num_classes': CLASSES, 'bbox_head.in_channels': 16, 'bbox_head.feat_channels': 16}
_RCNN = {
    **_FPN,
    'rpn_head.in_channels': 16,
    'rpn_head.feat_channels': 16,
    'train_cfg.rpn_proposal.max_per_img': 100,
    'test_cfg.rpn.max_per_img': 50,
    'test_cfg.rcnn.score_thr': 0.0,
    'test_cfg.rcnn.max_per_img': 10,
    'roi_head.bbox_roi_extractor.out_channels': 16,
    'roi_head.bbox_head.in_channels': 16,
    'roi_head.bbox_head.fc_out_channels': 32,
    'roi_head.bbox_head.num_classes': CLASSES,
}
_FEW = {'test_cfg.score_thr': 0.0, 'test_cfg.max_per_img': 10}
_DEFORMABLE = {
    **_RESNET,
    'neck.in_channels': [32, 64, 128],
    'bbox_head.num_classes': CLASSES,
    'encoder.num_layers': 1,
    'decoder.num_layers': 2,
    'num_queries': 20,
    'test_cfg.max_per_img': 10,
}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    'RetinaNet': ('retinanet/retinanet_r50_fpn_1x_coco.py', {**_FPN, **_DENSE, **_FEW, 'bbox_head.stacked_convs': 1}),
    'FCOS': (
        'fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py',
        {**_FPN, **_DENSE, **_FEW, 'bbox_head.stacked_convs': 1, 'bbox_head.feat_channels': 64},
    ),
    'RTMDet': (
        'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        {
            **_DENSE,
            **_FEW,
            'data_preprocessor.pad_size_divisor': 32,
            'backbone.init_cfg': None,
            'backbone.widen_factor': 0.125,
            'neck.in_channels': [32, 64, 128],
            'neck.out_channels': 16,
        },
    ),
    'YOLOX': (
        'yolox/yolox_tiny_8xb8-300e_coco.py',
        {
            **_DENSE,
            **_FEW,
            'backbone.widen_factor': 0.125,
            'neck.in_channels': [32, 64, 128],
            'neck.out_channels': 16,
        },
    ),
    'Faster R-CNN': ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', _RCNN),
    'Mask R-CNN': (
        'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
        {
            **_RCNN,
            'roi_head.mask_roi_extractor.out_channels': 16,
            'roi_head.mask_head.in_channels': 16,
            'roi_head.mask_head.conv_out_channels': 16,
            'roi_head.mask_head.num_convs': 1,
            'roi_head.mask_head.num_classes': CLASSES,
        },
    ),
    'Deformable DETR': ('deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', _DEFORMABLE),
    'DINO': (
        'dino/dino-4scale_r50_8xb2-12e_coco.py',
        {**_DEFORMABLE, 'dn_cfg.group_cfg.num_dn_queries': 10},
    ),
}
SIZES = ((64, 96), (96, 64), (64, 96), (80, 80), (64, 90))  # height and width; the last is padded to the first


def small_detector(name: str) -> nn.Module:
    """A narrow detector with random weights, and with running statistics that fit to them."""
    return copy.deepcopy(_built(name))


@functools.cache
def _built(name: str) -> nn.Module:
    register_all_modules()
    path, shrink = SMALL[name]
    config = Config.fromstring(f"_base_ = 'mmdet::{path}'\n", '.py')
    config.merge_from_dict({f'model.{key}': value for key, value in shrink.items()})
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    if hasattr(model, 'level_embed'):
        nn.init.normal_(model.level_embed)  # no other parameter of these detectors waits for `init_weights`
    _normalise(model)
    return model


def _normalise(model: nn.Module) -> None:
    """One forward pass sets all running statistics, as a long training would."""
    normed = [module for module in model.modules() if hasattr(module, 'running_mean')]
    momenta = [module.momentum for module in normed]
    for module in normed:
        module.momentum = 1.0
        module.train()
    images = small_batch(((140, 140),) * 4)['inputs']  # padded, too
    inputs = model.data_preprocessor({'inputs': images, 'data_samples': None})['inputs']
    with torch.no_grad():
        features = model.extract_feat(inputs)
        if hasattr(getattr(model, 'bbox_head', None), 'prior_generator'):
            model.bbox_head(features)
    for module, momentum in zip(normed, momenta, strict=True):
        module.momentum = momentum


def small_batch(sizes: tuple[tuple[int, int], ...] = SIZES, masks: bool = False, seed: int = 0) -> dict[str, list[Any]]:
    """Smooth noise with 0 to 3 objects, as the dataloader gives it; the images are half as large as their originals."""
    rng = np.random.default_rng(seed)
    batch: dict[str, list[Any]] = {'inputs': [], 'data_samples': []}
    for number, size in enumerate(sizes):
        coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, size[0] // 8, size[1] // 8)))
        image = nn.functional.interpolate(coarse, size, mode='bilinear')[0]
        batch['inputs'].append(image.to(torch.uint8))
        batch['data_samples'].append(_sample(rng, number % 4, size, masks))
    return batch


def _sample(rng: np.random.Generator, count: int, size: tuple[int, int], masks: bool) -> DetDataSample:
    height, width = size
    corner = rng.uniform(0, 0.5, (count, 2)) * (width, height)
    extent = rng.uniform(0.2, 0.5, (count, 2)) * (width, height)
    boxes = torch.from_numpy(np.concatenate([corner, corner + extent], 1).astype(np.float32))
    objects = InstanceData(bboxes=boxes, labels=torch.from_numpy(rng.integers(0, CLASSES, count)))
    if masks:
        bitmaps = np.zeros((count, height, width), np.uint8)
        for bitmap, (left, top, right, bottom) in zip(bitmaps, boxes.numpy().astype(int), strict=True):
            bitmap[top:bottom, left:right] = 1
        objects.masks = BitmapMasks(bitmaps, height, width)
    ignored = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    meta = dict(img_shape=size, ori_shape=(2 * height, 2 * width), scale_factor=(0.5, 0.5), img_id=0, img_path='')
    return DetDataSample(gt_instances=objects, ignored_instances=ignored, metainfo=meta)
