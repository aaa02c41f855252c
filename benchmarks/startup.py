"""Start-up: how long until a dataset is ready, and how much memory it takes, beside `CocoDataset`.

    python benchmarks/startup.py                    # COCO train2017's size: 118,287 images, 860,001 boxes
    python benchmarks/startup.py --images 5000 --boxes 36781

It writes the same annotations in both forms (a COCO JSON with polygons, a Deep Lake dataset with the same polygons),
then builds each dataset several times, in turn, each time in a fresh process: `DeepLakeDataset` without its cache of
annotations, and with the one that an earlier process made. Time and memory are those of building the dataset; importing
MMDetection and Deep Lake is over by then and is not counted. Images are stand-ins of a few bytes, which neither side
reads; the polygons have as many points as make the JSON as large as COCO's (448 MB).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CATEGORIES = [{'id': 1 + i + i // 10, 'name': f'class_{i:02d}', 'supercategory': 'thing'} for i in range(80)]
POINTS = 23  # of each polygon
COCO, OURS, CACHED = SIDES = ('CocoDataset', 'DeepLakeDataset', 'DeepLakeDataset, cached')


def rows(images: int, boxes: int) -> Iterator[tuple[dict, list[dict]]]:
    """Image dicts and their annotations, in COCO's form."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(boxes, rng.dirichlet(np.full(images, 0.8)))
    number = 0
    for i in range(images):
        width, height = (640, 480) if i % 3 else (480, 640)
        info = {'id': i * 4 + 9, 'file_name': f'{i:012d}.jpg', 'height': height, 'width': width}
        corner = rng.uniform(0, [width * 0.7, height * 0.7], (counts[i], 2)).round(2)
        size = rng.uniform(4, [width * 0.3, height * 0.3], (counts[i], 2)).round(2)
        turns = np.sort(rng.uniform(0, 2 * np.pi, (counts[i], POINTS)), axis=1)
        annotations = []
        for (x, y), (w, h), turn in zip(corner.tolist(), size.tolist(), turns, strict=True):
            ring = np.stack([x + w / 2 + w / 2 * np.cos(turn), y + h / 2 + h / 2 * np.sin(turn)], axis=1)
            number += 1
            annotations.append(
                {
                    'id': number,
                    'image_id': info['id'],
                    'category_id': CATEGORIES[number % 80]['id'],
                    'bbox': [x, y, w, h],
                    'area': round(w * h * 0.7, 4),
                    'iscrowd': int(number % 90 == 0),
                    'segmentation': [ring.round(2).reshape(-1).tolist()],
                }
            )
        yield info, annotations


def write_both(folder: Path, images: int, boxes: int) -> None:
    """Write ``annotations.json`` and the dataset ``deeplake``."""
    from deeplake_mmdet.convert.coco_source import instance_values
    from deeplake_mmdet.convert.destination import Destination
    from deeplake_mmdet.convert.schema import coco_columns, image_columns, image_values
    from deeplake_mmdet.convert.writer import DatasetWriter

    labels = {category['id']: label for label, category in enumerate(CATEGORIES)}
    columns = coco_columns(image_columns(), CATEGORIES, ignore=False, masks=True)
    all_images, all_annotations = [], []
    with DatasetWriter(Destination(folder / 'deeplake'), columns) as writer:
        for info, annotations in rows(images, boxes):
            all_images.append(info)
            all_annotations += annotations
            size = (info['height'], info['width'])
            values = image_values(b'\xff\xd8\xff stand-in', info['id'], size, info['file_name'], 'train')
            values |= instance_values(annotations, labels)
            writer.append({column.name: values[column.name] for column in columns})
        writer.finish('stand-ins', {})
    with open(folder / 'annotations.json', 'w', encoding='utf-8') as file:
        json.dump({'images': all_images, 'annotations': all_annotations, 'categories': CATEGORIES}, file)


def resident_mib(key: str = 'VmRSS') -> float:
    """Resident memory of this process now (``VmRSS``) or at its highest (``VmHWM``), MiB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f'/proc/self/status has no {key}')


def measure(side: str, folder: Path) -> dict[str, float]:
    """Build one dataset in this process; returns seconds, MiB added at most, its length and the images read."""
    import deeplake  # noqa: F401
    from mmdet.datasets import CocoDataset

    import deeplake_mmdet

    classes = tuple(category['name'] for category in CATEGORIES)
    shared = dict(metainfo=dict(classes=classes), filter_cfg=dict(filter_empty_gt=True, min_size=32))
    build = deeplake_mmdet.DeepLakeDataset  # the module is imported here
    Path('/proc/self/clear_refs').write_text('5')  # forget the highest memory so far
    before = resident_mib()
    begin = time.perf_counter()
    if side == COCO:
        dataset = CocoDataset(ann_file=str(folder / 'annotations.json'), data_prefix=dict(img=''), **shared)
    else:
        dataset = build(deeplake_path=str(folder / 'deeplake'), **shared)
    seconds = time.perf_counter() - begin
    reads = 0 if side == COCO else dataset.images.reads
    return {'seconds': seconds, 'mib': resident_mib('VmHWM') - before, 'length': len(dataset), 'reads': reads}


def run(side: str, folder: Path) -> dict[str, float]:
    """`measure` in a fresh process."""
    arguments = [sys.executable, os.path.abspath(__file__), '--measure', side, '--folder', str(folder)]
    cache = str(folder / 'cache') if side == CACHED else 'off'
    environment = {**os.environ, 'DEEPLAKE_MMDET_CACHE': cache}
    output = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment).stdout
    return json.loads(output.splitlines()[-1])


def report(results: dict[str, list[dict[str, float]]]) -> None:
    """Print all sides and their ratios, median and spread."""
    for side in SIDES:
        seconds, mib = ([result[key] for result in results[side]] for key in ('seconds', 'mib'))
        print(
            f'{side:<23} {statistics.median(seconds):8.3f} s ({min(seconds):.3f} to {max(seconds):.3f})   '
            f'{statistics.median(mib):8.0f} MiB added at most ({min(mib):.0f} to {max(mib):.0f})   '
            f'{results[side][0]["length"]:.0f} samples, {results[side][0]["reads"]:.0f} images read'
        )
    for side in (OURS, CACHED):
        for key, name in (('seconds', 'times faster'), ('mib', 'times less memory')):
            ratios = [coco[key] / ours[key] for coco, ours in zip(results[COCO], results[side], strict=True)]
            print(f'{side:<23} {statistics.median(ratios):8.1f} {name} ({min(ratios):.1f} to {max(ratios):.1f})')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=118_287)
    parser.add_argument('--boxes', type=int, default=860_001)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--folder', type=Path, help='keep the data here, and use what is here')
    parser.add_argument('--measure', choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / 'annotations.json').exists():
            print(f'Writing {args.images} images and {args.boxes} boxes in both forms to {folder}', flush=True)
            write_both(folder, args.images, args.boxes)
        run(CACHED, folder)  # makes the cache
        results: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(args.repeats):
            for side in SIDES:
                results[side].append(run(side, folder))
        report(results)


if __name__ == '__main__':
    main()
