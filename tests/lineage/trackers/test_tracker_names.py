"""Names that every tracker takes, whatever things are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplake_mmdet.lineage.trackers.names import artifact_name, metric_name

AWKWARD = [
    '',
    ' ',
    '.',
    '..',
    '../..',
    'a/b',
    'a\\b',
    'a b',
    'ä',
    '数据集',
    'x' * 500,
    'a\0b',
    '\x1b[31m',
    '$(rm)',
    'a:b',
    '-',
    'é\u0301',
]
TEXTS = st.one_of(st.text(), st.sampled_from(AWKWARD), st.from_regex(r'[A-Za-z0-9_. /:-]{0,140}', fullmatch=True))


@given(TEXTS, st.lists(TEXTS, max_size=2))
def test_an_artifact_name_is_legal_in_wandb_and_as_a_file(text, identity):
    name = artifact_name(text, *identity)
    assert re.fullmatch(r'[A-Za-z0-9_.-]{1,128}', name)
    assert name.strip('.') == name


@given(TEXTS)
def test_a_metric_name_is_legal_in_mlflow(text):
    import posixpath

    name = metric_name(text)
    assert re.fullmatch(r'[A-Za-z0-9_. /-]{1,250}', name)
    assert posixpath.normpath(name) == name
    assert not name.startswith(('/', '..'))


@given(TEXTS, TEXTS)
@pytest.mark.parametrize('named', [artifact_name, metric_name])
def test_distinct_texts_have_distinct_names(named, one, two):
    assert (named(one) == named(two)) == (one == two)


@given(st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS))
def test_distinct_things_with_equal_texts_have_distinct_names(one, two):
    assert (artifact_name('cars', *one) == artifact_name('cars', *two)) == (one == two)


@given(st.from_regex(r'[A-Za-z0-9_]([A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?', fullmatch=True))
def test_a_legal_name_stays_as_it_is(text):
    assert artifact_name(text) == text
    assert metric_name(text) == text


@pytest.mark.parametrize('text', AWKWARD)
def test_awkward_names_are_accepted_by_the_trackers_themselves(text):
    validators = pytest.importorskip('wandb.sdk.artifacts._validators')
    validation = pytest.importorskip('mlflow.utils.validation')
    validators.validate_artifact_name(artifact_name(text))
    validators.validate_aliases([artifact_name(text)])
    validation._validate_metric_name(metric_name(text))


@pytest.mark.parametrize(
    ('text', 'beginning'),
    [
        ('my cars/night', 'my-cars-night-'),
        ('Fußgänger', 'Fu-ganger-'),
        ('数据集', 'unnamed-'),
        ('x' * 500, 'x' * 119 + '-'),
    ],
)
def test_a_changed_name_can_be_recognised_and_ends_in_a_hash(text, beginning):
    assert re.fullmatch(re.escape(beginning) + '[0-9a-f]{8}', artifact_name(text))


def test_a_metric_keeps_its_slashes_and_spaces():
    assert metric_name('coco/traffic light_precision') == 'coco/traffic light_precision'
    assert metric_name('coco//a').startswith('coco/a-')
