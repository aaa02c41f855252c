"""The IoU of an image is the one that the playbooks of Deep Lake's documentation compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deeplake_mmdet.metrics import box_pairs
from deeplake_mmdet.scoring.errors import errors_of
from tests.support.evaluations import random_detections, random_truth


def playbook_iou(boxes, labels, true_boxes, true_labels):
    """The IoU of one image as the documentation words it, label by label, boxes xyxy (n, 4)."""
    every = np.union1d(labels, true_labels)
    if not len(every):
        return 0.0
    means = []
    for label in every:
        first, second = torch.from_numpy(boxes[labels == label]), torch.from_numpy(true_boxes[true_labels == label])
        if not len(first) or not len(second):
            means.append(0.0)
            continue
        corner, end = torch.maximum(first[:, None, :2], second[:, :2]), torch.minimum(first[:, None, 2:], second[:, 2:])
        inside = (end - corner).clamp(min=0).prod(dim=2)
        first_area, second_area = ((part[:, 2:] - part[:, :2]).prod(dim=1) for part in (first, second))
        matrix = inside / (first_area[:, None] + second_area - inside)
        best = matrix.max(dim=0) if first.shape > second.shape else matrix.max(dim=1)
        means.append(best.values.mean().item())
    return float(np.mean(means))


@pytest.mark.parametrize('score_thr', [0.0, 0.5, 0.9])
@pytest.mark.parametrize(('seed', 'noise', 'objects'), [(0, 2.0, 4), (1, 0.5, 9), (2, 9.0, 1)])
def test_it_is_what_the_playbook_computes(monkeypatch, seed, noise, objects, score_thr):
    monkeypatch.setattr(box_pairs, '_PAIRS', 5)
    truth = random_truth(seed, images=40, objects=objects)
    found = random_detections(truth, seed + 3, noise=noise)
    expected = []
    for i in range(len(truth)):
        part, own = found.of_image(i), truth.of_image(i)
        shown, counted = found.scores[part] >= np.float32(score_thr), ~truth.crowd[own]
        expected.append(
            playbook_iou(
                found.boxes[part][shown].astype(np.float64),
                found.labels[part][shown],
                truth.boxes_xyxy[own][counted],
                truth.labels[own][counted],
            )
        )
    np.testing.assert_allclose(errors_of(truth, found, score_thr=score_thr).iou, expected, rtol=0, atol=1e-6)
    assert 0 < np.mean(expected) < 1


def test_boxes_count_even_where_objects_are_found_by_their_masks():
    truth = random_truth(0, masks=True)
    found = random_detections(truth, 1)
    found = replace(found, mask_scores=found.scores)
    by_boxes, by_masks = (errors_of(truth, found, masks=masks) for masks in (False, True))
    np.testing.assert_array_equal(by_masks.iou, by_boxes.iou)
    assert (by_masks.mean_iou != by_boxes.mean_iou).any()
