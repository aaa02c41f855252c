"""Hypothesis strategies of COCO annotation files with all that the format and its users put into them.

Every image is 20 pixels high and 30 wide, whatever its name; `write_coco` writes a document and its images.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from deeplake_mmdet.convert.coco_fields import annotation_base, category_base, image_base, with_fields

SIZE_HW = (20, 30)
STYLES = st.fixed_dictionaries({'ensure_ascii': st.booleans(), 'indent': st.none() | st.just(1)})
IDS = st.integers(1 - 2**63, 2**63 - 1)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FLAGS = st.sampled_from([0, 1, 0, 1, True, False, None, 1.0])
COORDINATES = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
RINGS = st.lists(
    st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=5).map(lambda points: [*sum(points, ())]),
    max_size=3,
)
NUMBERS = st.floats(-1e100, 1e100) | st.integers(-(2**53), 2**53)
SIZES = st.floats(0, 1e100) | st.integers(0, 2**53)
ANY_BOXES = st.tuples(NUMBERS, NUMBERS, SIZES, SIZES).map(list)


def fields(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Fields that the format does not name, among them some that others use."""
    return st.dictionaries(st.sampled_from([*names, 'naïve', '', 'absent']), JSON | st.just('absent'), max_size=2)


@st.composite
def run_lengths(draw: st.DrawFn) -> dict[str, Any]:
    """An RLE of an image, compressed or not."""
    pixels = SIZE_HW[0] * SIZE_HW[1]
    edges = sorted(draw(st.lists(st.integers(0, pixels), max_size=6)))
    plain = {'size': [*SIZE_HW], 'counts': [b - a for a, b in pairwise([0, *edges, pixels])]}
    packed = coco_mask.frPyObjects(plain, *SIZE_HW)
    return draw(st.sampled_from([plain, {**packed, 'counts': packed['counts'].decode()}]))


@st.composite
def inner_boxes(draw: st.DrawFn) -> list[float]:
    """A box inside of an image, of any numbers."""
    height, width = SIZE_HW
    sides = [draw(st.integers(0, side) | st.floats(0, side)) for side in (width, height)]
    corners = [draw(st.floats(0, full - side)) for full, side in zip((width, height), sides, strict=True)]
    return [*corners, *sides]


@st.composite
def coco_documents(draw: st.DrawFn, boxes: st.SearchStrategy[list[float]] = ANY_BOXES) -> dict[str, Any]:
    """Documents of up to 4 images, 4 categories and 8 annotations.

    Args:
        draw: Hypothesis' own.
        boxes: The ``bbox`` of the annotations.
    """
    image_ids = draw(st.lists(IDS, min_size=1, max_size=4, unique=True))
    category_ids = draw(st.lists(IDS, min_size=1, max_size=4, unique=True))
    names = draw(st.lists(st.text(min_size=1) | st.just('absent'), min_size=4, max_size=4, unique=True))
    ann_ids = draw(st.lists(IDS, max_size=8, unique=True))
    annotation = st.fixed_dictionaries(
        {
            'image_id': st.sampled_from(image_ids),
            'category_id': st.sampled_from(category_ids),
            'bbox': boxes,
            'area': SIZES,
        },
        optional={
            'iscrowd': FLAGS,
            'ignore': FLAGS,
            'segmentation': st.none() | RINGS | run_lengths(),
            'keypoints': st.none()
            | st.lists(st.integers(0, 30) | st.floats(0, 30), min_size=3, max_size=3)
            | st.just([]),
            'num_keypoints': st.integers(0, 1),
        },
    )
    category = st.fixed_dictionaries(
        {}, optional={'supercategory': st.none() | st.text() | st.just('absent'), 'skeleton': JSON}
    )
    lists = {
        'images': [draw(fields('license', 'coco_url')) | draw(_images()) | {'id': number} for number in image_ids],
        'annotations': [draw(fields('score', 'attributes')) | draw(annotation) | {'id': number} for number in ann_ids],
        'categories': [
            draw(fields('keypoints', 'color')) | draw(category) | {'id': number, 'name': name}
            for number, name in zip(category_ids, names, strict=False)
        ],
    }
    for position, image in enumerate(lists['images']):
        image['file_name'] = f'{position} {image["file_name"]}'
    return dict(draw(st.permutations([*(draw(fields('info', 'licenses')) | lists).items()])))


def _images() -> st.SearchStrategy[dict[str, Any]]:
    sizes = {
        side: st.sampled_from([pixels, float(pixels), None])
        for side, pixels in zip(('height', 'width'), SIZE_HW, strict=True)
    }
    return st.fixed_dictionaries({'file_name': st.sampled_from(['a.png', 'ä b/ö.png', 'x/y/z.png'])}, optional=sizes)


def write_coco(document: Mapping[str, Any], folder: Path, **style: Any) -> Path:
    """Writes ``<folder>/a.json`` and the images that it names under ``<folder>/images``.

    Args:
        document: The annotation file.
        folder: Made if it is not there.
        **style: Arguments of `json.dumps`.

    Returns:
        The path of the annotation file.
    """
    for image in document['images']:
        path = folder / 'images' / image['file_name']
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png())
    (folder / 'a.json').write_text(json.dumps(document, **style), encoding='utf-8')
    return folder / 'a.json'


@cache
def _png() -> bytes:
    return cv2.imencode('.png', np.arange(np.prod(SIZE_HW), dtype=np.uint8).reshape(SIZE_HW))[1].tobytes()


def by_id(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document whose lists are in the order of their ids, with which documents are equal whatever their order."""
    lists = ('images', 'annotations', 'categories')
    return {**document, **{key: sorted(document[key], key=lambda entry: entry['id']) for key in lists}}


def document_of(labels: Mapping[str, Any], top_level: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The annotation file as a dataset says it, put together by what `schema` and `coco_fields` promise.

    Args:
        labels: Metadata of the column ``categories``.
        top_level: Metadata of the dataset under ``coco:<split>``, or an empty object.
        rows: Values of all columns by name.
    """
    fields = json.loads(labels.get('category_fields', '[]'))
    entries = zip(*(labels[name] for name in ('category_ids', 'class_names', 'supercategories')), strict=True)
    categories = [with_fields(category_base(*entry), of or {}) for entry, of in zip_longest(entries, fields)]
    images, annotations = [], []
    for row in rows:
        image_id, size_hw = int(row['img_id']), (int(row['height']), int(row['width']))
        of = json.loads(row.get('image_fields', '{}'))
        images.append(with_fields(image_base(image_id, row['file_name'], *size_hw), of))
        numbers = [row[name].tolist() for name in ('ann_ids', 'categories', 'boxes', 'areas', 'iscrowd')]
        numbers.append(row['ignore'].tolist() if 'ignore' in row else [0] * len(numbers[0]))
        texts = [json.loads(row[name]) if name in row else [] for name in ('masks', 'keypoints', 'annotation_fields')]
        for (number, label, *values), *own, of in zip_longest(zip(*numbers, strict=True), *texts):
            base = annotation_base(number, image_id, categories[label]['id'], *values, *own)
            annotations.append(with_fields(base, of or {}))
    return {'images': images, 'annotations': annotations, 'categories': categories} | json.loads(top_level)
