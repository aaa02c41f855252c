"""Recall of the best-scored boxes: MMDetection's own numbers, image by image."""

from __future__ import annotations

import numpy as np
import pytest
from mmdet.evaluation.functional import eval_recalls

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.recall import proposal_numbers, recalls

NUMBERS = (1, 3, 10, 100)
THRESHOLDS = np.linspace(0.5, 0.95, 10).tolist()


def draw(seed: int, images: int = 15) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """True boxes, and found boxes near them with scores that tie, on a grid so that overlaps tie; some have none."""
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for image in range(images):
        corners = rng.integers(0, 6, (rng.integers(0, 9), 2)) * 5
        boxes = np.concatenate([corners, corners + rng.integers(2, 5, corners.shape) * 5], axis=1).astype(np.float32)
        near = np.repeat(boxes, rng.integers(0, 4, len(boxes)) * (image % 4 > 0), axis=0)
        near += rng.integers(-1, 2, near.shape)
        scores = rng.integers(0, 4, len(near)) / 4
        truths.append(boxes)
        found.append(np.column_stack([near, scores]).astype(np.float32))
    return truths, found


def of_mmdet(truths, found, legacy: bool) -> np.ndarray:
    """`eval_recalls`, one image at a time, for it cannot take images with different numbers of boxes."""
    counts, total = np.zeros((len(NUMBERS), len(THRESHOLDS))), 0
    for boxes, scored in zip(truths, found, strict=True):
        if len(boxes):
            one = eval_recalls([boxes], [scored], NUMBERS, THRESHOLDS, logger='silent', use_legacy_coordinate=legacy)
            counts += np.round(one * len(boxes))
            total += len(boxes)
    return counts / total


@pytest.mark.parametrize('legacy', [True, False])
@pytest.mark.parametrize('seed', range(5))
def test_recalls_are_those_of_mmdetection(seed, legacy):
    truths, found = draw(seed)
    assert any(len(boxes) and not len(scored) for boxes, scored in zip(truths, found, strict=True))
    ours = recalls(truths, found, NUMBERS, THRESHOLDS, legacy=legacy)
    np.testing.assert_array_equal(ours, of_mmdet(truths, found, legacy))
    assert 0 < ours[0, 0] < ours[-1, 0] < 1


def test_a_box_is_paired_once_and_the_best_pair_first():
    truths = [np.array([[0, 0, 10, 10], [0, 0, 10, 8]], np.float32)]
    # The first overlaps both true boxes by more than 0.8, the second the first one by 0.5 and the other by 0.44. The
    # best pair leaves a pair that is too poor, though the other way round both would be found.
    found = [np.array([[0, 0, 10, 9.5, 0.9], [0, 0, 5, 10, 0.8]], np.float32)]
    assert recalls(truths, found, [2], [0.5], legacy=False).tolist() == [[0.5]]
    assert recalls(truths, found, [2], [0.4], legacy=False).tolist() == [[1.0]]


def test_without_a_true_box_there_is_no_recall():
    nothing = [np.zeros((0, 4), np.float32)]
    assert np.isnan(recalls(nothing, [np.ones((3, 5), np.float32)], NUMBERS, [0.5], legacy=True)).all()


def test_without_a_found_box_recall_is_zero():
    truths = [np.array([[0, 0, 10, 10]], np.float32)]
    assert recalls(truths, [np.zeros((0, 5), np.float32)], [1, 2], [0.5], legacy=True).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize('given', [(), (0, 100), (100.5,), 'all', (True,)])
def test_numbers_of_boxes_that_make_no_sense_are_refused(given):
    with pytest.raises(ConfigError, match=r'^M\(n=\) expected positive integers such as \(100, 300, 1000\), but'):
        proposal_numbers('M(n=)', given)


def test_numbers_of_boxes_come_in_any_order():
    assert proposal_numbers('M(n=)', (100, 1, 10, 100)) == (1, 10, 100)


def test_one_number_of_boxes_needs_no_list():
    assert proposal_numbers('M(n=)', 100) == (100,)
    assert proposal_numbers('M(n=)', [1, 10]) == (1, 10)
