"""Six readings of a box: exact, inverse to each other, and told apart."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplake_mmdet.annotations.boxes import fit, plausible_formats, to_xywh, to_xyxy
from deeplake_mmdet.config.box_format import ALL_FORMATS, BoxFormat

SIZES = np.array([[480, 640]])
# The same box, 100 pixels from the left, 60 from the top, 32 wide, 48 high, in each of the six readings.
SAME_BOX = {
    ('LTWH', 'pixel'): [100, 60, 32, 48],
    ('LTRB', 'pixel'): [100, 60, 132, 108],
    ('CCWH', 'pixel'): [116, 84, 32, 48],
    ('LTWH', 'fractional'): [100 / 640, 60 / 480, 32 / 640, 48 / 480],
    ('LTRB', 'fractional'): [100 / 640, 60 / 480, 132 / 640, 108 / 480],
    ('CCWH', 'fractional'): [116 / 640, 84 / 480, 32 / 640, 48 / 480],
}


@pytest.mark.parametrize('reading', SAME_BOX)
def test_each_reading_gives_the_same_box(reading):
    boxes = np.array([SAME_BOX[reading]])
    np.testing.assert_allclose(to_xyxy(boxes, BoxFormat(*reading), SIZES), [[100, 60, 132, 108]], rtol=0, atol=1e-12)
    np.testing.assert_allclose(to_xywh(boxes, BoxFormat(*reading), SIZES), [[100, 60, 32, 48]], rtol=0, atol=1e-12)


def test_half_pixels_of_a_centre_are_not_rounded():
    box = np.array([[10.0, 10.0, 5.0, 7.0]])
    assert to_xyxy(box, BoxFormat('CCWH'), SIZES).tolist() == [[7.5, 6.5, 12.5, 13.5]]


@given(st.lists(st.floats(0, 300, width=32), min_size=4, max_size=4))
def test_left_and_top_boxes_convert_with_one_rounding_only(values):
    x, y, w, h = map(Fraction, values)
    expected = [float(value) for value in (x, y, x + w, y + h)]
    assert to_xyxy(np.array([values], np.float32), BoxFormat(), SIZES).tolist() == [expected]
    assert to_xywh(np.array([values], np.float32), BoxFormat(), SIZES).tolist() == [values]


@pytest.mark.parametrize('box_format', ALL_FORMATS, ids=str)
def test_no_boxes_convert_to_no_boxes(box_format):
    assert to_xyxy(np.zeros((0, 4), np.float32), box_format, np.zeros((0, 2))).shape == (0, 4)


@pytest.mark.parametrize('reading', SAME_BOX)
def test_boxes_spread_over_an_image_fit_their_own_reading(reading):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, [600, 440], (200, 2))
    size = rng.uniform(4, 40, (200, 2))
    xyxy = np.concatenate([corner, corner + size], axis=1)
    boxes = {'LTRB': xyxy, 'LTWH': np.hstack([corner, size]), 'CCWH': np.hstack([corner + size / 2, size])}[reading[0]]
    boxes = boxes / [640, 480, 640, 480] if reading[1] == 'fractional' else boxes
    fitting = plausible_formats(boxes, np.repeat(SIZES, 200, axis=0))
    assert BoxFormat(*reading) in fitting
    wrong_mode = {'LTRB': 'LTWH', 'LTWH': 'LTRB', 'CCWH': 'LTRB'}[reading[0]]
    assert BoxFormat(wrong_mode, reading[1]) not in fitting
    other_unit = 'pixel' if reading[1] == 'fractional' else 'fractional'
    assert not any(candidate.type == other_unit for candidate in fitting)


def test_a_fit_counts_negative_and_outside_boxes():
    boxes = np.array([[10, 10, 5, 20], [700, 10, 710, 20], [10, 10, 20, 20]])
    found = fit(boxes, BoxFormat('LTRB'), np.repeat(SIZES, 3, axis=0))
    assert found.negative.tolist() == [0]
    assert found.outside.tolist() == [1]
    assert not found.plausible
