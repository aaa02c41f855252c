"""Errors of images: counts and average precision beside pycocotools', one image at a time."""

from __future__ import annotations

import contextlib
import io
from dataclasses import fields, replace

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from deeplake_mmdet.errors import AnnotationError, ConfigError
from deeplake_mmdet.metrics import box_pairs
from deeplake_mmdet.scoring.columns import ERRORS
from deeplake_mmdet.scoring.errors import Errors, errors_of
from tests.support.coco_apis import coco_apis
from tests.support.evaluations import random_detections, random_truth


def coco_of_image(both, img_id, *, iou=0.5, masks=False, most=100):
    """pycocotools' evaluation of one image alone, accumulated."""
    evaluation = COCOeval(*both, 'segm' if masks else 'bbox')
    evaluation.params.imgIds = [img_id]
    evaluation.params.iouThrs = np.array([iou])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
    evaluation.params.maxDets = [most]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def coco_counts(both, truth, *, iou, score_thr, masks):
    """tp, fp, fn of each image, and fn and fp by class, read off pycocotools' matches."""
    number, classes = len(truth), len(truth.classes)
    tp, missed, spurious = np.zeros(number, int), np.zeros((number, classes), int), np.zeros((number, classes), int)
    for i, img_id in enumerate(truth.img_ids):
        for result in filter(None, coco_of_image(both, img_id, iou=iou, masks=masks, most=10**6).evalImgs):
            k = truth.category_ids.index(result['category_id'])
            shown = np.array(result['dtScores'], np.float32) >= np.float32(score_thr)
            counted = shown & ~result['dtIgnore'][0].astype(bool)
            right = counted & (result['dtMatches'][0] > 0)
            tp[i] += right.sum()
            spurious[i, k] += (counted & ~right).sum()
            missed[i, k] += (~result['gtIgnore'].astype(bool)).sum() - right.sum()
    return tp, spurious.sum(axis=1), missed.sum(axis=1), missed, spurious


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize(('iou', 'score_thr'), [(0.5, 0.3), (0.5, 0.0), (0.75, 0.5), (0.3, 0.9)])
def test_counts_are_those_of_pycocotools(monkeypatch, iou, score_thr, masks):
    monkeypatch.setattr(box_pairs, '_PAIRS', 7)  # many chunks
    truth = random_truth(3, images=25, masks=masks)
    found = random_detections(truth, 4)
    errors = errors_of(truth, found, iou_thr=iou, score_thr=score_thr, masks=masks)
    expected = coco_counts(coco_apis(truth, found, masks=masks), truth, iou=iou, score_thr=score_thr, masks=masks)
    for name, numbers in zip(('tp', 'fp', 'fn', 'missed_by_class', 'spurious_by_class'), expected, strict=True):
        np.testing.assert_array_equal(getattr(errors, name), numbers, err_msg=name)
    assert errors.tp.sum() > 3 and errors.fp.sum() > 3 and errors.fn.sum() > 3


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize(('seed', 'noise', 'objects'), [(0, 2.0, 4), (1, 12.0, 9), (2, 0.0, 2), (5, 40.0, 25)])
def test_average_precision_is_pycocotools_of_the_image_alone(seed, noise, objects, masks):
    truth = random_truth(seed, images=14, objects=objects, masks=masks)
    found = random_detections(truth, seed + 10, noise=noise)
    both = coco_apis(truth, found, masks=masks)
    expected = []
    for img_id in truth.img_ids:
        precision = coco_of_image(both, img_id, masks=masks).eval['precision']
        precision = precision[precision > -1]
        expected.append(precision.mean() if precision.size else np.nan)
    errors = errors_of(truth, found, masks=masks, iou_thr=0.75)  # has no part in it
    np.testing.assert_allclose(errors.ap50, expected, rtol=0, atol=1e-7)
    assert np.isnan(errors.ap50).any() and (errors.ap50 > 0).any()


def test_average_precision_counts_a_hundred_detections_of_a_class():
    truth = random_truth(0, images=3, objects=8, crowd=0)
    found = random_detections(truth, 1, noise=900.0)
    both = coco_apis(truth, found, masks=False)
    hundred, all_of_them = (
        [coco_of_image(both, i, most=most).eval['precision'] for i in truth.img_ids] for most in (100, 10**6)
    )
    ap50 = errors_of(truth, found).ap50
    np.testing.assert_allclose(ap50, [p[p > -1].mean() if (p > -1).any() else np.nan for p in hundred], atol=1e-7)
    assert not np.allclose(ap50, [p[p > -1].mean() if (p > -1).any() else np.nan for p in all_of_them], equal_nan=True)


