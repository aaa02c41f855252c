"""`backend='auto'` takes an engine that proves itself, and no other."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mmengine.logging import MMLogger

from deeplake_mmdet.errors import AnnotationError, ConfigError
from deeplake_mmdet.metrics.backends import Backend, choice, choose_backend
from deeplake_mmdet.metrics.backends.choice import BACKENDS, check_backend
from deeplake_mmdet.metrics.backends.with_pycocotools import Pycocotools
from tests.support.coco_cases import draw_case, settings


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Any:
    """What the run's logger says."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    logger.removeHandler(caplog.handler)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Backend]], None]:
    """Make an engine the only one beside pycocotools."""

    def register(kind: type[Backend]) -> None:
        monkeypatch.setattr(choice, 'BACKENDS', {kind.name: kind, 'pycocotools': Pycocotools})

    return register


def _case(**changes: Any) -> Any:
    return draw_case(0, **(dict(images=20, objects=4, detections=12, masks=True) | changes))


class StandIn(Pycocotools):
    """Right in everything; the others break one thing each."""

    name = 'stand-in'


class LastBit(StandIn):
    def _run(self, *args: Any) -> Any:
        precision, recall = super()._run(*args)
        precision[precision == precision.max()] -= 2**-53
        return precision, recall


class NoCrowds(StandIn):
    def _build(self, truth: Any, objects: Any) -> Any:
        return super()._build(truth, replace(objects, crowd=np.zeros_like(objects.crowd)))


class LastOfTiesFirst(StandIn):
    """Of all but the objects themselves, which the check adds as detections with the score 0.5."""

    def _run(self, built: Any, found: Any, asked: Any) -> Any:
        later = np.arange(len(found.scores)) * 1e-9 * (found.scores != 0.5)
        return super()._run(built, replace(found, scores=found.scores + later), asked)


class AllDetectionsCount(StandIn):
    def _run(self, built: Any, found: Any, asked: Any) -> Any:
        return super()._run(built, found, replace(asked, max_dets=tuple(1000 + number for number in asked.max_dets)))


class ThreeMaxDets(StandIn):
    def _run(self, built: Any, found: Any, asked: Any) -> Any:
        return super()._run(built, found, replace(asked, max_dets=asked.max_dets[:3]))


class BoxAreas(StandIn):
    def _run(self, built: Any, found: Any, asked: Any) -> Any:
        return super()._run(built, replace(found, areas=found.boxes[:, 2] * found.boxes[:, 3]), asked)


class TextsOnly(StandIn):
    def _run(self, built: Any, found: Any, asked: Any) -> Any:
        for mask in found.masks or []:
            mask['counts'].encode()
        return super()._run(built, found, asked)


class Panicking(StandIn):
    def _build(self, truth: Any, objects: Any) -> Any:
        raise type('PanicException', (BaseException,), {})('index out of bounds')


class Broken(StandIn):
    def _build(self, truth: Any, objects: Any) -> Any:
        raise ImportError('libgomp.so.1: cannot open shared object file')


def test_an_engine_that_is_right_is_taken(only, warnings):
    only(StandIn)
    backend, sentence = choose_backend('auto', *_case(), [settings(), settings('segm'), settings(use_cats=False)])
    assert type(backend) is StandIn
    assert sentence.startswith('COCO evaluation by stand-in, which equals pycocotools 2.')
    assert not warnings()


@pytest.mark.parametrize(
    ('kind', 'why'),
    [
        (LastBit, r'its precision differs from pycocotools in \d+ of \d+ places, by up to 1.1e-16'),
        (NoCrowds, 'its precision differs'),
        (LastOfTiesFirst, 'its precision differs'),
        (AllDetectionsCount, 'its (precision|recall) differs'),
        (ThreeMaxDets, r'stand-in expected to give a recall of shape \(\d+, \d, 4, 4\), but gave \(\d+, \d, 4, 3\)'),
        (Panicking, r"it failed with PanicException\('index out of bounds'\)"),
        (Broken, r"it failed with ImportError\('libgomp.so.1"),
    ],
)
def test_an_engine_that_is_wrong_is_not_taken_and_the_log_says_why(only, warnings, kind, why):
    only(kind)
    backend, sentence = choose_backend('auto', *_case(), [settings()])
    assert type(backend) is Pycocotools
    assert sentence == f"COCO evaluation by {backend.version}; 'pip install hotcoco' makes it many times faster"
    (warning,) = warnings()
    assert warning.startswith('stand-in is not used for the COCO evaluation: ')
    assert re.search(why, warning), warning


@pytest.mark.parametrize('kind', [BoxAreas, TextsOnly])
def test_an_engine_that_is_wrong_about_masks_is_taken_for_boxes_only(only, warnings, kind):
    only(kind)
    assert type(choose_backend('auto', *_case(), [settings()])[0]) is kind
    assert type(choose_backend('auto', *_case(), [settings(), settings('segm')])[0]) is Pycocotools
    assert "iou_type='segm'" in warnings()[0] or 'AttributeError' in warnings()[0]


@pytest.mark.parametrize('kind', [LastBit, NoCrowds, AllDetectionsCount])
def test_a_run_without_detections_refuses_a_wrong_engine_all_the_same(only, kind):
    only(kind)
    assert type(choose_backend('auto', *_case(detections=0, objects=8), [settings()])[0]) is Pycocotools


def test_a_run_without_a_crowd_refuses_an_engine_that_knows_none(only):
    only(NoCrowds)
    truth, detections = _case()
    truth = replace(truth, crowd=np.zeros_like(truth.crowd), ignored=np.zeros_like(truth.crowd))
    assert type(choose_backend('auto', truth, detections, [settings()])[0]) is Pycocotools


