"""The worst images: which they are, what is said of them, and what is drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from deeplake_mmdet import DeepLakeDataset
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.report.drawing import COLOURS, LONG_SIDE, thumbnail
from deeplake_mmdet.report.gallery import draw_gallery
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.worst_images import APART, CONFUSED, FALSE, MISSED, RIGHT, Mark, worst_images
from tests.support.evaluations import box_mask, random_detections, random_evaluation
from tests.support.tiny import write_tiny


def mistakes_by_hand(outcome: Outcome) -> list[int]:
    """Mistakes of each image: false detections, and missed objects that none of them stands for."""
    truth, found = outcome.evaluation.truth, outcome.evaluation.detections
    stood_for = set(outcome.taken_for.tolist())
    counts: Counter[int] = Counter()
    for d in np.flatnonzero(outcome.wrong):
        counts[int(found.image_of[d])] += 1
    for o in np.flatnonzero(outcome.missed):
        counts[int(truth.image_of[o])] += int(o) not in stood_for
    return [counts[image] for image in range(len(truth))]


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_the_images_with_the_most_mistakes_come_first_and_those_without_do_not_come(seed):
    outcome = Outcome.of(random_evaluation(seed, images=20))
    mistakes = mistakes_by_hand(outcome)
    found = worst_images(outcome, 5)
    assert [mistakes[item.image] for item in found] == sorted(mistakes, reverse=True)[:5]
    everything = worst_images(outcome, 100)
    assert {item.image for item in everything} == {image for image, count in enumerate(mistakes) if count}
    for item in everything:
        assert sum(item.counts[kind] for kind in (MISSED, FALSE, CONFUSED)) == mistakes[item.image]
        assert set(item.mistakes) == {kind for kind in (MISSED, FALSE, CONFUSED) if item.counts[kind]}


def test_all_objects_and_all_shown_detections_of_an_image_are_drawn_once():
    outcome = Outcome.of(random_evaluation(0, images=20))
    truth, found = outcome.evaluation.truth, outcome.evaluation.detections
    for item in worst_images(outcome, 100):
        part = found.of_image(item.image)
        shown = part.start + np.flatnonzero(outcome.shown[part])
        assert sorted(mark.place for mark in item.marks if not mark.truth) == shown.tolist()
        objects = truth.of_image(item.image)
        assert sorted(mark.place for mark in item.marks if mark.truth) == list(range(objects.start, objects.stop))
        for mark in item.marks:
            if mark.truth:
                assert (mark.kind == APART) == (not outcome.matching.counted[mark.place])
            else:
                assert (mark.kind == RIGHT) == bool(outcome.right[mark.place])


def test_what_is_wrong_is_told_by_class():
    evaluation = random_evaluation(objects=0, images=1)
    truth = replace(
        evaluation.truth,
        offsets=np.array([0, 4]),
        boxes_xywh=np.array([[0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10], [0, 40, 10, 10]], float),
        labels=np.array([0, 0, 1, 1]),
        areas=np.full(4, 100.0),
        crowd=np.zeros(4, bool),
        ignored=np.zeros(4, bool),
    )
    found = replace(
        evaluation.detections,
        offsets=np.array([0, 3]),
        boxes=np.array([[0, 0, 10, 10], [20, 0, 30, 10], [60, 0, 70, 10]], np.float32),
        scores=np.full(3, 0.9, np.float32),
        labels=np.array([0, 2, 2]),
    )
    (item,) = worst_images(Outcome.of(replace(evaluation, truth=truth, detections=found)), 5)
    assert item.mistakes == {'missed': '2 dog', 'false': 'owl', 'wrong class': 'cat as owl'}
    assert item.counts == {'right': 1, 'missed': 2, 'false': 1, 'wrong class': 1}


def mark(kind=FALSE, xyxy=(10, 10, 30, 30), *, truth=False, text='', mask=None) -> Mark:
    return Mark(kind, np.array(xyxy, float), text, truth, 0, mask)


def drawn(*marks: Mark, image=None, size=(240, 360)) -> np.ndarray:
    image = np.full((*size, 3), 128, np.uint8) if image is None else image
    return cv2.imdecode(np.frombuffer(thumbnail(image, size, marks), np.uint8), cv2.IMREAD_COLOR).astype(int)


def near(pixels: np.ndarray, kind: str) -> np.ndarray:
    """Which pixels have about the colour of a kind."""
    colour = [int(COLOURS[kind][place : place + 2], 16) for place in (5, 3, 1)]
    return np.abs(pixels - colour).max(axis=-1) < 60


def test_a_detection_is_solid_and_an_object_dashed_in_the_colour_of_its_kind():
    scale = LONG_SIDE / 360
    row = round(100 * scale)
    for truth, kind in ((False, FALSE), (True, MISSED)):
        line = near(drawn(mark(kind, (60, 100, 300, 180), truth=truth))[row], kind)[
            round(70 * scale) : round(290 * scale)
        ]
        share = line.mean()
        assert share > 0.95 if not truth else 0.3 < share < 0.8
    assert not near(drawn()[row], FALSE).any()


def test_a_mask_is_filled():
    mask = box_mask(np.array([100, 100, 50, 50]), (240, 360))
    filled, plain = drawn(mark(RIGHT, (100, 100, 150, 150), mask=mask)), drawn()
    assert np.abs(filled - plain)[250, 250].max() > 20
    assert np.abs(filled - plain)[50, 50].max() < 3


@pytest.mark.parametrize('size', [(4000, 3000), (30, 40), (1, 5000), (5000, 1)])
def test_a_thumbnail_is_neither_huge_nor_tiny(size):
    picture = drawn(mark(xyxy=(0, 0, 3, 3), text='cat 0.90'), size=size)
    assert max(picture.shape) == min(LONG_SIDE, 3 * max(size))


def test_an_image_that_cannot_be_read_still_shows_its_boxes():
    picture = cv2.imdecode(
        np.frombuffer(thumbnail(None, (240, 360), [mark(xyxy=(60, 100, 300, 180))]), np.uint8), cv2.IMREAD_COLOR
    )
    assert picture.shape == (480, 720, 3)
    assert near(picture.astype(int), FALSE).sum() > 500


@pytest.mark.parametrize('text', ['<script>', 'ÄÖ Ж', '犬 0.5', '', 'x' * 400, 'two\nlines', '\n'])
def test_any_name_can_be_drawn(text):
    assert drawn(mark(text=text)).any()


def boxes_out_of_the_image() -> list[tuple[float, float, float, float]]:
    return [(-50, -50, 20, 20), (350, 230, 900, 900), (500, 500, 600, 600), (30, 30, 30, 30)]


@pytest.mark.parametrize('xyxy', boxes_out_of_the_image())
@pytest.mark.parametrize('truth', [True, False])
def test_boxes_that_reach_beyond_the_image_are_cut_at_its_border(xyxy, truth):
    assert drawn(mark(MISSED, xyxy, truth=truth, text='cat')).shape == (480, 720, 3)


@pytest.fixture
def dataset(tmp_path) -> DeepLakeDataset:
    from deeplake import types

    names = {'file_name': (types.Text(), [f'folder/{n}.png' for n in range(6)])}
    return DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds', extra=names), test_mode=True)


def outcome_of(dataset: DeepLakeDataset) -> Outcome:
    truth = GroundTruth.of_dataset(dataset, range(len(dataset.index)), masks=False)
    return Outcome.of(replace(random_evaluation(), truth=truth, detections=random_detections(truth, 0, share=0.3)))


def test_an_image_of_the_gallery_names_its_row_its_id_and_its_file(dataset):
    outcome = outcome_of(dataset)
    gallery = draw_gallery(outcome, dataset, 3)
    worst = worst_images(outcome, 3)
    assert len(gallery) == 3
    for image, item in zip(gallery, worst, strict=True):
        assert image.row == outcome.evaluation.truth.rows[item.image]
        assert image.img_id == outcome.evaluation.truth.img_ids[item.image]
        assert image.file_name == f'folder/{image.row}.png'
        assert image.readable and image.jpeg.startswith(b'\xff\xd8')


def test_the_thumbnail_is_of_the_image_of_its_row(dataset):
    gallery = draw_gallery(outcome_of(dataset), dataset, 6)
    for image in gallery:
        own = cv2.imdecode(np.frombuffer(dataset.images.get(image.row), np.uint8), cv2.IMREAD_COLOR)
        picture = cv2.imdecode(np.frombuffer(image.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[0] == 3 * own.shape[0]
        small = cv2.resize(picture, own.shape[1::-1], interpolation=cv2.INTER_AREA).astype(float).ravel()
        likeness = {
            row: np.corrcoef(small, cv2.imdecode(np.frombuffer(dataset.images.get(row), np.uint8), 1).ravel())[0, 1]
            for row in range(6)
        }
        assert max(likeness, key=lambda row: likeness[row]) == image.row


def test_a_dataset_without_file_names_has_a_gallery_all_the_same(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), test_mode=True)
    assert {image.file_name for image in draw_gallery(outcome_of(dataset), dataset, 3)} == {''}


def test_an_unreadable_image_costs_its_picture_only(tmp_path, caplog):
    images = [cv2.imencode('.png', np.zeros((40, 40, 3), np.uint8))[1].tobytes()] * 2 + [b'no image at all']
    path = write_tiny(tmp_path / 'ds', boxes=[[[2, 3, 10, 12]]] * 3, images=images)
    dataset = DeepLakeDataset(deeplake_path=path, test_mode=True)
    truth = GroundTruth.of_dataset(dataset, range(3), masks=False)
    found = random_detections(truth, 0, share=0)
    gallery = draw_gallery(Outcome.of(replace(random_evaluation(), truth=truth, detections=found)), dataset, 3)
    assert {image.row: image.readable for image in gallery} == {0: True, 1: True, 2: False}


def test_no_images_are_drawn_where_none_are_asked_for(dataset):
    assert draw_gallery(outcome_of(dataset), dataset, 0) == []
