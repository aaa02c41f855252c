"""Polygons as texts: only what `json` and `coco_masks` find without fault passes as plain, and nothing else changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deeplake_mmdet.annotations.coco_masks import mask_fault
from deeplake_mmdet.convert.ring_texts import TOKEN, all_plain, cut_out, shorten

COORDINATES = st.integers(-999_999, 999_999) | st.decimals(-999_999, 999_999, places=2)
RINGS = st.integers(3, 5).flatmap(lambda n: st.lists(COORDINATES, min_size=2 * n, max_size=2 * n))
POLYGONS = st.lists(RINGS, min_size=1, max_size=3)


def written(polygon, comma=', '):
    return '[' + comma.join('[' + comma.join(map(str, ring)) + ']' for ring in polygon) + ']'


@settings(max_examples=100)
@given(polygons=st.lists(POLYGONS, min_size=1, max_size=3), comma=st.sampled_from([',', ', ', ' ,\n\t']))
def test_any_polygons_of_short_numbers_are_plain(polygons, comma):
    assert all_plain([written(polygon, comma) for polygon in polygons])


@settings(max_examples=400)
@given(data=st.data())
def test_what_is_plain_is_json_and_has_no_fault(data):
    texts = [written(polygon) for polygon in data.draw(st.lists(POLYGONS, min_size=1, max_size=2))]
    number = data.draw(st.integers(0, len(texts) - 1))
    text = texts[number]
    place, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    end = data.draw(st.sampled_from([place, place + 1, end]))
    texts[number] = text[:place] + data.draw(st.text('[],.-0123456789 \n', max_size=3)) + text[end:]
    if all_plain(texts):
        assert all(mask_fault(json.loads(text), None) is None for text in texts)


@pytest.mark.parametrize(
    'text',
    [
        '[[1,2,3,4,5]]',
        '[[1,2,3,4]]',
        '[[1,2,3,4,5,6],[1,2]]',
        '[[1,2,3,4,5,1234567]]',
        '[[1,2,3,4,5,1234567.5]]',
        '[[1,2,3,4,5,1.]]',
        '[[1,2,3,4,5,.5]]',
        '[[1,2,3,4,5,1.2.3]]',
        '[[1,2,3,4,5,01]]',
        '[[1,2,3,4,5,-01]]',
        '[[1,2,3,4,5,-]]',
        '[[1,2,3,4,5,--6]]',
        '[[1,2,3,4,5,6-7]]',
        '[[1,2,3,4,5 6,7]]',
        '[[1,2,3,4,,5 6]]',
        '[[1,2,3,4,5,6,]]',
        '[[1,2,3,4,5,6]',
        '[[1,2,3,4,5,6]]]',
        '[[1,2,3,4,5,6],[]]',
        '[[1,2,3,4,5,6],7]',
        '[[[1,2,3,4,5,6]]]',
        '[[1,2,3,4,5,6]][[1,2,3,4,5,6]]]',
        '[[1,2,3,4,5,6],7[1,2,3,4,5,]]',
        '[[1,2,3,4,5,6]7,[1,2,3,4,5,]]',
        '[[1,2,3,4,5,6]7],[[1,2,3,4,5,]]',
        '1[[1,2,3,4,5,6]]',
        '[[1,2,3,4,5,6]]1',
    ],
)
def test_a_fault_is_found(text):
    good = '[[1,2,3,4,5,6]]'
    assert not all_plain([text])
    assert not all_plain([good, text, good])


def test_brackets_of_two_polygons_do_not_make_up_for_each_other():
    assert not all_plain(['[[1,2,3,4,5,6]', '[1,2,3,4,5,6]]'])
    assert not all_plain(['[[1,2,3,4,5,6],[1,2,3,4,5,6]', '[[1,2,3,4,5,6]]'])


FIELDS = st.fixed_dictionaries({}, optional={'id': st.integers(), 'x': st.text(), 'segmentation': POLYGONS | st.text()})


@settings(max_examples=100)
@given(objects=st.lists(FIELDS), nested=FIELDS, indent=st.none() | st.just(1))
@example(objects=[{'segmentation': [[1, 2, 3, 4, 5, 6]], 'x': 1}], nested={}, indent=None)
def test_all_that_is_no_polygon_stays_and_positions_lead_back(objects, nested, indent):
    objects.append({'deep': nested})
    text = json.dumps(objects, indent=indent, default=float)
    short = shorten(text)
    expected = json.loads(text)
    for entry in (*expected, expected[-1]['deep']):
        if isinstance(entry.get('segmentation'), list):
            entry['segmentation'] = TOKEN
    assert json.loads(short.text) == expected
    places = [place for place, char in enumerate(short.text) if char in '{}:']
    assert [text[place] for place in short.origin(places)] == [short.text[place] for place in places]
    again, polygons = cut_out(text)
    assert again == short.text
    assert [*map(json.loads, polygons)] == [
        entry['segmentation']
        for entry in (*json.loads(text), json.loads(text)[-1]['deep'])
        if isinstance(entry.get('segmentation'), list)
    ]


def test_one_polygon_with_a_fault_leaves_the_text_as_it_is():
    text = '[{"segmentation": [[1,2,3,4,5,6]]}, {"segmentation": [[1,2]]}]'
    assert shorten(text).text == text and shorten(text).origin(17) == 17


def test_a_polygon_that_the_end_of_a_window_cuts_does_not_keep_others_from_being_cut_out():
    text = '[{"segmentation": [[1,2,3,4,5,6]]}, {"segmentation": [[1,2,3,4,5,6],[7,8'
    assert shorten(text).text == f'[{{"segmentation": "{TOKEN}"}}, {{"segmentation": [[1,2,3,4,5,6],[7,8'


def test_a_polygon_with_exponents_is_decoded_and_handed_over_all_the_same():
    text = '[{"segmentation": [[1e-05, 2, 3, 4, 5, 6]]}]'
    assert shorten(text).text == text
    assert cut_out(text)[1] == ['[[1e-05,2,3,4,5,6]]']
