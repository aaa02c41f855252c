"""The demo dataset with planted faults: in one image of ten a label is swapped, or a box dropped, shifted or added.

    python tools/plant_faults.py data/faulty

The faults are listed in ``<path>_faults.json``, so that whoever looks for them can be told how many were
found. The validation images have none, and are in the dataset ``<path>_val``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ('wrong_class', 'missing_box', 'badly_placed_box', 'spurious_box')


def plant(path: str, *, images: int = 240, val: int = 60, share: float = 0.1, seed: int = 0) -> list[dict[str, Any]]:
    """Draw the demo, and write it with faults.

    Args:
        path: The dataset to make, a local folder; ``<path>_val`` is made beside it.
        images: Images to train on.
        val: Images to validate on.
        share: Part of the training images that get a fault, each of one kind and all kinds equally often.
        seed: Of the drawings and the faults.

    Returns:
        The faults: ``row``, ``kind``, and ``object``, the place of the object in the row (of a dropped one, before),
        and ``was``, its class before; None where it is added.
    """
    from deeplake_mmdet import DeepLakeDataset
    from deeplake_mmdet.convert.demo import make_demo

    drawn = f'{path}_drawn'
    make_demo(drawn, seed=seed, train=images, val=val)
    for view, place in (('train', path), ('val', f'{path}_val')):
        dataset = DeepLakeDataset(deeplake_path=drawn, deeplake_view_id=view)
        rows = [_row(dataset, i) for i in range(len(dataset.index))]
        if view == 'train':
            faults = _faults(rows, share, np.random.default_rng([seed, 1]), dataset.index.classes)
        _write(place, rows, dataset.index.classes)
    Path(f'{path}_faults.json').write_text(json.dumps(faults, indent=1))
    return faults


def values_of(dataset: Any, image: int) -> dict[str, Any]:
    """Boxes and classes of an image as they are stored."""
    index = dataset.index
    part = slice(index.offsets[image], index.offsets[image + 1])
    return {'boxes': index.xywh(part).astype(np.float32), 'categories': index.labels[part].astype(np.uint32)}


def _row(dataset: Any, image: int) -> dict[str, Any]:
    encoded = dataset.source.read(dataset.columns.image.name, [int(dataset.index.rows[image])])[0]
    return {'images': encoded, 'size': dataset.index.sizes[image], **values_of(dataset, image)}


def _faults(
    rows: Sequence[dict[str, Any]], share: float, rng: np.random.Generator, classes: Sequence[str]
) -> list[dict[str, Any]]:
    able = np.array([i for i, row in enumerate(rows) if len(row['boxes'])])
    chosen = rng.choice(able, round(share * len(rows)), replace=False)
    faults = []
    for n, row in enumerate(chosen.tolist()):
        kind = KINDS[n % len(KINDS)]
        names = [classes[label] for label in rows[row]['categories']]
        place = _DO[kind](rows[row], rng, len(classes))
        was = names[place] if place < len(names) else None
        faults.append({'row': row, 'kind': kind, 'object': place, 'was': was})
    return sorted(faults, key=lambda fault: fault['row'])


def _large(row: dict[str, Any], rng: np.random.Generator) -> int:
    """An object that nobody overlooks: one of the larger half."""
    order = np.argsort(-row['boxes'][:, 2] * row['boxes'][:, 3])
    return int(rng.choice(order[: -(-len(order) // 2)]))


def _swap(row: dict[str, Any], rng: np.random.Generator, classes: int) -> int:
    place = _large(row, rng)
    row['categories'][place] = (row['categories'][place] + rng.integers(1, classes)) % classes
    return place


def _drop(row: dict[str, Any], rng: np.random.Generator, classes: int) -> int:
    place = _large(row, rng)
    for name in ('boxes', 'categories'):
        row[name] = np.delete(row[name], place, axis=0)
    return place


def _shift(row: dict[str, Any], rng: np.random.Generator, classes: int) -> int:
    """By half its width and height, towards the middle of the image."""
    place = _large(row, rng)
    x, y, w, h = row['boxes'][place]
    height, width = row['size']
    row['boxes'][place, 0] = x + (0.5 * w if x + w / 2 < width / 2 else -0.5 * w)
    row['boxes'][place, 1] = y + (0.5 * h if y + h / 2 < height / 2 else -0.5 * h)
    return place


def _add(row: dict[str, Any], rng: np.random.Generator, classes: int) -> int:
    """A box where no object is, as far as there is such a place."""
    height, width = row['size']
    side = rng.uniform(40, 80, 2)
    corners = rng.uniform(0, 1, (64, 2)) * (np.array([width, height]) - side)
    free = [_overlapped(np.array([*corner, *side]), row['boxes']) for corner in corners]
    box = np.array([[*corners[int(np.argmin(free))], *side]], np.float32)
    row['boxes'] = np.concatenate([row['boxes'], box])
    row['categories'] = np.append(row['categories'], np.uint32(rng.integers(classes)))
    return len(row['boxes']) - 1


def _overlapped(box: np.ndarray, others: np.ndarray) -> float:
    """Area of a box, xywh, that others cover."""
    starts = np.maximum(box[:2], others[:, :2])
    ends = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    return float(np.maximum(ends - starts, 0).prod(axis=1).sum())


_DO = {'wrong_class': _swap, 'missing_box': _drop, 'badly_placed_box': _shift, 'spurious_box': _add}


def _write(path: str, rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
    import deeplake
    from deeplake import types

    dataset = deeplake.create(path)
    dataset.add_column('images', types.Image(sample_compression='jpeg'))
    dataset.add_column('boxes', types.BoundingBox('float32', 'ltwh', 'pixel'))
    dataset.add_column('categories', types.ClassLabel(types.Array('uint32', 1)))
    dataset['categories'].metadata['class_names'] = list(classes)
    dataset.append({name: [row[name] for row in rows] for name in ('images', 'boxes', 'categories')})
    dataset.commit('Drawn, with planted faults')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('path', help='the dataset to make')
    parser.add_argument('--images', type=int, default=240)
    parser.add_argument('--share', type=float, default=0.1)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    for fault in plant(args.path, images=args.images, share=args.share, seed=args.seed):
        print(fault)


if __name__ == '__main__':
    main()
