"""COCO to Deep Lake and back: pycocotools measures the same on the file that comes out as on the one that went in."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet.convert import convert_coco, export_coco
from tests.support.coco_documents import SIZE_HW, coco_documents, inner_boxes, write_coco

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools
RING = [1.5, 2, 20.25, 3, 9, 17.5]


@st.composite
def measurable(draw: st.DrawFn) -> dict[str, Any]:
    """Documents that pycocotools evaluates: with sizes, crowd flags and masks of all."""
    document = draw(coco_documents(boxes=inner_boxes()))
    for image in document['images']:
        image |= dict(zip(('height', 'width'), SIZE_HW, strict=True))
    for annotation in document['annotations']:
        annotation['iscrowd'] = int(annotation.get('iscrowd') or 0)
        if not isinstance(annotation.get('segmentation'), dict):
            annotation['segmentation'] = [RING]
    return document


def detections(document: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Objects that are found, found badly or twice, or taken for another class."""
    results = []
    for annotation in document['annotations'] * 2:
        category = rng.choice([annotation['category_id'], rng.choice([c['id'] for c in document['categories']])])
        corner = np.array(annotation['bbox'][:2]) + rng.integers(0, 2, 2)
        pixels = np.zeros(SIZE_HW, np.uint8, order='F')
        pixels[2 : rng.integers(3, 18), 2 : rng.integers(3, 28)] = 1
        results.append(
            {
                'image_id': annotation['image_id'],
                'category_id': int(category),
                'bbox': [*corner.tolist(), *annotation['bbox'][2:]],
                'segmentation': coco_mask.encode(pixels),
                'score': float(rng.integers(1, 5) / 5),
            }
        )
    return results


def evaluated(path: Path, results: list[dict[str, Any]], kind: str) -> list[np.ndarray]:
    """All that pycocotools counts and measures."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        unwanted = {'bbox': 'segmentation', 'segm': 'bbox'}[kind]
        found = [{key: value for key, value in result.items() if key != unwanted} for result in results]
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [evaluation.stats, *(evaluation.eval[name] for name in ('precision', 'recall', 'scores'))]


@settings(max_examples=10)
@given(document=measurable(), seed=st.integers(0, 2**32 - 1))
def test_pycocotools_measures_the_same_on_both_files(document, seed, tmp_path):
    assume(document['annotations'])
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    path = write_coco(document, folder)
    convert_coco(path, folder / 'dataset', images=folder / 'images')
    export_coco(f'{folder}/dataset@all', folder / 'again')
    results = detections(document, np.random.default_rng(seed))
    for kind in ('bbox', 'segm'):
        both = [evaluated(file, results, kind) for file in (path, folder / 'again/annotations/instances_all.json')]
        for before, after in zip(*both, strict=True):
            np.testing.assert_array_equal(before, after)
