"""Evaluation: how long COCO's numbers take from gathered predictions on, and how much memory, beside `CocoMetric`.

    python benchmarks/evaluation.py                 # COCO val2017's size: 5,000 images, 36,781 boxes
    python benchmarks/evaluation.py --segm          # masks as well

It writes annotations in both forms (a COCO JSON, a Deep Lake dataset converted from it) and predictions for them, then
evaluates with each metric several times, in turn, each time in a fresh process. Time is that of `evaluate`: of ours the
first one, in which the ground truth is built and the engine is compared with pycocotools, and a later one; of
`CocoMetric` the only one (it repeats itself), without the reading of the JSON file. Memory is the highest resident
memory during the first evaluation, with everything that each side holds: its annotations and its predictions. Both have
to give the same twelve numbers, unrounded, or it fails.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from startup import CATEGORIES, POINTS, resident_mib

SIDES = ('CocoMetric', 'DeepLakeCocoMetric')
SIZE = (480, 640)  # height and width of all images
CLASSES = tuple(category['name'] for category in CATEGORIES)


def write_data(folder: Path, images: int, boxes: int, detections: int, *, masks: bool) -> None:
    """Write ``annotations.json``, the dataset ``deeplake`` and ``predictions.pickle``."""
    import cv2

    from deeplake_mmdet.convert.coco import convert_coco

    rng = np.random.default_rng(0)
    known = _objects(rng, images, boxes)
    picture = cv2.imencode('.jpg', np.zeros((*SIZE, 3), np.uint8))[1].tobytes()
    (folder / 'picture.jpg').write_bytes(picture)
    infos = [dict(id=4 * i + 9, file_name='picture.jpg', height=SIZE[0], width=SIZE[1]) for i in range(images)]
    annotations = [_annotation(number, infos, *row) for number, row in enumerate(zip(*known, strict=True))]
    with open(folder / 'annotations.json', 'w', encoding='utf-8') as file:
        json.dump({'images': infos, 'annotations': annotations, 'categories': CATEGORIES}, file)
    convert_coco(folder / 'annotations.json', folder / 'deeplake', images=folder)
    found = _detections(rng, *known, images, detections)
    ends = np.cumsum(np.bincount(found[0], minlength=images))[:-1]
    with open(folder / 'predictions.pickle', 'wb') as file:
        for info, *parts in zip(infos, *(np.split(part, ends) for part in found[1:]), strict=True):
            instances: dict[str, Any] = dict(zip(('bboxes', 'labels', 'scores'), parts, strict=True))
            if masks:
                instances['masks'] = [_mask(box) for box in instances['bboxes'].tolist()]
            pickle.dump((info['id'], instances), file)


def _objects(rng: np.random.Generator, images: int, boxes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, xywh and class of each object: few classes an image, some classes common, boxes of all sizes."""
    image = np.repeat(np.arange(images), rng.multinomial(boxes, rng.dirichlet(np.full(images, 0.8))))
    common = 1 / np.arange(1, len(CATEGORIES) + 1)
    pools = rng.choice(len(CATEGORIES), (images, 4), p=common / common.sum())
    labels = pools[image, rng.integers(0, 4, boxes)]
    sides = np.clip(np.exp(rng.normal(np.log(60), 0.9, (boxes, 2))), 4, [SIZE[1] * 0.9, SIZE[0] * 0.9])
    corners = rng.uniform(0, 1, (boxes, 2)) * (np.array(SIZE[::-1]) - sides)
    return image, np.column_stack([corners, sides]).round(2), labels


def _annotation(number: int, infos: list[dict], image: int, box: np.ndarray, label: int) -> dict[str, Any]:
    x, y, width, height = box.tolist()
    return {
        'id': number + 1,
        'image_id': infos[image]['id'],
        'category_id': CATEGORIES[label]['id'],
        'bbox': [x, y, width, height],
        'area': round(width * height * 0.7, 4),
        'iscrowd': int(number % 90 == 0),
        'segmentation': [_ring(x, y, width, height)],
    }


def _ring(x: float, y: float, width: float, height: float) -> list[float]:
    turn = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    ring = np.stack([x + width / 2 * (1 + np.cos(turn)), y + height / 2 * (1 + np.sin(turn))], axis=1)
    return ring.round(2).reshape(-1).tolist()


