"""Texts as arrays: whatever goes in comes out."""

from __future__ import annotations

import pickle

import pytest

from deeplake_mmdet.annotations.texts import Texts


@pytest.mark.parametrize('texts', [[], [''], ['a', '', 'bc'], ['Ünïcode', '猫🐈', 'nul\0', '\ud800 alone', 'a' * 1000]])
def test_texts_come_out_as_they_went_in(texts):
    packed = Texts.of(iter(texts))
    assert packed.tolist() == texts
    assert [packed[place] for place in range(len(texts))] == texts
    assert [packed[place - len(texts)] for place in range(len(texts))] == texts
    assert len(packed) == len(texts)
    assert pickle.loads(pickle.dumps(packed)).tolist() == texts


@pytest.mark.parametrize('place', [2, -3])
def test_a_place_behind_the_end_is_an_error(place):
    with pytest.raises(IndexError):
        Texts.of(['a', 'b'])[place]