@pytest.mark.parametrize('masks', [False, True])
def test_partners_are_mutual_and_shown(masks):
    truth = random_truth(6, images=40, masks=masks)
    found = random_detections(truth, 7)
    errors = errors_of(truth, found, score_thr=0.4, masks=masks)
    scores = found.mask_scores if masks else found.scores
    objects = np.flatnonzero((errors.object_prediction >= 0) & ~truth.crowd)
    finders = errors.object_prediction[objects]
    np.testing.assert_array_equal(errors.prediction_object[finders], objects)
    np.testing.assert_array_equal(errors.object_score[objects], scores[finders])
    np.testing.assert_array_equal(truth.image_of[objects], found.image_of[finders])
    assert errors.shown[finders].all() and len(objects) > 20
    assert (errors.object_score[errors.object_prediction < 0] == 0).all()
    assert errors.tp.sum() == len(objects)


def box_iou(first, second):
    """IoU of two boxes, xyxy."""
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    inside = max(0.0, float(right - left)) * max(0.0, float(bottom - top))
    areas = [float(box[2] - box[0]) * float(box[3] - box[1]) for box in (first, second)]
    return inside / (sum(areas) - inside)


def test_an_objects_iou_is_the_largest_with_a_shown_detection_of_any_class():
    truth = random_truth(8, images=20)
    found = random_detections(truth, 9)
    errors = errors_of(truth, found, score_thr=0.4)
    for k, image in enumerate(truth.image_of.tolist()):
        part = found.of_image(image)
        boxes = found.boxes[part][found.scores[part] >= np.float32(0.4)]
        expected = max([box_iou(truth.boxes_xyxy[k], box) for box in boxes], default=0.0)
        assert errors.object_iou[k] == pytest.approx(expected, abs=1e-6)


def test_the_mean_iou_counts_an_object_that_nothing_found_as_zero():
    truth = random_truth(8, images=30)
    found = random_detections(truth, 9)
    errors = errors_of(truth, found, score_thr=0.4)
    for i in range(len(truth)):
        ious = []
        for k in range(truth.offsets[i], truth.offsets[i + 1]):
            if not truth.crowd[k]:
                finder = errors.object_prediction[k]
                ious.append(box_iou(truth.boxes_xyxy[k], found.boxes[finder]) if finder >= 0 else 0.0)
        np.testing.assert_allclose(errors.mean_iou[i], np.mean(ious) if ious else np.nan, atol=1e-6)
    assert (errors.mean_iou == 0).any() and (errors.mean_iou > 0.5).any()


def test_a_window_of_images_gives_the_same_as_all_at_once():
    truth = random_truth(11, images=30)
    found = random_detections(truth, 12)
    whole = errors_of(truth, found)
    for start in (0, 10, 20):
        images = np.arange(start, start + 10)
        part = errors_of(truth_of(truth, images), found.take(images))
        for name in ('iou', 'mean_iou', 'ap50', 'tp', 'fp', 'fn', 'missed_by_class', 'spurious_by_class'):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[images], err_msg=name)
        objects = slice(truth.offsets[start], truth.offsets[start + 10])
        detections = slice(found.offsets[start], found.offsets[start + 10])
        np.testing.assert_array_equal(part.object_error, whole.object_error[objects])
        np.testing.assert_array_equal(part.prediction_error, whole.prediction_error[detections])
        own = whole.prediction_object[detections]
        np.testing.assert_array_equal(part.prediction_object, np.where(own >= 0, own - objects.start, -1))


def truth_of(truth, images):
    """The annotations of neighbouring images."""
    part = slice(truth.offsets[images[0]], truth.offsets[images[-1] + 1])
    return replace(
        truth,
        img_ids=[truth.img_ids[i] for i in images],
        rows=truth.rows[images],
        sizes=truth.sizes[images],
        offsets=truth.offsets[images[0] : images[-1] + 2] - part.start,
        **{name: getattr(truth, name)[part] for name in ('boxes_xywh', 'labels', 'areas', 'crowd', 'ignored')},
    )


