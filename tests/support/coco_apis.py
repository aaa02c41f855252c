"""Annotations and detections in the form in which pycocotools compares them."""

from __future__ import annotations

import contextlib
import io

from pycocotools.coco import COCO

from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.run_lengths import run_lengths


def coco_apis(truth: GroundTruth, found: Detections, *, masks: bool = False) -> list[COCO]:
    """An index of the annotations and one of the detections, numbered from 1; all areas are 1.

    Args:
        truth: The annotations.
        found: The detections of the same images.
        masks: Whether they are compared by masks, with the masks' scores.
    """
    scores = found.mask_scores if masks else found.scores
    objects = [
        {
            'id': k + 1,
            'image_id': truth.img_ids[image],
            'category_id': truth.category_ids[truth.labels[k]],
            'bbox': truth.boxes_xywh[k].tolist(),
            'area': 1.0,
            'iscrowd': int(truth.crowd[k]),
            **({'segmentation': run_lengths(truth.segmentations[k], truth.sizes[image])} if masks else {}),
        }
        for k, image in enumerate(truth.image_of.tolist())
    ]
    results = [
        {
            'id': d + 1,
            'image_id': found.img_ids[image],
            'category_id': truth.category_ids[found.labels[d]],
            'bbox': found.boxes_xywh[d].tolist(),
            'area': 1.0,
            'score': float(scores[d]),
            **({'segmentation': found.segmentations[d]} if masks else {}),
        }
        for d, image in enumerate(found.image_of.tolist())
    ]
    both = []
    for listed in (objects, results):
        api = COCO()
        api.dataset = {
            'images': [{'id': i, 'height': 60, 'width': 80} for i in truth.img_ids],
            'categories': [{'id': c} for c in truth.category_ids],
            'annotations': listed,
        }
        with contextlib.redirect_stdout(io.StringIO()):
            api.createIndex()
        both.append(api)
    return both
