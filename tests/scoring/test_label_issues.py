"""Suspected label errors: planted faults rank first, and the numbers are those of the method written as plain loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from deeplake_mmdet.errors import AnnotationError, ConfigError
from deeplake_mmdet.metrics import box_pairs
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.flat import offsets_of
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.scoring.columns import SUSPICIONS
from deeplake_mmdet.scoring.label_issues import suspicions
from tests.support.evaluations import random_detections, random_truth

KINDS = ('wrong_class', 'missing_box', 'spurious_box', 'badly_placed_box')
CLASSES = ('a', 'b', 'c')


def images(per_image):
    """Annotations and detections of images, each ``(objects, detections)`` of ``(label, xywh)``, ``(…, score)``."""
    objects = [item for of_image, _ in per_image for item in of_image]
    found = [item for _, of_image in per_image for item in of_image]
    boxes = np.array([box for _, box in objects], np.float64).reshape(-1, 4)
    corners = np.array([box for _, box, _ in found], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    scores = np.array([score for *_, score in found], np.float32)
    number, none = len(per_image), np.zeros(len(objects), bool)
    truth = GroundTruth(
        img_ids=list(range(number)),
        rows=np.arange(number),
        sizes=np.tile([480, 640], (number, 1)),
        offsets=offsets_of(np.array([len(of_image) for of_image, _ in per_image], np.int64)),
        boxes_xywh=boxes,
        labels=np.array([label for label, _ in objects], np.int64),
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=none,
        ignored=none,
        classes=CLASSES,
        category_ids=(1, 2, 3),
    )
    detections = Detections(
        img_ids=list(range(number)),
        sources=[''] * number,
        offsets=offsets_of(np.array([len(of_image) for _, of_image in per_image], np.int64)),
        boxes=corners.astype(np.float32),
        scores=scores,
        labels=np.array([label for label, _, _ in found], np.int64),
        mask_scores=scores,
        sizes=np.zeros((number, 2), np.int64),
    )
    return truth, detections


def planted(seed, number=120, *, junk=5):
    """Images of 2 to 4 objects that an under-confident detector finds, every tenth with a fault.

    Returns:
        Annotations, detections, and the place in `KINDS` of each image's fault, -1 for none.
    """
    rng = np.random.default_rng(seed)
    kinds = np.full(number, -1)
    kinds[::10] = np.arange(len(kinds[::10])) % len(KINDS)
    return *images([faulty_image(rng, kind, junk) for kind in kinds.tolist()]), kinds


def faulty_image(rng, kind, junk):
    """One image: an object or more in cells of a coarse grid, so that none hides another."""
    cells = rng.permutation(12)[: rng.integers(3, 6)]
    corners = np.stack([cells % 4 * 160, cells // 4 * 160], axis=1) + rng.uniform(5, 30, (len(cells), 2))
    boxes = np.concatenate([corners, rng.uniform(60, 110, (len(cells), 2))], axis=1)
    labels = rng.integers(0, len(CLASSES), len(cells)).tolist()
    objects = [(label, box.copy()) for label, box in zip(labels, boxes, strict=True)]
    _, spare = objects.pop()
    found = []
    for label, box in objects:
        score = rng.uniform(0.4, 0.8)
        found.append((label, box + rng.normal(0, 3, 4), score))
        found.append((rng.integers(len(CLASSES)), box + rng.normal(0, 6, 4), score * rng.uniform(0, 0.3)))
    for _ in range(junk):
        found.append((rng.integers(len(CLASSES)), [*rng.uniform(0, 400, 2), *rng.uniform(20, 90, 2)], 0.05))
    if kind == 0:
        objects[0] = ((objects[0][0] + 1) % len(CLASSES), objects[0][1])
    elif kind == 1:
        objects.pop(0)
    elif kind == 2:
        objects.append((0, spare))
    elif kind == 3:
        objects[0][1][:2] += 0.35 * objects[0][1][2:]
    return objects, found


@pytest.mark.parametrize(('seed', 'junk'), [(0, 0), (1, 5), (2, 300)])
def test_each_column_ranks_its_planted_fault_first_and_the_sum_of_all_finds_every_one(seed, junk):
    truth, detections, kinds = planted(seed, junk=junk)
    result = suspicions(truth, detections)
    for i, kind in enumerate(KINDS):
        worst = np.argsort(-result[f'suspicion_{kind}'])[: (kinds == i).sum()]
        assert (kinds[worst] == i).all(), kind
        own = np.stack([result[f'suspicion_{other}'] for other in KINDS], axis=1)[kinds == i]
        assert (own.argmax(axis=1) == i).all(), kind
    worst = np.argsort(-result['suspicion'])[: (kinds >= 0).sum()]
    assert (kinds[worst] >= 0).all()


BOX = (100, 100, 100, 100)


def of_one(objects, found, **options):
    """The suspicions of a single image by kind, and of all kinds."""
    result = suspicions(*images([(objects, found)]), **options)
    return [float(result[f'suspicion_{kind}'][0]) for kind in KINDS] + [float(result['suspicion'][0])]


@pytest.mark.parametrize(
    ('objects', 'found', 'expected'),
    [
        ([], [], [0, 0, 0, 0, 0]),
        ([(0, BOX)], [(0, BOX, 0.6)], [0, 0, 0, 0, 0]),
        # IoU 1/3, centres half a side apart: similarity 0.9 / 3 + 0.1 * exp(-0.5).
        ([(0, BOX)], [(0, (150, 100, 100, 100), 0.6)], [0, 0, 0, 0.6393, 0.6393]),
        ([(0, BOX)], [(1, BOX, 0.6)], [1, 0, 0, 0, 1]),
        ([(0, BOX)], [(1, BOX, 0.15)], [0.5, 0, 0.25, 0, 0.625]),
        ([(0, BOX)], [(0, BOX, 0.4), (1, BOX, 0.4)], [0.25, 0, 0, 0, 0.25]),
        ([(0, BOX)], [(0, BOX, 0.1)], [0, 0, 1 / 3, 0, 1 / 3]),
        ([(0, BOX)], [], [0, 0, 0.5, 0, 0.5]),
        ([], [(0, BOX, 0.6)], [0, 0.6, 0, 0, 0.6]),
        ([], [(0, BOX, 0.09)], [0, 0, 0, 0, 0]),  # too weak to mean anything
    ],
)
def test_the_suspicions_of_one_box(objects, found, expected):
    assert of_one(objects, found) == pytest.approx(expected, abs=1e-4)


def test_a_neighbour_does_not_hide_a_missing_box():
    beside = (140, 100, 100, 100)  # IoU 0.43 with the annotated one
    wrong_class, missing, spurious, badly_placed, _ = of_one([(0, BOX)], [(0, BOX, 0.6), (0, beside, 0.7)])
    assert missing > 0.3 and max(wrong_class, spurious, badly_placed) == pytest.approx(0, abs=1e-6)


def test_a_second_detection_of_an_object_is_hardly_a_missing_box():
    assert of_one([(0, BOX)], [(0, BOX, 0.6), (0, (105, 100, 100, 100), 0.3)])[1] < 0.05


def test_of_two_objects_in_one_place_a_detection_belongs_to_that_of_its_class():
    pair = [(0, BOX), (1, BOX)]
    assert of_one(pair, [(0, BOX, 0.6), (1, BOX, 0.6)]) == pytest.approx([0] * 5, abs=1e-6)
    assert of_one(pair[::-1], [(0, BOX, 0.6), (1, BOX, 0.6)]) == pytest.approx([0] * 5, abs=1e-6)


def test_the_worst_box_of_an_image_counts_and_a_low_temperature_lets_it_count_alone():
    others = [(0, (x, 400, 20, 20)) for x in range(0, 600, 30)]
    objects, found = [(0, BOX), *others], [(1, BOX, 0.6), *((0, box, 0.6) for _, box in others)]
    assert of_one(objects, found)[0] > 0.99
    faint = [(1, BOX, 0.15), *found[1:]]
    assert of_one(objects, faint, temperature=1e-6)[0] == pytest.approx(0.5, abs=1e-4)
    assert of_one(objects, faint, temperature=1e6)[0] == pytest.approx(0.5 / len(objects), abs=1e-4)
    assert of_one(objects, faint, sure_score=0.15)[0] > 0.99


def plain_suspicions(truth, found, sure=0.3, temperature=0.1):
    """The method by loops, float64 (N, 4) in the order of `KINDS`."""
    result = np.zeros((len(truth), 4))
    for i in range(len(truth)):
        part, own = range(*found.offsets[i : i + 2]), range(*truth.offsets[i : i + 2])
        objects, crowds = [k for k in own if not truth.crowd[k]], [k for k in own if truth.crowd[k]]
        alike, ious, home = {}, {}, {}
        for d in part:
            for k in objects:
                ious[d, k], alike[d, k] = compare(found.boxes_xywh[d], truth.boxes_xywh[k])
            for k in objects:
                key = (alike[d, k] + 1e-9 * (truth.labels[k] == found.labels[d]), -k)
                if d not in home or key > home[d][0]:
                    home[d] = key, k
        nearest = {d: alike[d, home[d][1]] if d in home else 0.0 for d in part}
        mine = {k: [d for d in part if d in home and home[d][1] == k and ious[d, k] >= 0.1] for k in objects}
        partner = {k: max(ds, key=lambda d: (found.scores[d] * nearest[d], -d)) for k, ds in mine.items() if ds}
        sureness = {d: min(1.0, float(found.scores[d]) / sure) for d in part}
        by_kind = ([], [], [], [])
        for k in objects:
            says = {d: float(found.scores[d]) * nearest[d] for d in mine[k]}
            for_it = max([v for d, v in says.items() if found.labels[d] == truth.labels[k]], default=0.0)
            against = {d: v for d, v in says.items() if found.labels[d] != truth.labels[k]}
            share = max(against.values(), default=0.0)
            share = share / (share + for_it) if share else 0.0
            by_kind[0].append(max([sureness[d] * nearest[d] for d in against], default=0.0) * share**2)
            support = max([alike[d, k] * sureness[d] for d in part], default=0.0)
            by_kind[2].append(0.5 * (1 - (sureness[partner[k]] if k in partner else support)))
            by_kind[3].append(sureness[partner[k]] * (1 - nearest[partner[k]]) if k in partner else 0.0)
        for d in part:
            if found.scores[d] >= 0.1 and not any(inside(found.boxes_xywh[d], truth.boxes_xywh[k]) for k in crowds):
                by_kind[1].append(0.0 if d in partner.values() else float(found.scores[d]) * (1 - nearest[d]))
        for j, values in enumerate(by_kind):
            weights = [math.exp(value / temperature) for value in values]
            result[i, j] = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights) if values else 0
    return result


def compare(first, second):
    """IoU and similarity of a detection and an object, xywh."""
    sides = [min(first[a] + first[a + 2], second[a] + second[a + 2]) - max(first[a], second[a]) for a in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    iou = shared / (first[2] * first[3] + second[2] * second[3] - shared)
    apart = math.hypot(*(first[a] + first[a + 2] / 2 - second[a] - second[a + 2] / 2 for a in (0, 1)))
    return iou, 0.9 * iou + 0.1 * math.exp(-apart / math.sqrt(second[2] * second[3]))


def inside(box, crowd):
    """Whether half of a box or more lies in a crowd region, xywh."""
    sides = [min(box[a] + box[a + 2], crowd[a] + crowd[a + 2]) - max(box[a], crowd[a]) for a in (0, 1)]
    return max(0.0, sides[0]) * max(0.0, sides[1]) >= 0.5 * box[2] * box[3]


@pytest.mark.parametrize(('sure', 'temperature'), [(0.3, 0.1), (0.7, 0.5)])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_they_are_those_of_plain_loops(monkeypatch, seed, sure, temperature):
    monkeypatch.setattr(box_pairs, '_PAIRS', 11)
    truth = random_truth(seed, images=40, objects=5)
    found = random_detections(truth, seed + 1, noise=4.0)
    result = suspicions(truth, found, sure_score=sure, temperature=temperature)
    expected = plain_suspicions(truth, found, sure, temperature)
    for j, kind in enumerate(KINDS):
        np.testing.assert_allclose(result[f'suspicion_{kind}'], expected[:, j], atol=1e-5, err_msg=kind)
        assert result[f'suspicion_{kind}'].max() > 0.2
        assert (result['suspicion'] >= result[f'suspicion_{kind}'] - 1e-6).all()
    np.testing.assert_allclose(result['suspicion'], 1 - np.prod(1 - expected, axis=1), atol=1e-5)


def test_the_size_of_the_image_makes_no_difference():
    truth = random_truth(3)
    found = random_detections(truth, 4)
    larger = suspicions(replace(truth, boxes_xywh=truth.boxes_xywh * 8), replace(found, boxes=found.boxes * 8))
    for name, values in suspicions(truth, found).items():
        np.testing.assert_allclose(larger[name], values, atol=1e-6, err_msg=name)


def test_an_image_is_judged_by_itself():
    rng = np.random.default_rng(0)
    several = [faulty_image(rng, kind, 3) for kind in (0, 1, -1, 2, 3)]
    together = suspicions(*images(several))
    for i, one in enumerate(several):
        alone = suspicions(*images([one]))
        np.testing.assert_allclose([alone[name][0] for name in alone], [together[name][i] for name in alone], atol=1e-7)


def test_a_crowd_region_is_not_judged_and_what_lies_in_it_is_not_missing():
    truth, found = images([([(0, BOX)], [(0, (110, 110, 50, 50), 0.9)])])
    result = suspicions(replace(truth, crowd=np.array([True])), found)
    assert all(values.tolist() == [0.0] for values in result.values())


def test_every_kind_has_a_column_and_there_may_be_no_image():
    assert SUSPICIONS == KINDS
    truth = random_truth(0, images=0)
    result = suspicions(truth, random_detections(truth, 0))
    assert set(result) == {'suspicion', *(f'suspicion_{kind}' for kind in KINDS)}
    assert all(values.shape == (0,) and values.dtype == np.float32 for values in result.values())


def test_detections_of_other_images_are_refused():
    truth = random_truth(0)
    found = random_detections(truth, 1)
    with pytest.raises(AnnotationError, match=r'suspicions\(detections=\) expected the 12 images'):
        suspicions(truth, found.take(range(11)))


@pytest.mark.parametrize('wrong', [{'sure_score': 0}, {'sure_score': 1.5}, {'temperature': 0}])
def test_numbers_out_of_range_are_refused(wrong):
    truth = random_truth(0)
    with pytest.raises(ConfigError, match=r'suspicions\(sure_score=, temperature=\) expected a score above 0'):
        suspicions(truth, random_detections(truth, 1), **wrong)