def test_every_array_has_the_shape_and_type_that_it_is_said_to_have():
    truth = random_truth(0)
    found = random_detections(truth, 1)
    errors = errors_of(truth, found)
    n, m, d, k = len(truth), len(truth.labels), len(found.boxes), len(truth.classes)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(('iou', 'mean_iou', 'ap50', 'tp', 'fp', 'fn'), (n,))
    shapes |= {'missed_by_class': (n, k), 'spurious_by_class': (n, k)}
    shapes |= {f'object_{name}': (m,) for name in ('iou', 'prediction', 'score', 'error')}
    shapes |= {'shown': (d,), 'prediction_error': (d,), 'prediction_object': (d,)}
    floats = ('iou', 'mean_iou', 'ap50', 'object_iou', 'object_score')
    assert set(shapes) == {field.name for field in fields(Errors)}
    for name, shape in shapes.items():
        dtype = np.float32 if name in floats else bool if name == 'shown' else np.int32
        assert (getattr(errors, name).shape, getattr(errors, name).dtype) == (shape, np.dtype(dtype)), name


@pytest.mark.parametrize('masks', [False, True])
def test_images_objects_detections_and_classes_may_all_be_absent(masks):
    nothing = random_truth(0, images=0, masks=masks)
    assert errors_of(nothing, random_detections(nothing, 0), masks=masks).tp.shape == (0,)
    no_object = random_truth(0, images=3, objects=0, masks=masks)
    errors = errors_of(no_object, random_detections(no_object, 0, noise=3.0), score_thr=0.0, masks=masks)
    assert errors.fp.sum() > 0 and np.isnan(errors.ap50).all() and np.isnan(errors.mean_iou).all()
    assert set(errors.prediction_error.tolist()) == {ERRORS.index('background')}
    truth = random_truth(1, images=3, masks=masks)
    errors = errors_of(truth, random_detections(truth, 0, share=0.0, noise=0.0), masks=masks)
    assert errors.fn.sum() == (~truth.crowd).sum() > 0 and errors.tp.sum() == 0
    assert (errors.iou == 0).all() and (errors.ap50[errors.fn > 0] == 0).all()
    no_class = random_truth(0, images=3, objects=0, classes=(), masks=masks)
    errors = errors_of(no_class, random_detections(no_class, 0, noise=0.0), masks=masks)
    assert errors.missed_by_class.shape == (3, 0) and (errors.iou == 0).all()


def test_detections_of_other_images_are_refused():
    truth = random_truth(0)
    found = random_detections(truth, 1)
    shifted = replace(found, img_ids=[*found.img_ids[1:], 99])
    with pytest.raises(AnnotationError, match=r'12 images of the annotations in their order, but got 12: 11 where 10'):
        errors_of(truth, shifted)
    with pytest.raises(AnnotationError, match=r'errors_of\(detections=\) expected the 12 images .* but got 11'):
        errors_of(truth, found.take(range(11)))


def test_detections_of_a_class_too_many_are_refused():
    truth = random_truth(0)
    found = random_detections(truth, 1)
    with pytest.raises(AnnotationError, match=r"labels of the 3 classes \('cat', 'dog', 'owl'\), but got 3"):
        errors_of(truth, replace(found, labels=found.labels + 1))


def test_masks_that_are_not_there_are_refused():
    boxes = random_truth(0)
    with pytest.raises(AnnotationError, match=r'errors_of\(masks=True\) expected detections with masks'):
        errors_of(boxes, random_detections(boxes, 1), masks=True)
    masked = random_truth(0, masks=True)
    with pytest.raises(AnnotationError, match=r'expected annotations with segmentations'):
        errors_of(replace(masked, segmentations=None), random_detections(masked, 1), masks=True)


@pytest.mark.parametrize('iou_thr', [0.1, 0.0, 1.1, float('nan')])
def test_an_iou_threshold_out_of_range_is_refused(iou_thr):
    truth = random_truth(0)
    with pytest.raises(ConfigError, match=r'errors_of\(iou_thr=\) expected a number above 0\.1'):
        errors_of(truth, random_detections(truth, 1), iou_thr=iou_thr)


@pytest.mark.parametrize('score_thr', [-0.1, 1.1, float('nan')])
def test_a_score_threshold_out_of_range_is_refused(score_thr):
    truth = random_truth(0)
    with pytest.raises(ConfigError, match=r'errors_of\(score_thr=\) expected a number from 0 to 1'):
        errors_of(truth, random_detections(truth, 1), score_thr=score_thr)