def _detections(
    rng: np.random.Generator, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, images: int, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, xyxy, class and score of each detection: objects found well or badly, some as another class, and noise."""
    of = np.sort(rng.integers(0, images, number))
    counts, starts = np.bincount(image, minlength=images)[of], np.searchsorted(image, of)
    right = (rng.random(number) < 0.6) & (counts > 0)
    source = np.minimum(starts + (rng.random(number) * counts).astype(int), len(boxes) - 1)
    quality = rng.random(number)
    xywh = boxes[source].copy()
    noise = rng.normal(0, 0.3, (number, 4)) * np.where(right, 1 - quality, 3)[:, None]
    xywh += noise * np.tile(xywh[:, 2:], 2)
    xywh[:, 2:] = np.maximum(xywh[:, 2:], 1)
    classes = np.where(rng.random(number) < 0.8, labels[source], (labels[source] + rng.integers(1, 9, number)) % 80)
    scores = np.where(right, np.clip(0.1 + 0.8 * quality + rng.normal(0, 0.1, number), 0.01, 1), rng.beta(1, 8, number))
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    return of, xyxy.astype(np.float32), classes, scores.astype(np.float32)


def _mask(xyxy: list[float]) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    x, y, right, bottom = xyxy
    return coco_mask.frPyObjects([_ring(x, y, right - x, bottom - y)], *SIZE)[0]


def measure(side: str, metric: str, folder: Path) -> dict[str, Any]:
    """Evaluate in this process; returns seconds, CPU seconds, MiB and the twelve numbers."""
    evaluator, numbers = (_stock if side == SIDES[0] else _ours)(metric, folder)
    images = _feed(evaluator, folder)
    Path('/proc/self/clear_refs').write_text('5')  # forget the highest memory so far
    times = [_timed(lambda: evaluator.evaluate(images))]
    measured = {'mib': resident_mib('VmHWM'), 'numbers': numbers()}
    if side == SIDES[1]:
        _feed(evaluator, folder)
        times.append(_timed(lambda: evaluator.evaluate(images)))
        assert numbers() == measured['numbers']
    return measured | {'seconds': [seconds for seconds, _ in times], 'cpu': [cpu for _, cpu in times]}


def _feed(evaluator: Any, folder: Path) -> int:
    """Let a metric process the predictions, one image after the other; returns the number of images."""
    import torch

    images = 0
    with open(folder / 'predictions.pickle', 'rb') as file:
        while file.peek(1):
            img_id, found = pickle.load(file)
            tensors = {name: torch.from_numpy(found[name]) for name in ('bboxes', 'labels', 'scores')}
            sample = {'img_id': img_id, 'ori_shape': SIZE, 'pred_instances': found | tensors}
            evaluator.process({}, [sample])
            images += 1
    gc.collect()  # or the first to allocate pays for what was allocated here
    return images


def _timed(run: Callable[[], Any]) -> tuple[float, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - begin, time.process_time() - cpu


def _stock(metric: str, folder: Path) -> tuple[Any, Callable[[], list[float]]]:
    """`CocoMetric`, and what it measured last."""
    from mmdet.evaluation.metrics import coco_metric

    measured: list[Any] = []

    class Recorded(coco_metric.COCOeval):
        def summarize(self) -> None:
            super().summarize()
            measured.append(self.stats)

    coco_metric.COCOeval = Recorded
    evaluator = coco_metric.CocoMetric(ann_file=str(folder / 'annotations.json'), metric=metric)
    evaluator.dataset_meta = {'classes': CLASSES}
    return evaluator, lambda: measured[-1].tolist()


def _ours(metric: str, folder: Path) -> tuple[Any, Callable[[], list[float]]]:
    """`DeepLakeCocoMetric`, and what it measured last."""
    import deeplake_mmdet
    from deeplake_mmdet.metrics.coco_summary import summarize

    dataset = deeplake_mmdet.DeepLakeDataset(deeplake_path=str(folder / 'deeplake'), test_mode=True)
    evaluator = deeplake_mmdet.DeepLakeCocoMetric(metric=metric)
    evaluator.dataset_meta = dataset.metainfo

    def numbers() -> list[float]:
        return list(summarize(evaluator.evaluation.curves[metric], dataset.index.category_ids).values())

    return evaluator, numbers


def run(side: str, metric: str, folder: Path) -> dict[str, Any]:
    """`measure` in a fresh process."""
    arguments = ['--measure', side, '--metric', metric, '--folder', str(folder)]
    done = subprocess.run(
        [sys.executable, os.path.abspath(__file__), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f'{side} failed:\n{done.stderr}')
    return json.loads(done.stdout.splitlines()[-1])


def report(metric: str, results: dict[str, list[dict[str, Any]]]) -> None:
    """Print both sides and their ratios, median and spread."""
    stock, ours = (results[side] for side in SIDES)
    assert all(result['numbers'] == stock[0]['numbers'] for result in stock + ours), (stock, ours)
    print(f'{metric}: the same twelve numbers on both sides, mAP {stock[0]["numbers"][0]:.4f}')
    rows = [('CocoMetric', stock, 0), ('DeepLakeCocoMetric, first', ours, 0), ('DeepLakeCocoMetric, later', ours, 1)]
    for name, side, turn in rows:
        seconds, cpu = ([result[key][turn] for result in side] for key in ('seconds', 'cpu'))
        mib = [result['mib'] for result in side]
        print(
            f'{name:<26}{statistics.median(seconds):8.2f} s ({min(seconds):.2f} to {max(seconds):.2f})'
            f'{statistics.median(cpu):8.2f} s of CPU {statistics.median(mib):8.0f} MiB at most'
        )
    for turn, name in enumerate(('first', 'later')):
        times, cpu = (
            [one[key][0] / other[key][turn] for one, other in zip(stock, ours, strict=True)]
            for key in ('seconds', 'cpu')
        )
        print(
            f'{name}: {statistics.median(times):.1f} times faster ({min(times):.1f} to {max(times):.1f}), '
            f'{statistics.median(cpu):.1f} times less CPU ({min(cpu):.1f} to {max(cpu):.1f})'
        )
    ratios = [one['mib'] / other['mib'] for one, other in zip(stock, ours, strict=True)]
    print(f'{statistics.median(ratios):.1f} times less memory ({min(ratios):.1f} to {max(ratios):.1f})', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=5_000)
    parser.add_argument('--boxes', type=int, default=36_781)
    parser.add_argument('--detections', type=int, default=330_000)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--segm', action='store_true', help='evaluate masks, too')
    parser.add_argument('--folder', type=Path, help='keep the data here, and use what is here')
    parser.add_argument('--measure', choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument('--metric', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.metric, args.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / 'predictions.pickle').exists():
            print(f'{args.images} images, {args.boxes} boxes, {args.detections} detections, in {folder}', flush=True)
            write_data(folder, args.images, args.boxes, args.detections, masks=args.segm)
        for metric in ('bbox', 'segm') if args.segm else ('bbox',):
            results: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
            for _ in range(args.repeat):
                for side in SIDES:
                    results[side].append(run(side, metric, folder))
            report(metric, results)


if __name__ == '__main__':
    main()
