"""The metric gives what pycocotools gives on the JSON, bit for bit, and what `CocoMetric` gives with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from .conftest import Pair
from .small_runs import measured, random_predictions, twelve_numbers, twelve_of_pycocotools

SOURCES = ('pair', 'bccd')
ENGINES = {'pycocotools': 'pycocotools', 'hotcoco': 'hotcoco', 'faster-coco-eval': 'faster_coco_eval', 'auto': None}


def _needs(engine: str) -> None:
    if ENGINES[engine]:
        pytest.importorskip(ENGINES[engine], reason=f'{engine} is not installed')


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize('metric', ['bbox', 'proposal'])
@pytest.mark.parametrize('source', SOURCES)
def test_boxes_have_the_twelve_numbers_of_the_json(request, source, metric, engine):
    _needs(engine)
    pair = request.getfixturevalue(source)
    predictions = random_predictions(pair.coco(test_mode=True), seed=1)
    evaluator, _ = measured(
        dict(type='DeepLakeCocoMetric', metric=metric, backend=engine), pair.deeplake(test_mode=True), predictions
    )
    expected = twelve_of_pycocotools(pair.ann_file, pair.classes, predictions, metric)
    assert len(expected) == 12 and 0.01 < expected[6] < 0.95
    assert twelve_numbers(evaluator, metric) == expected


@pytest.mark.parametrize('engine', ENGINES)
def test_masks_have_the_twelve_numbers_of_the_json(pair, engine):
    _needs(engine)
    predictions = random_predictions(pair.coco(test_mode=True), seed=2, masks=True)
    dataset = pair.deeplake(test_mode=True)
    evaluator, values = measured(
        dict(type='DeepLakeCocoMetric', metric=['bbox', 'segm'], backend=engine), dataset, predictions
    )
    for metric in ('bbox', 'segm'):
        expected = twelve_of_pycocotools(pair.ann_file, pair.classes, predictions, metric)
        assert expected[0] > 0.01
        assert twelve_numbers(evaluator, metric) == expected
        assert values[f'coco/{metric}_mAP'] == round(expected[0], 3)


@pytest.mark.parametrize('classes', [('bar', 'disc'), ('box',), ('unused', 'bar', 'box', 'disc'), ('unused',)])
def test_a_reduced_or_reordered_class_list_has_the_numbers_of_the_json(pair, classes):
    predictions = random_predictions(pair.coco(test_mode=True, metainfo=dict(classes=classes)), seed=3)
    dataset = pair.deeplake(test_mode=True, metainfo=dict(classes=classes))
    evaluator, _ = measured(dict(type='DeepLakeCocoMetric'), dataset, predictions)
    expected = twelve_of_pycocotools(pair.ann_file, classes, predictions, 'bbox')
    assert twelve_numbers(evaluator, 'bbox') == expected
    assert (expected[0] == -1) == (classes == ('unused',))


def test_a_selection_of_rows_has_the_numbers_of_its_images(pair):
    dataset = pair.deeplake(test_mode=True, deeplake_query='select * where height > 70')
    chosen = {dataset.get_data_info(i)['img_id'] for i in range(len(dataset))}
    predictions = [p for p in random_predictions(pair.coco(test_mode=True), seed=4) if p['img_id'] in chosen]
    assert 3 < len(predictions) < len(pair.coco(test_mode=True))
    evaluator, _ = measured(dict(type='DeepLakeCocoMetric'), dataset, predictions)
    assert twelve_numbers(evaluator, 'bbox') == twelve_of_pycocotools(pair.ann_file, pair.classes, predictions, 'bbox')


OPTIONS = [
    dict(),
    dict(classwise=True),
    dict(metric_items=['mAP', 'AR@100', 'AR_l@1000']),
    dict(iou_thrs=[0.5, 0.75]),
    dict(iou_thrs=[0.5]),
    dict(metric='segm', classwise=True),
    dict(metric=['bbox', 'segm']),
    dict(metric='proposal'),
    dict(metric='proposal', metric_items=['AR@300']),
    dict(proposal_nums=(1, 10, 100)),
    dict(proposal_nums=(100, 1, 10)),  # as RTMDet's configs have it
]


@pytest.fixture(scope='module')
def sorted_pair(pair, tmp_path_factory) -> Pair:
    """`CocoMetric` names classes rightly only where the JSON lists its categories by their ids."""
    document = json.loads(Path(pair.ann_file).read_text())
    document['categories'].sort(key=lambda category: category['id'])
    ann_file = tmp_path_factory.mktemp('sorted') / 'annotations.json'
    ann_file.write_text(json.dumps(document))
    classes = tuple(category['name'] for category in document['categories'])
    return replace(pair, ann_file=str(ann_file), classes=classes)


@pytest.mark.parametrize('options', OPTIONS, ids=[' '.join(map(str, options.items())) for options in OPTIONS])
def test_every_option_gives_what_coco_metric_gives_with_the_json(sorted_pair, options):
    files, ours = sorted_pair.coco(test_mode=True), sorted_pair.deeplake(test_mode=True)
    predictions = random_predictions(files, seed=5, masks='segm' in options.get('metric', 'bbox'))
    stock = {**options, 'type': 'CocoMetric', 'ann_file': sorted_pair.ann_file}
    if 'iou_thrs' in stock:
        stock['iou_thrs'] = np.array(stock['iou_thrs'])  # pycocotools compares with an array
    _, expected = measured(stock, files, predictions)
    _, found = measured(dict(type='DeepLakeCocoMetric', **options), ours, predictions)
    np.testing.assert_equal(found, expected)
    assert any(0 < value < 1 for value in expected.values())


def test_result_files_hold_what_coco_metric_writes(pair, tmp_path):
    files, ours = pair.coco(test_mode=True), pair.deeplake(test_mode=True)
    predictions = random_predictions(files, seed=6, masks=True)
    prefixes = {'CocoMetric': tmp_path / 'stock' / 'r', 'DeepLakeCocoMetric': tmp_path / 'ours' / 'r'}
    (tmp_path / 'stock').mkdir()
    stock = dict(type='CocoMetric', ann_file=pair.ann_file)
    for config, dataset in ((stock, files), (dict(type='DeepLakeCocoMetric'), ours)):
        more = dict(format_only=True, metric=['bbox', 'segm'], outfile_prefix=str(prefixes[config['type']]))
        _, values = measured({**config, **more}, dataset, predictions)
        assert values == {}
    for kind in ('bbox', 'segm'):
        found, expected = (json.loads(prefix.with_suffix(f'.{kind}.json').read_text()) for prefix in prefixes.values())
        assert len(found) > 20
        key = lambda item: (item['image_id'], item['score'], item['bbox'])  # noqa: E731
        assert sorted(found, key=key) == sorted(expected, key=key)


def test_fast_proposals_have_the_recall_of_a_plain_count(pair):
    files, ours = pair.coco(test_mode=True), pair.deeplake(test_mode=True)
    predictions = random_predictions(files, seed=7)
    _, values = measured(
        dict(type='DeepLakeCocoMetric', metric='proposal_fast', proposal_nums=(1, 2, 10)), ours, predictions
    )
    truth = json.loads(Path(pair.ann_file).read_text())['annotations']
    boxes = {sample['img_id']: [] for sample in predictions}
    for annotation in truth:
        if not annotation['iscrowd'] and not annotation.get('ignore'):
            x, y, w, h = annotation['bbox']
            boxes[annotation['image_id']].append([x, y, x + w, y + h])
    for number in (1, 2, 10):
        assert values[f'coco/AR@{number}'] == pytest.approx(_recall(boxes, predictions, number), abs=1e-9)
    assert 0 < values['coco/AR@1'] < values['coco/AR@10'] < 1


def _recall(boxes: dict[int, list], predictions: list[dict], number: int) -> float:
    """Pairs of the highest overlap first, each box in one pair, counted at ten thresholds."""
    pairs = []
    for sample in predictions:
        found = sample['pred_instances']
        best = np.argsort(-found.scores.numpy(), kind='stable')[:number]
        left, right = np.float32(boxes[sample['img_id']]).reshape(-1, 4), found.bboxes.numpy()[best]
        ious = np.array([[_iou(a, b) for b in right] for a in left]).reshape(len(left), len(right))
        while ious.size and ious.max() > 0:
            row, column = np.unravel_index(np.argmax(ious), ious.shape)
            pairs.append(ious[row, column])
            ious = np.delete(np.delete(ious, row, 0), column, 1)
    total = sum(map(len, boxes.values()))
    return float(np.mean([np.sum(np.array(pairs) >= iou) / total for iou in np.linspace(0.5, 0.95, 10)]))


def _iou(a: np.ndarray, b: np.ndarray) -> np.float32:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(width, np.float32(0)) * max(height, np.float32(0))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / max(union, np.float32(1e-6))
