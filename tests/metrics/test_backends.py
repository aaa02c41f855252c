"""Every engine gives pycocotools' curves of the JSON files, to the last bit."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.metrics.backends import Backend, BackendError
from deeplake_mmdet.metrics.backends.choice import BACKENDS, check_backend
from deeplake_mmdet.metrics.backends.columns import columns_of_detections
from deeplake_mmdet.metrics.backends.with_pycocotools import Pycocotools
from deeplake_mmdet.metrics.coco_summary import summarize
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Curves
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from tests.support.coco_cases import draw_case, reference, settings

MAX_DETS = [(100, 300, 1000), (1, 10, 100), (1, 2, 5, 7), (50,), (10, 1, 3)]
IOUS = [np.linspace(0.5, 0.95, 10), np.array([0.5]), np.array([0.1, 0.75, 1.0])]


@pytest.fixture(params=list(BACKENDS), scope='module')
def backend(request: pytest.FixtureRequest) -> Backend:
    try:
        check_backend(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    return BACKENDS[request.param]()


def _equals_reference(backend: Backend, truth: GroundTruth, detections: Detections, asked: Any) -> Curves:
    curves, right = backend.accumulate(truth, detections, asked), reference(truth, detections, asked)
    ids = sorted(truth.category_ids)
    order = [ids.index(k) for k in truth.category_ids] if asked.use_cats else [0]
    assert np.array_equal(curves.precision, right.eval['precision'][:, :, order])
    assert np.array_equal(curves.recall, right.eval['recall'][:, order])
    assert curves.max_dets == tuple(sorted(asked.max_dets))
    if asked.max_dets == (100, 300, 1000) and asked.use_cats:
        assert list(summarize(curves, truth.category_ids).values()) == right.stats.tolist()
    return curves


CASES = dict(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 12),
    classes=st.integers(1, 4),
    objects=st.sampled_from([0, 1, 4]),
    detections=st.sampled_from([0, 2, 12]),
    size=st.sampled_from([40, 150, 400]),
    texts=st.booleans(),
)
ASKED = dict(iou_thrs=st.sampled_from(IOUS), max_dets=st.sampled_from(MAX_DETS), use_cats=st.booleans())


@given_settings(max_examples=25)
@given(case=st.fixed_dictionaries(CASES), asked=st.fixed_dictionaries(ASKED))
def test_curves_of_boxes_and_proposals_are_those_of_the_files(backend, case, asked):
    _equals_reference(backend, *draw_case(**case), settings(**asked))


@given_settings(max_examples=15)
@given(case=st.fixed_dictionaries(CASES), asked=st.fixed_dictionaries(ASKED))
def test_curves_of_masks_are_those_of_the_files(backend, case, asked):
    _equals_reference(backend, *draw_case(**case, masks=True), settings('segm', **asked))


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
@pytest.mark.parametrize('texts', [False, True])
def test_all_twelve_numbers_of_a_large_run_are_those_of_the_files(backend, iou_type, texts):
    truth, detections = draw_case(
        5, images=60, classes=5, objects=8, detections=30, size=300, texts=texts, masks=iou_type == 'segm'
    )
    numbers = summarize(_equals_reference(backend, truth, detections, settings(iou_type)), truth.category_ids)
    assert all(0 < value < 1 for value in numbers.values())


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
@pytest.mark.parametrize('use_cats', [True, False])
def test_without_detections_precision_is_0_where_there_is_something_to_find(backend, iou_type, use_cats):
    truth, detections = draw_case(1, detections=0, masks=True)
    asked = settings(iou_type, use_cats=use_cats)
    curves = _equals_reference(backend, truth, detections, asked)
    assert set(np.unique(curves.precision)) == {-1, 0}
    assert set(np.unique(curves.recall)) == {-1, 0}


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
@pytest.mark.parametrize('detections', [0, 8])
def test_without_objects_everything_is_minus_one(backend, iou_type, detections):
    case = draw_case(1, objects=0, detections=detections, masks=True)
    curves = _equals_reference(backend, *case, settings(iou_type))
    assert (curves.precision == -1).all() and (curves.recall == -1).all()


def test_a_class_of_crowds_alone_is_minus_one(backend):
    truth, detections = draw_case(2, classes=2)
    truth = replace(truth, crowd=truth.crowd | (truth.labels == 1))
    curves = _equals_reference(backend, truth, detections, settings())
    assert (curves.precision[:, :, 1] == -1).all()


def test_more_masks_than_eight_bits_count(backend):
    _equals_reference(backend, *draw_case(3, images=30, detections=30, size=40, masks=True), settings('segm'))


@pytest.mark.parametrize('objects', [1, 2, 3, 60, 101, 150, 400])
@pytest.mark.parametrize('right', ['10', '1', '110', '11', '01', '1011', '11110', '0'])
def test_a_precision_that_rests_on_one_detection_is_divided_as_pycocotools_does(backend, objects, right):
    """`right`: which detections find an object, the best-scored ones first."""
    boxes = np.tile([0.0, 0, 10, 10], (objects, 1))
    boxes[:, 0] = 20 * np.arange(objects)
    truth = replace(
        draw_case(0, images=1, classes=1, objects=0)[0],
        offsets=np.array([0, objects]),
        boxes_xywh=boxes,
        labels=np.zeros(objects, np.int64),
        areas=np.full(objects, 100.0),
        crowd=np.zeros(objects, bool),
    )
    found = np.array([[20 * i, 0, 20 * i + 10, 10 if hit == '1' else 2] for i, hit in enumerate(right)], np.float32)
    detections = replace(
        draw_case(0, images=1, classes=1, detections=0)[1],
        img_ids=truth.img_ids,
        offsets=np.array([0, len(right)]),
        boxes=found,
        scores=np.linspace(1, 0.5, len(right), dtype=np.float32),
        labels=np.zeros(len(right), np.int64),
    )
    _equals_reference(backend, truth, detections, settings())


def test_areas_of_detected_masks_are_not_those_of_their_boxes():
    truth, detections = draw_case(4, masks=True)
    boxes, masks = (columns_of_detections(truth, detections, kind).areas for kind in ('bbox', 'segm'))
    assert np.array_equal(masks, [coco_mask.area(mask) for mask in detections.segmentations])
    assert (boxes != masks).any()


def test_ground_truth_is_built_once_for_each_kind_of_overlap(backend, monkeypatch):
    built = []
    build = type(backend)._build
    monkeypatch.setattr(type(backend), '_build', lambda *args: built.append(args[2].masks is None) or build(*args))
    truth, detections = draw_case(6, masks=True)
    for _ in range(2):
        for iou_type in ('bbox', 'segm'):
            _equals_reference(backend, truth, detections, settings(iou_type))
    assert built == [True, False]
    _equals_reference(backend, replace(truth, crowd=~truth.crowd), detections, settings())
    assert built == [True, False, True]


def test_the_data_are_left_as_they_were(backend):
    truth, detections = draw_case(7, masks=True)
    for kind in ('bbox', 'segm'):
        backend.accumulate(truth, detections, settings(kind))
    again = draw_case(7, masks=True)
    for given_, drawn in zip((truth, detections), again, strict=True):
        for name, value in vars(drawn).items():
            assert np.array_equal(getattr(given_, name), value) if isinstance(value, np.ndarray) else True
    assert (truth.segmentations, detections.counts) == (again[0].segmentations, again[1].counts)


def test_an_engine_prints_nothing(backend, capsys):
    for kind in ('bbox', 'segm'):
        backend.accumulate(*draw_case(8, masks=True), settings(kind))
    assert capsys.readouterr() == ('', '')


def test_what_another_thread_prints_meanwhile_is_not_lost(monkeypatch, capsys):
    evaluate = COCOeval.evaluate

    def with_another_thread(self):
        other = threading.Thread(target=print, args=('of another thread',))
        other.start()
        other.join()
        evaluate(self)

    monkeypatch.setattr(COCOeval, 'evaluate', with_another_thread)
    Pycocotools().accumulate(*draw_case(8), settings())
    assert capsys.readouterr().out == 'of another thread\n'


def test_masks_of_another_size_than_their_image_are_refused(backend):
    truth, detections = draw_case(9, masks=True)
    image = int(np.flatnonzero(np.diff(detections.offsets))[0])
    sizes = detections.sizes.copy()
    sizes[image] = 10, 20
    wrong = (
        rf'image with img_id {truth.img_ids[image]} expected masks of its height and width \[150, 153\], but got \[10'
    )
    with pytest.raises(AnnotationError, match=wrong):
        backend.accumulate(truth, replace(detections, sizes=sizes), settings('segm'))


@pytest.mark.parametrize(
    ('segmentation', 'problem'),
    [([[1, 2, 3, 4]], 'TypeError'), ({'size': [5, 5], 'counts': [25]}, r'one of \[5, 5\]')],
)
def test_masks_that_cannot_be_drawn_are_refused_with_their_row(backend, segmentation, problem):
    truth, detections = draw_case(9, masks=True)
    truth = replace(truth, segmentations=[segmentation, *truth.segmentations[1:]])
    row = truth.rows[truth.image_of[0]]
    with pytest.raises(AnnotationError, match=rf'Row {row} .* expected masks .*\[150, 153\], but got {problem}'):
        backend.accumulate(truth, detections, settings('segm'))


def test_rings_without_a_point_are_no_mask(backend):
    truth, detections = draw_case(9, masks=True)
    without, hollow = (replace(truth, segmentations=[given_, *truth.segmentations[1:]]) for given_ in ([], [[]]))
    curves = [backend.accumulate(given_, detections, settings('segm')) for given_ in (without, hollow)]
    assert np.array_equal(curves[0].precision, curves[1].precision)


def test_masks_that_nobody_read_are_refused(backend):
    truth, detections = draw_case(9, masks=True)
    with pytest.raises(AnnotationError, match="'segm' expected annotations with masks"):
        backend.accumulate(replace(truth, segmentations=None), detections, settings('segm'))


class Panic(BaseException):
    """As PyO3 passes on a panic in Rust: no `Exception`."""


@pytest.mark.parametrize('error', [ValueError('odd'), Panic('index out of bounds')])
def test_whatever_goes_wrong_in_an_engine_names_it(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(Pycocotools, '_run', fail)
    with pytest.raises(BackendError, match=rf'pycocotools [\d.]+ failed: {type(error).__name__}: {error}. Set another'):
        Pycocotools().accumulate(*draw_case(9), settings())


def test_an_interruption_is_nobodys_fault(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pycocotools, '_run', interrupt)
    with pytest.raises(KeyboardInterrupt):
        Pycocotools().accumulate(*draw_case(9), settings())


def test_curves_of_another_shape_are_refused(monkeypatch):
    monkeypatch.setattr(Pycocotools, '_run', lambda *_: (np.zeros((10, 101, 3, 4, 1)), np.zeros((10, 3, 4, 1))))
    with pytest.raises(BackendError, match=r'recall of shape \(10, 3, 4, 3\), but gave \(10, 3, 4, 1\)'):
        Pycocotools().accumulate(*draw_case(9), settings())
