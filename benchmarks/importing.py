"""Import: how fast COCO files become a dataset, beside `deeplake.ingestion`'s `from_coco`, and in how much memory.

    python benchmarks/importing.py                  # 500 images with 3,635 objects, as many as COCO has an image
    python benchmarks/importing.py --memory         # ours alone, with 118,287 images and 860,001 polygons

It writes JPEG files of 640 x 480 pixels, as large as COCO's, and two annotation files: one in which each object's mask
is the rectangle of its box, because `from_coco` cannot read annotations without a mask, and one with polygons of 23
points, and run lengths for crowds. Each side imports each file several times, in turn, each time in a fresh process and
to a new folder; time is that of the call, with all that it writes. `from_coco` is given the instances file as its only
one. Both datasets have to hold the same images and boxes, or it fails.

With ``--memory``, images are small as files, the annotation file is as large as that of COCO train2017, and the highest
resident memory of the whole process is told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from startup import CATEGORIES, resident_mib, rows

SIDES = ('from_coco', 'convert_coco')
KINDS = {'boxes': 'boxes alone', 'masks': 'polygons and run lengths'}
LINKS = 10_000  # names of one file in a folder, below what file systems allow


def write_data(folder: Path, images: int, boxes: int) -> None:
    """Writes ``boxes.json``, ``masks.json`` and the folder ``images``."""
    import cv2

    rng = np.random.default_rng(0)
    known = sorted(rows(images, boxes), key=lambda row: not row[1])  # the first one needs an object for `from_coco`
    (folder / 'images').mkdir(exist_ok=True)
    for info, _ in known:
        coarse = rng.integers(0, 255, (info['height'] // 16, info['width'] // 16, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (info['width'], info['height']), interpolation=cv2.INTER_CUBIC)
        picture = np.clip(smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / 'images' / info['file_name']), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    for kind in KINDS:
        annotations = [_annotation(kind, info, annotation) for info, own in known for annotation in own]
        document = {'images': [info for info, _ in known], 'annotations': annotations, 'categories': CATEGORIES}
        (folder / f'{kind}.json').write_text(json.dumps(document), encoding='utf-8')


def _annotation(kind: str, info: dict[str, Any], annotation: dict[str, Any]) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    x, y, width, height = annotation['bbox']
    if kind == 'boxes':
        ring = [x, y, x + width, y, x + width, y + height, x, y + height]
        return annotation | {'segmentation': [ring]}
    if not annotation['iscrowd']:
        return annotation
    rle = coco_mask.frPyObjects(annotation['segmentation'], info['height'], info['width'])[0]
    return annotation | {'segmentation': {'size': rle['size'], 'counts': rle['counts'].decode()}}


def write_large(folder: Path, images: int, boxes: int) -> None:
    """Writes ``large.json`` and the folder ``images``, of which many names are of one file."""
    import cv2

    (folder / 'images').mkdir()
    infos: list[dict[str, Any]] = []
    with open(folder / 'large.json', 'w', encoding='utf-8') as file:
        file.write('{"annotations": [')
        comma = ''
        for info, annotations in rows(images, boxes):
            shape, number = (info['height'], info['width']), len(infos) // LINKS
            picture = folder / f'{number}_{shape[0]}.jpg'
            if not picture.exists():
                assert cv2.imwrite(str(picture), np.full(shape, number, np.uint8))
            os.link(picture, folder / 'images' / info['file_name'])
            for annotation in annotations:
                file.write(comma + json.dumps(annotation))
                comma = ', '
            infos.append(info)
        file.write(f'], "images": {json.dumps(infos)}, "categories": {json.dumps(CATEGORIES)}}}')


def measure(side: str, kind: str, folder: Path) -> dict[str, Any]:
    """Imports in this process; returns seconds, MiB, and the sums of what is in the dataset."""
    import deeplake
    from deeplake.ingestion.coco.from_coco import from_coco

    from deeplake_mmdet.convert import convert_coco

    destination, images, annotations = folder / f'{side}.deeplake', folder / 'images', folder / f'{kind}.json'
    for file in images.iterdir():
        file.read_bytes()  # both sides find the files in memory
    shutil.rmtree(destination, ignore_errors=True)
    begin = time.perf_counter()
    if side == SIDES[0]:
        own = {'instances': str(annotations)}
        from_coco(str(images), own, str(destination), file_to_group_mapping={'instances': ''})
    else:
        convert_coco(annotations, destination, images=images)
    seconds = time.perf_counter() - begin
    mib = resident_mib('VmHWM')
    dataset = deeplake.open_read_only(str(destination))
    boxes = np.concatenate([np.asarray(row, np.float32) for row in dataset['boxes'][:]])
    nbytes = sum(len(dataset['images'].get_bytes(row)) for row in range(len(dataset)))
    held = [len(dataset), nbytes, boxes.shape, np.sort(boxes, axis=0).sum(0, dtype=np.float64).tolist()]
    shutil.rmtree(destination)
    return {'seconds': seconds, 'mib': mib, 'held': held}


def run(side: str, kind: str, folder: Path) -> dict[str, Any]:
    """`measure` in a fresh process."""
    arguments = ['--measure', side, '--kind', kind, '--folder', str(folder)]
    command = [sys.executable, os.path.abspath(__file__), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'{side} failed:\n{done.stderr}')
    return json.loads(done.stdout.splitlines()[-1])


def report(kind: str, images: int, results: dict[str, list[dict[str, Any]]]) -> None:
    """Prints both sides and their ratio, median and spread."""
    held = [result['held'] for side in SIDES for result in results[side]]
    assert all(one == held[0] for one in held), held
    print(f'{KINDS[kind]}: the same {held[0][0]} images and {held[0][2][0]} boxes on both sides')
    for side in SIDES:
        rates = [images / result['seconds'] for result in results[side]]
        mib = statistics.median(result['mib'] for result in results[side])
        spread = f'({min(rates):.1f} to {max(rates):.1f})'
        print(f'{side:<13}{statistics.median(rates):9.1f} images/s {spread:<22}{mib:6.0f} MiB at most')
    ratios = [one['seconds'] / other['seconds'] for one, other in zip(*results.values(), strict=True)]
    print(f'{statistics.median(ratios):.1f} times faster ({min(ratios):.1f} to {max(ratios):.1f})', flush=True)


def compare(folder: Path, images: int, boxes: int, repeats: int) -> None:
    """Imports both files with both sides."""
    if not (folder / 'masks.json').exists():
        write_data(folder, images, boxes)
    total = sum(file.stat().st_size for file in (folder / 'images').iterdir())
    print(f'{images} JPEG files of {total / images / 1000:.0f} kB and {boxes} objects, in {folder}', flush=True)
    for kind in KINDS:
        results: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(repeats):
            for side in SIDES:
                results[side].append(run(side, kind, folder))
        report(kind, images, results)


def remember(folder: Path, images: int, boxes: int) -> None:
    """Imports a file as large as COCO's with our side, and tells the memory."""
    if not (folder / 'large.json').exists():
        write_large(folder, images, boxes)
    size = (folder / 'large.json').stat().st_size
    print(f'{images} images and {boxes} polygons, {size / 1e6:.0f} MB of JSON, in {folder}', flush=True)
    measured = run(SIDES[1], 'large', folder)
    assert measured['held'][0] == images and measured['held'][2][0] == boxes, measured['held']
    rate = images / measured['seconds']
    print(f'{measured["mib"]:.0f} MiB at most, {measured["seconds"]:.0f} s, {rate:.0f} images/s')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--memory', action='store_true', help='measure the memory that a large file takes')
    parser.add_argument('--images', type=int, help='default: 500, or 118,287 with --memory')
    parser.add_argument('--boxes', type=int, help='default: 3,635, or 860,001 with --memory')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--folder', type=Path, help='keep the data here, and use what is here')
    parser.add_argument('--measure', choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument('--kind', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.kind, args.folder)))
        return
    images, boxes = (118_287, 860_001) if args.memory else (500, 3_635)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if args.memory:
            remember(folder, args.images or images, args.boxes or boxes)
        else:
            compare(folder, args.images or images, args.boxes or boxes, args.repeats)


if __name__ == '__main__':
    main()
