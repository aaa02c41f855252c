"""Run lengths: what passes is drawn by pycocotools as the same pixels, what does not is refused before it is drawn."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from deeplake_mmdet.annotations.rle import all_fill, rle_fault, run_lengths
from tests.support.masks import packed

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools
BITMAPS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def drawn(lengths: np.ndarray, height: int, width: int) -> np.ndarray:
    """Runs of pixels outside and inside, column by column."""
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


@settings(max_examples=100)
@given(bitmap=BITMAPS)
def test_decoded_runs_draw_the_bitmap_that_pycocotools_packed(bitmap: np.ndarray) -> None:
    assert rle_fault(packed(bitmap), bitmap.shape) is None
    assert np.array_equal(drawn(run_lengths([packed(bitmap)['counts']])[0], *bitmap.shape), bitmap)


@settings(max_examples=100)
@given(bitmaps=st.lists(BITMAPS, min_size=1, max_size=5))
def test_texts_that_are_decoded_together_are_decoded_as_each_alone(bitmaps: list[np.ndarray]) -> None:
    rles = [packed(bitmap) for bitmap in bitmaps]
    runs, starts = run_lengths([rle['counts'] for rle in rles])
    alone = [run_lengths([rle['counts']])[0].tolist() for rle in rles]
    assert [part.tolist() for part in np.split(runs, starts[1:])] == alone
    assert all_fill(rles, None)
    assert not all_fill([*rles[:-1], {**rles[-1], 'counts': rles[-1]['counts'][:-1]}], None)


@pytest.mark.parametrize('size', [(1, 1), (3000, 4000), (40000, 50000)])
def test_runs_of_every_length_are_decoded(size: tuple[int, int]) -> None:
    height, width = size
    counts = [0, height * width // 2, height * width - height * width // 2]
    text = coco_mask.frPyObjects({'size': list(size), 'counts': counts}, height, width)['counts'].decode()
    assert run_lengths([text])[0].tolist() == counts
    assert rle_fault({'size': list(size), 'counts': text}, size) is None


@settings(max_examples=300)
@given(bitmap=BITMAPS, data=st.data())
def test_damaged_counts_are_refused_or_draw_what_they_say(bitmap: np.ndarray, data: Any) -> None:
    rle = packed(bitmap)
    text, place = rle['counts'], data.draw(st.integers(0, len(rle['counts']) - 1))
    damaged = data.draw(
        st.sampled_from([text[:place], text[place:], text + text])
        | st.characters(min_codepoint=40, max_codepoint=120).map(lambda char: text[:place] + char + text[place + 1 :])
    )
    if rle_fault({**rle, 'counts': damaged}, bitmap.shape) is None:
        pixels = coco_mask.decode({**rle, 'counts': damaged}).astype(bool)
        assert np.array_equal(pixels, drawn(run_lengths([damaged])[0], *bitmap.shape))


GOOD = packed(np.eye(6, 8, dtype=bool))
FAULTS = {
    'no size': ({'counts': 'a'}, r'expected an RLE of counts and size=\[height, width\], but got size=None'),
    'a size of fractions': ({**GOOD, 'size': [6.0, 8]}, r'but got size=\[6\.0, 8\]'),
    'a negative size': ({**GOOD, 'size': [-6, -8]}, r'but got size=\[-6, -8\]'),
    'another size': ({**GOOD, 'size': [8, 6]}, r'the size of its image, \(6, 8\) \(height, width\), but got \(8, 6\)'),
    'no counts': ({'size': [6, 8]}, r'run lengths as counts, but got None: they are a text or a list'),
    'no text': ({**GOOD, 'counts': ''}, r"but got '': it holds characters of no run length, or none at all"),
    'foreign characters': ({**GOOD, 'counts': 'é0'}, r"run lengths as counts, but got 'é0'"),
    'no base': ({**GOOD, 'counts': '!!'}, r'characters of no run length'),
    'a cut number': ({**GOOD, 'counts': 'o'}, r'a number in it does not end'),
    'an endless number': ({**GOOD, 'counts': 'o' * 13 + '0'}, r'a number in it does not end'),
    'a negative run': ({**GOOD, 'counts': 'O1'}, r'a run in it is negative'),
    'cut counts': ({**GOOD, 'counts': GOOD['counts'][:-2]}, r'fill 6 x 8 = 48 pixels, but got \d+$'),
    'doubled counts': ({**GOOD, 'counts': GOOD['counts'] * 2}, r'fill 6 x 8 = 48 pixels, but got \d+$'),
    'a list too short': ({**GOOD, 'counts': [3, 4]}, r'fill 6 x 8 = 48 pixels, but got 7'),
    'a list too long': ({**GOOD, 'counts': [40, 40]}, r'fill 6 x 8 = 48 pixels, but got 80'),
    'an empty list': ({**GOOD, 'counts': []}, r'fill 6 x 8 = 48 pixels, but got 0'),
    'a negative number': ({**GOOD, 'counts': [-2, 50]}, r'whole numbers, none of them negative'),
    'a fraction': ({**GOOD, 'counts': [2.5, 45.5]}, r'whole numbers, none of them negative'),
}


@pytest.mark.parametrize('case', FAULTS)
def test_an_rle_is_refused_with(case: str) -> None:
    rle, message = FAULTS[case]
    assert re.search(message, str(rle_fault(rle, (6, 8))))
    assert not all_fill([GOOD, rle], (6, 8)) and all_fill([GOOD, GOOD], (6, 8))
    assert all_fill([GOOD, rle], None) == (rle_fault(rle, None) is None)


def test_a_list_of_runs_passes_and_without_an_image_any_size_does() -> None:
    assert rle_fault({'size': [6, 8], 'counts': [0, 48]}, (6, 8)) is None
    assert rle_fault(GOOD, None) is None
    assert rle_fault({**GOOD, 'size': [8, 6]}, None) is None
