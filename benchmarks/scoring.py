"""Scoring: images/s of `ImageLosses` beside a loop over batches of one image, for each family of detectors.

    python benchmarks/scoring.py --device cuda                          # batches of 32 images of 640 pixels
    python benchmarks/scoring.py --batch-size 8 --size 320 --repeat 3   # minutes on two CPU cores

The detectors are MMDetection's stock configs with random weights; the images are noise with seven boxes each, and are
in memory, so that nothing but the detector is measured. Both sides give the same losses, with the same preprocessing;
the loop calls the detector's own ``loss`` with one image after the other (with ``--predictions`` also ``predict``).
They take turns within one process, after one turn each that does not count.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from typing import Any

import numpy as np

DETECTORS = {
    'RetinaNet': 'retinanet/retinanet_r50_fpn_1x_coco.py',
    'RTMDet': 'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'YOLOX': 'yolox/yolox_s_8xb8-300e_coco.py',
    'Faster R-CNN': 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'Mask R-CNN': 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'Deformable DETR': 'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
}
OBJECTS, CLASSES = 7, 80  # COCO has 7.3 objects an image
TOGETHER, LOOP = SIDES = ('batched', 'one by one')


def build(name: str, device: str) -> Any:
    """A stock detector with random weights."""
    import torch
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules()
    logging.disable(logging.INFO)
    config = Config.fromstring(f"_base_ = 'mmdet::{DETECTORS[name]}'\n", '.py').model
    config.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    return model.to(device)


def make_batch(count: int, size: int, masks: bool) -> dict[str, list[Any]]:
    """Noise with boxes, and rectangles as masks, as the dataloader gives it."""
    import torch
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    rng = np.random.default_rng(0)
    batch: dict[str, list[Any]] = {'inputs': [], 'data_samples': []}
    for _ in range(count):
        corner = rng.uniform(0, 0.6 * size, (OBJECTS, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(0.05 * size, 0.4 * size, (OBJECTS, 2))], 1)
        objects = InstanceData(
            bboxes=torch.from_numpy(boxes.astype(np.float32)),
            labels=torch.from_numpy(rng.integers(0, CLASSES, OBJECTS)),
        )
        if masks:
            bitmaps = np.zeros((OBJECTS, size, size), np.uint8)
            for bitmap, (left, top, right, bottom) in zip(bitmaps, boxes.astype(int), strict=True):
                bitmap[top:bottom, left:right] = 1
            objects.masks = BitmapMasks(bitmaps, size, size)
        meta = dict(img_shape=(size, size), ori_shape=(size, size), scale_factor=(1.0, 1.0))
        ignored = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        batch['data_samples'].append(DetDataSample(metainfo=meta, gt_instances=objects, ignored_instances=ignored))
        batch['inputs'].append(torch.from_numpy(rng.integers(0, 256, (3, size, size), dtype=np.uint8)))
    return batch


def measure(name: str, arguments: argparse.Namespace) -> tuple[dict[str, list[float]], str, float]:
    """Images/s of each turn of each side, how the batched side computes, and by how much the losses differ at most."""
    import torch

    from deeplake_mmdet.scoring.image_losses import ImageLosses

    model = build(name, arguments.device)
    batch = make_batch(arguments.batch_size, arguments.size, masks=name == 'Mask R-CNN')
    sides = {side: ImageLosses(model, batched=side == TOGETHER, predicts=arguments.predictions) for side in SIDES}
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    found: dict[str, list[float]] = {}
    for turn in range(arguments.repeat + 1):
        for side, losses in sides.items():
            if arguments.device.startswith('cuda'):
                torch.cuda.synchronize()
            begin = time.perf_counter()
            found[side] = [result.losses['loss'] for result in losses(batch)]
            if turn:
                rates[side].append(arguments.batch_size / (time.perf_counter() - begin))
    together, alone = (np.array(found[side]) for side in SIDES)
    return rates, sides[TOGETHER].how, float(np.max(np.abs(together - alone) / np.abs(alone)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--size', type=int, default=640, help='height and width in pixels')
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--predictions', action='store_true', help='predict, too')
    parser.add_argument('--detectors', nargs='+', choices=DETECTORS, default=list(DETECTORS))
    arguments = parser.parse_args()
    warnings.filterwarnings('ignore')
    print(f'batches of {arguments.batch_size} images of {arguments.size} pixels on {arguments.device}', flush=True)
    for name in arguments.detectors:
        rates, how, difference = measure(name, arguments)
        ratios = [one / other for one, other in zip(*rates.values(), strict=True)]
        columns = ''.join(f'{statistics.median(values):9.2f} images/s {side}' for side, values in rates.items())
        print(
            f'{name:<16}{columns}, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}),'
            f' losses differ by at most {difference:.1e}. {how}',
            flush=True,
        )


if __name__ == '__main__':
    main()
