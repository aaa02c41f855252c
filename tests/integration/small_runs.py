"""Short trainings and evaluations, small enough for two cores."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch
from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet.engine.num_classes import head_keys
from deeplake_mmdet.metrics.coco_summary import summarize

DETECTOR = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
MASK_DETECTOR = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
NARROW = {
    DETECTOR: {
        'model.backbone.init_cfg': None,
        'model.backbone.widen_factor': 0.125,
        'model.neck.in_channels': [32, 64, 128],
        'model.neck.out_channels': 32,
        'model.bbox_head.in_channels': 32,
        'model.bbox_head.feat_channels': 32,
    },
    MASK_DETECTOR: {
        'model.backbone.init_cfg': None,
        'model.backbone.depth': 18,
        'model.neck.in_channels': [64, 128, 256, 512],
    },
}
SIZE = (96, 96)
TRAIN_PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=SIZE, ratio_range=(0.5, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=SIZE),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=SIZE, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]


class LossLog(Hook):
    """Keeps the losses of every iteration."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append({key: float(value) for key, value in outputs.items()})


def train_config(
    dataset: dict,
    classes: tuple[str, ...],
    work_dir: Path,
    *,
    detector: str = DETECTOR,
    iterations: int = 20,
    workers: int = 0,
    **changes: Any,
) -> Config:
    """A narrow stock detector over any dataset config; `changes` override whole top-level keys."""
    config = Config.fromstring(f'_base_ = {detector!r}\n', '.py')
    config.merge_from_dict(NARROW[detector])
    for _, node, name in list(head_keys(config.model)):
        node[name] = len(classes)
    config.train_dataloader = dict(
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=None,
        dataset=dataset,
    )
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=10**6)
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator', 'test_cfg'):
        config[key] = None
    config.param_scheduler = None
    config.custom_hooks = []
    config.default_hooks.checkpoint = None
    del config.default_hooks['visualization']
    config.log_level = 'WARNING'
    config.randomness = dict(seed=3, deterministic=True)
    config.work_dir = str(work_dir)
    config.update(changes)
    return config


def train_losses(dataset: dict, classes: tuple[str, ...], work_dir: Path, **kwargs: Any) -> list[dict[str, float]]:
    """Train on one thread, and return the losses of every iteration."""
    torch.set_num_threads(1)
    runner = Runner.from_cfg(train_config(dataset, classes, work_dir, **kwargs))
    log = LossLog()
    runner.register_hook(log)
    runner.train()
    return log.losses


def random_predictions(dataset: Any, seed: int, masks: bool = False) -> list[dict]:
    """One sample dict an image, as a model's test step gives it: jittered ground truth and noise, with ties."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        boxes = [instance['bbox'] for instance in info['instances'] if rng.random() < 0.8]
        labels = [instance['bbox_label'] for instance in info['instances']][: len(boxes)]
        if i % 7 == 3:
            boxes, labels = [], []  # nothing found
        else:
            boxes += rng.uniform(0, min(info['width'], info['height']), (2, 4)).tolist()
            labels += rng.integers(0, len(dataset.metainfo['classes']), 2).tolist()
        boxes = np.asarray(boxes).reshape(-1, 4) + rng.normal(0, 1.0, (len(boxes), 4))
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
        predicted = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            scores=torch.tensor(rng.integers(1, 10, len(boxes)) / 10, dtype=torch.float32),
            labels=torch.tensor(labels, dtype=torch.int64),
        )
        if masks:
            predicted.masks = [_box_mask(box, info['height'], info['width']) for box in boxes]
        samples.append(
            {
                'img_id': info['img_id'],
                'ori_shape': (info['height'], info['width']),
                'pred_instances': predicted,
            }
        )
    return samples


def _box_mask(box: np.ndarray, height: int, width: int) -> dict:
    mask = np.zeros((height, width), np.uint8, order='F')
    x1, y1, x2, y2 = np.clip(box, 0, None).astype(int)
    mask[y1:y2, x1:x2] = 1
    return mask_util.encode(mask)


def measured(metric: dict, dataset: Any, predictions: list[dict]) -> Any:
    """A metric that has evaluated predictions, and the values that it gave."""
    evaluator = METRICS.build(metric)
    evaluator.dataset_meta = dataset.metainfo
    for sample in predictions:
        evaluator.process({}, [copy.deepcopy(sample)])
    return evaluator, evaluator.evaluate(len(predictions))


def twelve_numbers(evaluator: Any, metric: str) -> list[float]:
    """The numbers of `DeepLakeCocoMetric`, unrounded, by pycocotools' order."""
    evaluation = evaluator.evaluation
    return list(summarize(evaluation.curves[metric], evaluation.truth.category_ids).values())


def twelve_of_pycocotools(ann_file: str, classes: tuple[str, ...], predictions: list[dict], metric: str) -> list[float]:
    """The numbers of a run of pycocotools on the JSON."""
    truth = COCO(ann_file)
    ids = {category['name']: category['id'] for category in truth.dataset['categories']}
    results = []
    for sample in predictions:
        found = sample['pred_instances']
        for k, (x1, y1, x2, y2) in enumerate(found.bboxes.tolist()):
            result = {'image_id': sample['img_id'], 'category_id': ids[classes[int(found.labels[k])]]}
            result['score'] = float(found.scores[k])
            if metric == 'segm':
                result['segmentation'] = found.masks[k]
            else:
                result['bbox'] = [x1, y1, x2 - x1, y2 - y1]
            results.append(result)
    evaluation = COCOeval(truth, truth.loadRes(results), 'segm' if metric == 'segm' else 'bbox')
    evaluation.params.maxDets = [100, 300, 1000]
    evaluation.params.imgIds = [sample['img_id'] for sample in predictions]
    evaluation.params.catIds = [ids[name] for name in classes]
    evaluation.params.useCats = int(metric != 'proposal')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()
