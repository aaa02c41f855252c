"""Pictures for the page and for trackers: complete whatever the names and numbers, and without pyplot."""

from __future__ import annotations

import base64
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace

import cv2
import numpy as np
import pytest

from deeplake_mmdet.report.confusion import confusion_matrix, most_confused
from deeplake_mmdet.report.figures.confusion import confusion_picture
from deeplake_mmdet.report.figures.histograms import score_picture, size_picture
from deeplake_mmdet.report.figures.picture import Picture, plain
from deeplake_mmdet.report.figures.precision_recall import precision_recall_picture
from deeplake_mmdet.report.figures.thresholds import threshold_picture
from deeplake_mmdet.report.figures.training import training_pictures
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.precision_recall import PrecisionRecall, precision_recall
from deeplake_mmdet.report.training_log import TrainingLog
from tests.report.test_report_training_log import TRAIN, VAL
from tests.support.evaluations import random_detections, random_evaluation, random_truth

ODD_NAMES = ('_hidden', 'a $b$ c', '<b>&amp;</b>', '犬と猫', 'x' * 60, 'two\nlines')


def pictures_of(outcome: Outcome) -> list[Picture]:
    classes = outcome.evaluation.truth.classes
    return [
        *(precision_recall_picture(curves) for curves in precision_recall(outcome)),
        threshold_picture(outcome),
        confusion_picture(most_confused(confusion_matrix(outcome), classes)),
        size_picture(outcome),
        score_picture(outcome),
    ]


def texts(picture: Picture) -> list[str]:
    """The texts in the SVG of a picture."""
    kind, _, data = picture.data_uri().partition(';base64,')
    assert kind == 'data:image/svg+xml'
    root = ET.fromstring(base64.b64decode(data))
    return [''.join(node.itertext()) for node in root.iter('{http://www.w3.org/2000/svg}text')]


def test_every_picture_has_a_name_a_title_and_words_for_those_who_cannot_see_it():
    pictures = [*pictures_of(Outcome.of(random_evaluation())), *training_pictures(TrainingLog.of([*TRAIN, VAL]))]
    assert len({picture.name for picture in pictures}) == len(pictures) == 8
    for picture in pictures:
        assert picture.name.isidentifier() and picture.title and picture.text


def test_a_picture_for_a_tracker_is_rgb_and_in_colour():
    image = threshold_picture(Outcome.of(random_evaluation())).rgb()
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    red = (image[..., 0].astype(int) - image[..., 2]).max()  # the line of precision
    assert red > 150


def test_the_classes_are_named_in_the_pictures_as_they_are_called():
    outcome = Outcome.of(random_evaluation(0, classes=ODD_NAMES, objects=8))
    matrix = texts(confusion_picture(most_confused(confusion_matrix(outcome), ODD_NAMES)))
    for name in ('_hidden', 'a $b$ c', '<b>&amp;</b>', '犬と猫', 'two lines'):
        assert sum(text.strip('\u200b') == name for text in matrix) == 2, name
    curves = texts(precision_recall_picture(precision_recall(outcome)[0]))
    for name in ('_hidden', 'a $b$ c', '<b>&amp;</b>', '犬と猫'):
        assert any(text.strip('\u200b').startswith(f'{name} (') for text in curves), name


def test_odd_names_cost_no_warning():
    outcome = Outcome.of(random_evaluation(0, classes=ODD_NAMES, objects=8))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for picture in pictures_of(outcome):
            picture.data_uri()
            picture.rgb()


def test_a_name_is_shortened_and_keeps_to_one_line():
    assert plain('two\n lines') == 'two lines'
    assert plain('x' * 30, 10) == 'x' * 9 + '…'