def test_a_run_without_equal_scores_refuses_an_engine_that_breaks_ties_otherwise(only):
    only(LastOfTiesFirst)
    truth, detections = _case()
    scores = np.random.default_rng(0).permutation(np.linspace(0, 1, len(detections.scores), dtype=np.float32))
    assert type(choose_backend('auto', truth, replace(detections, scores=scores), [settings()])[0]) is Pycocotools


def test_an_engine_that_is_wrong_about_proposals_only_is_refused(only, warnings):
    class Proposals(StandIn):
        def _run(self, built: Any, found: Any, asked: Any) -> Any:
            precision, recall = super()._run(built, found, asked)
            return precision, recall * (1 if asked.use_cats else 0.5)

    only(Proposals)
    assert type(choose_backend('auto', *_case(), [settings(), settings(use_cats=False)])[0]) is Pycocotools
    assert 'its recall differs' in warnings()[0] and 'use_cats=False' in warnings()[0]


def test_the_second_engine_follows_a_first_that_is_wrong(monkeypatch, warnings):
    monkeypatch.setattr(choice, 'BACKENDS', {'wrong': LastBit, 'right': StandIn, 'pycocotools': Pycocotools})
    assert type(choose_backend('auto', *_case(), [settings()])[0]) is StandIn
    assert len(warnings()) == 1


@pytest.mark.parametrize('objects', [0, 4])
@pytest.mark.parametrize('detections', [0, 12])
@pytest.mark.parametrize('iou_thrs', [np.array([0.5]), np.linspace(0.5, 0.95, 10)])
def test_an_installed_engine_passes_on_any_run(objects, detections, iou_thrs, warnings):
    if not all(importlib.util.find_spec(kind.module) for kind in BACKENDS.values()):
        pytest.skip('an engine is not installed')
    case = draw_case(0, images=20, objects=objects, detections=detections, masks=True)
    asked = [settings(iou_thrs=iou_thrs), settings('segm', iou_thrs=iou_thrs), settings(use_cats=False)]
    for name in ('hotcoco', 'faster-coco-eval'):
        assert choice.disagreement(BACKENDS[name](), Pycocotools(), *case, asked) is None
    assert choose_backend('auto', *case, asked)[0].name == 'hotcoco'


def test_the_check_reads_few_images_and_no_more_detections_than_it_needs(only, monkeypatch):
    only(StandIn)
    seen = []
    accumulate = Backend.accumulate
    monkeypatch.setattr(Backend, 'accumulate', lambda self, *args: seen.append(args) or accumulate(self, *args))
    choose_backend('auto', *draw_case(0, images=200, objects=4, detections=10), [settings()])
    choose_backend('auto', *draw_case(0, images=200, objects=4, detections=300, size=60), [settings()])
    choose_backend('auto', *draw_case(0, images=1, objects=4, detections=3000, size=60), [settings()])
    few, dense, single = seen[::4][:3]
    assert [len(truth) for truth, _, _ in (few, dense, single)][::2] == [12, 1]
    assert {int(objects > 0) for objects in np.diff(few[0].offsets)} == {0, 1}
    assert 200 < len(dense[1].scores) <= 500


def test_data_that_nobody_can_evaluate_are_not_blamed_on_an_engine(only, warnings):
    only(StandIn)
    truth, detections = _case()
    with pytest.raises(AnnotationError, match='annotations with masks'):
        choose_backend('auto', replace(truth, segmentations=None), detections, [settings('segm')])
    assert not warnings()


@pytest.mark.parametrize('name', list(BACKENDS))
def test_an_engine_that_was_asked_for_is_not_checked(name, monkeypatch):
    if not importlib.util.find_spec(BACKENDS[name].module):
        pytest.skip(f'{name} is not installed')
    monkeypatch.setattr(choice, 'disagreement', None)
    backend, sentence = choose_backend(name, *_case(), [settings()])
    assert type(backend) is BACKENDS[name]
    assert sentence == f'COCO evaluation by {backend.version}, as configured'
    assert backend.version.startswith(f'{name} ') and backend.version[-1].isdigit()


def test_an_unknown_engine_is_an_error_that_suggests_one():
    with pytest.raises(ConfigError, match=r"backend=\) .*'auto', 'hotcoco', .* but got 'hotcooc'.*mean 'hotcoco'"):
        check_backend('hotcooc')


@pytest.mark.parametrize('name', [None, 3, ['hotcoco']])
def test_an_engine_that_is_no_name_is_an_error(name):
    with pytest.raises(ConfigError, match=r'DeepLakeCocoMetric\(backend=\)'):
        check_backend(name)


@pytest.mark.parametrize('name', ['hotcoco', 'faster-coco-eval'])
def test_a_missing_engine_is_an_error_if_asked_for_and_passed_over_if_not(name, monkeypatch, warnings):
    monkeypatch.setattr(choice, 'find_spec', lambda module: None)
    with pytest.raises(ConfigError, match=f"but got '{name}', which is not installed. Run 'pip install {name}'"):
        choose_backend(name, *_case(), [settings()])
    assert choose_backend('auto', *_case(), [settings()])[0].name == 'pycocotools'
    assert not warnings()


def test_an_engine_that_cannot_be_imported_is_an_error_if_asked_for(monkeypatch, tmp_path):
    (tmp_path / 'torn.py').write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(StandIn, 'module', 'torn')
    monkeypatch.setattr(choice, 'BACKENDS', {'stand-in': StandIn})
    with pytest.raises(ConfigError, match=r"importing 'stand-in' gives ImportError: libgomp.* --no-deps stand-in'"):
        check_backend('stand-in')