@pytest.mark.parametrize(('objects', 'share', 'noise'), [(0, 0, 0), (0, 0, 3), (4, 0, 0), (4, 1, 0)])
@pytest.mark.parametrize('classes', [('only',), ('cat', 'dog', 'owl')])
def test_pictures_are_drawn_of_nothing_and_of_one_class(classes, objects, share, noise):
    truth = random_truth(0, classes=classes, objects=objects)
    found = random_detections(truth, 1, share=share, noise=noise)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for picture in pictures_of(Outcome.of(replace(random_evaluation(), truth=truth, detections=found))):
            assert picture.data_uri().startswith('data:image/svg+xml;base64,')


def test_boxes_without_extent_and_scores_beyond_one_are_counted():
    evaluation = random_evaluation()
    truth = replace(evaluation.truth, boxes_xywh=evaluation.truth.boxes_xywh * np.array([1, 1, 0, 1]))
    found = replace(evaluation.detections, scores=evaluation.detections.scores * 3)
    for picture in pictures_of(Outcome.of(replace(evaluation, truth=truth, detections=found))):
        assert picture.data_uri()


def test_only_the_sizes_that_occur_are_named():
    evaluation = random_evaluation()  # all boxes are small
    assert {'small', 'medium', 'large'} & set(texts(size_picture(Outcome.of(evaluation)))) == {'small'}
    truth = replace(evaluation.truth, boxes_xywh=evaluation.truth.boxes_xywh * 5)
    large = texts(size_picture(Outcome.of(replace(evaluation, truth=truth))))
    assert {'small', 'medium', 'large'} <= set(large)


def test_of_many_classes_the_worst_are_named_and_all_are_drawn():
    precision = np.linspace(0, 1, 40)[:, None] * np.ones((40, 101))
    curves = PrecisionRecall('bbox_50', 'boxes', tuple(f'class {k}' for k in range(40)), precision)
    picture = precision_recall_picture(curves)
    legend = [text for text in texts(picture) if text.startswith('class')]
    assert legend == [f'class {k} ({k / 39:.3f})' for k in range(8)]
    assert 'mean of 40 (0.500)' in texts(picture)
    assert len(picture.figure.axes[0].lines) == 41


def test_a_picture_with_very_much_in_it_is_pixels():
    precision = np.random.default_rng(0).random((1200, 101))
    curves = PrecisionRecall('bbox_50', 'boxes', tuple(map(str, range(1200))), precision)
    kind, _, data = precision_recall_picture(curves).data_uri().partition(';base64,')
    assert kind == 'data:image/png'
    assert len(data) < 1_000_000
    assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR).shape[1] > 800


def test_the_training_is_drawn_by_what_its_log_holds():
    assert [picture.name for picture in training_pictures(TrainingLog.of([*TRAIN, VAL]))] == [
        'losses',
        'metrics',
        'learning_rate',
    ]
    assert [picture.name for picture in training_pictures(TrainingLog.of(TRAIN))] == ['losses', 'learning_rate']
    assert training_pictures(TrainingLog()) == []


def test_more_lines_than_a_picture_can_hold_are_said_to_be_missing():
    many = TrainingLog.of([*TRAIN, {f'coco/m{k}': 0.5 for k in range(14)} | {'step': 1}])
    picture = training_pictures(many)[1]
    assert '4 more are not drawn' in picture.text
    assert len(picture.figure.axes[0].lines) == 10


PROBE = """
import matplotlib.pyplot as plt
from deeplake_mmdet.report.figures.thresholds import threshold_picture
from deeplake_mmdet.report.outcome import Outcome
from tests.support.evaluations import random_evaluation
plt.switch_backend('template')
mine = plt.figure()
before = dict(plt.rcParams)
picture = threshold_picture(Outcome.of(random_evaluation()))
picture.data_uri(), picture.rgb()
assert plt.get_backend() == 'template' and plt.gcf() is mine and plt.get_fignums() == [1]
assert dict(plt.rcParams) == before
print('untouched')
"""


def test_drawing_leaves_the_figures_the_backend_and_the_settings_of_a_program_alone():
    done = subprocess.run([sys.executable, '-c', PROBE], capture_output=True, text=True, timeout=120, check=False)
    assert 'untouched' in done.stdout, done.stderr
