"""The PASCAL VOC metric: equal to MMDetection's own on samples with annotations, and to numbers made by hand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
import pytest
from deeplake import types
from mmdet.evaluation.functional import mean_ap
from mmdet.evaluation.metrics import VOCMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from deeplake_mmdet import DeepLakeDataset, DeepLakeVOCMetric
from deeplake_mmdet.errors import AnnotationError, ConfigError
from tests.support.predicted import instances, predict, sample
from tests.support.tiny import write_tiny

NUMBER = 12
RNG = np.random.default_rng(0)
LENGTHS = [i % 5 for i in range(NUMBER)]  # the first image is empty, and so are others
BOXES = [np.column_stack([RNG.integers(0, 20, (n, 2)), RNG.integers(5, 20, (n, 2))]) for n in LENGTHS]
LABELS = [RNG.integers(0, 3, n) for n in LENGTHS]
DIFFICULT = [(RNG.random(n) < 0.25).astype(np.int32) for n in LENGTHS]
CLASSES = ['cat', 'dog', 'owl', 'yak']  # there is no yak


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture
def log(caplog):
    """What metrics log; MMEngine's loggers do not hand it on."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def write(path, **options: Any) -> DeepLakeDataset:
    """Images of which some are empty, boxes of which some are difficult."""
    if not path.exists():
        extra = {'difficult': (types.Array('int32', 1), DIFFICULT)}
        write_tiny(path, boxes=BOXES, labels=LABELS, class_names=CLASSES, extra=extra)
    tensors = dict(gt_difficult='difficult')
    return DeepLakeDataset(deeplake_path=str(path), deeplake_tensors=tensors, test_mode=True, **options)


def one_image(path, boxes: Sequence[Any], **extra: Any) -> DeepLakeDataset:
    """One image with boxes (left, top, width, height) of one class; `extra` are columns of flags."""
    columns = {name: (types.Array('int32', 1), [np.array(flags, np.int32)]) for name, flags in extra.items()}
    write_tiny(path, boxes=[boxes], labels=[[0] * len(boxes)], extra=columns)
    tensors = {f'gt_{name}': name for name in extra}
    return DeepLakeDataset(deeplake_path=str(path), deeplake_tensors=tensors, test_mode=True)


def evaluate(metric, dataset: DeepLakeDataset, found: list[dict], batch_size: int = 1) -> dict:
    metric.dataset_meta = dataset.metainfo
    for start in range(0, len(found), batch_size):
        metric.process({}, found[start : start + batch_size])
    return metric.evaluate(len(dataset))


def evaluate_with_annotations(options: dict, dataset: DeepLakeDataset, found: list[dict]) -> dict:
    """MMDetection's metric, which takes the annotations from the samples."""
    annotated = []
    for i, prediction in enumerate(found):
        items = dataset.get_data_info(i)['instances']
        kept, ignored = ([item for item in items if item['ignore_flag'] == flag] for flag in (0, 1))
        truth = {
            key: instances([item['bbox'] for item in part], [item['bbox_label'] for item in part])
            for key, part in (('gt_instances', kept), ('ignored_instances', ignored))
        }
        annotated.append({**prediction, **truth})
    return evaluate(VOCMetric(**{'eval_mode': 'area', **options}), dataset, annotated)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(iou_thrs=[0.5, 0.75], eval_mode='11points'),
        dict(iou_thrs=0.3, eval_mode='11points'),
        dict(iou_thrs=[0.4, 0.5, 0.6, 0.7, 0.8]),
    ],
)
def test_the_numbers_are_those_of_mmdetection_on_the_same_annotations(tmp_path, monkeypatch, options):
    monkeypatch.setattr(mean_ap, 'Pool', ThreadPool)  # it forks, which beside an open dataset can wait for ever
    dataset = write(tmp_path / 'ds')
    found = predict(dataset)
    ours = evaluate(DeepLakeVOCMetric(**options), dataset, found)
    assert ours == evaluate_with_annotations(options, dataset, found)
    assert 0 < max(ours.values()) < 1


@pytest.mark.parametrize(
    'options',
    [
        dict(metainfo=dict(classes=('owl', 'cat'))),
        dict(metainfo=dict(classes=('yak', 'dog', 'owl', 'cat'))),
        dict(indices=[1, 4, 3, 9]),
        dict(deeplake_query='select * where height > 0 limit 7'),
    ],
    ids=['fewer classes', 'classes in another order', 'some images', 'a query'],
)
def test_the_numbers_of_a_part_are_those_of_mmdetection_too(tmp_path, monkeypatch, options):
    monkeypatch.setattr(mean_ap, 'Pool', ThreadPool)
    dataset = write(tmp_path / 'ds', **options)
    found = predict(dataset)
    # MMDetection counts images in the order of the samples, ours in that of their ids; it matters for equal scores.
    found = sorted(found, key=lambda item: item['img_id'])
    places = sorted(range(len(dataset)), key=lambda i: dataset.get_data_info(i)['img_id'])
    ours = evaluate(DeepLakeVOCMetric(iou_thrs=[0.5, 0.6]), dataset, found)
    theirs = evaluate_with_annotations(dict(iou_thrs=[0.5, 0.6]), dataset.get_subset(places), found)
    assert ours == theirs
    assert 0 < ours['pascal_voc/AP50'] < 1


def test_neither_batches_nor_the_order_of_images_change_a_number(tmp_path):
    dataset = write(tmp_path / 'ds')
    found = predict(dataset)
    options = dict(metric=['mAP', 'recall'], iou_thrs=[0.5, 0.6], proposal_nums=(1, 2))
    numbers = evaluate(DeepLakeVOCMetric(**options), dataset, found)
    for batch_size in (2, 5, 100):
        assert evaluate(DeepLakeVOCMetric(**options), dataset, found[::-1], batch_size) == numbers


def test_the_average_precision_is_that_of_a_curve_drawn_by_hand(tmp_path):
    dataset = one_image(tmp_path / 'ds', [[0, 0, 10, 10], [20, 20, 10, 10]])
    # Right, wrong, right: precision 1 up to recall 1/2, then 2/3 up to recall 1. The second class has no box: no AP.
    boxes = [[0, 0, 10, 10], [0, 20, 8, 28], [20, 20, 30, 30]]
    found = [sample(dataset.get_data_info(0), boxes, [0, 0, 0], [0.9, 0.8, 0.7])]
    assert evaluate(DeepLakeVOCMetric(), dataset, found)['pascal_voc/mAP'] == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    # At recalls 0 to 0.5 the precision is 1, at the other five 2/3.
    points = evaluate(DeepLakeVOCMetric(eval_mode='11points'), dataset, found)['pascal_voc/mAP']
    assert points == pytest.approx((6 + 5 * 2 / 3) / 11, abs=1e-6)


@pytest.mark.parametrize('flag', ['difficult', 'iscrowd', 'ignore'])
def test_an_ignored_box_that_is_found_is_neither_right_nor_wrong(tmp_path, flag):
    dataset = one_image(tmp_path / 'ds', [[2, 3, 10, 12], [20, 5, 15, 20]], **{flag: [0, 1]})
    info = dataset.get_data_info(0)
    boxes = [[2, 3, 12, 15], [20, 5, 35, 25], [20, 6, 35, 25]]
    metric = DeepLakeVOCMetric()
    found = [sample(info, boxes, [0, 0, 0], [0.7, 0.8, 0.9])]
    assert evaluate(metric, dataset, found)['pascal_voc/mAP'] == 1
    assert metric.evaluation.truth.ignored.tolist() == [False, True]
    alone = [sample(info, boxes[1:], [0, 0], [0.8, 0.9])]
    assert evaluate(metric, dataset, alone)['pascal_voc/mAP'] == 0


def test_recall_counts_the_best_scored_boxes_of_any_class(tmp_path):
    dataset = one_image(tmp_path / 'ds', [[0, 0, 10, 10], [20, 20, 10, 10]])
    boxes = [[0, 0, 10, 10], [0, 20, 8, 28], [20, 20, 30, 29]]
    found = [sample(dataset.get_data_info(0), boxes, [1, 0, 1], [0.9, 0.8, 0.7])]
    metric = DeepLakeVOCMetric(metric='recall', iou_thrs=[0.5, 0.95], proposal_nums=(1, 2, 3))
    assert evaluate(metric, dataset, found) == {
        'pascal_voc/recall@1@0.5': 0.5,
        'pascal_voc/recall@1@0.95': 0.5,
        'pascal_voc/recall@2@0.5': 0.5,
        'pascal_voc/recall@2@0.95': 0.5,
        'pascal_voc/recall@3@0.5': 1,
        'pascal_voc/recall@3@0.95': 0.5,
        'pascal_voc/AR@1': 0.5,
        'pascal_voc/AR@2': 0.5,
        'pascal_voc/AR@3': 0.75,
    }


def test_precision_and_recall_can_be_asked_for_at_once(tmp_path):
    dataset = write(tmp_path / 'ds')
    found = predict(dataset)
    both, precision, recall = (
        evaluate(DeepLakeVOCMetric(metric=metric), dataset, found) for metric in (['mAP', 'recall'], 'mAP', ['recall'])
    )
    assert both == {**precision, **recall}
    assert list(precision) == ['pascal_voc/mAP', 'pascal_voc/AP50']
    assert list(recall) == ['pascal_voc/recall@100@0.5', 'pascal_voc/recall@300@0.5', 'pascal_voc/recall@1000@0.5']


def test_each_threshold_has_a_column_of_classes_and_a_name_of_its_own(tmp_path):
    dataset = write(tmp_path / 'ds')
    metric = DeepLakeVOCMetric(iou_thrs=[0.05, 0.29, 0.57, 0.575, 1.0])
    values = evaluate(metric, dataset, predict(dataset))
    columns = metric.evaluation.per_class
    assert list(columns) == ['AP05', 'AP29', 'AP57', 'AP57.5', 'AP100']
    assert list(values) == ['pascal_voc/mAP', *(f'pascal_voc/{name}' for name in columns)]
    for name, column in columns.items():
        assert np.isnan(column).tolist() == [False, False, False, True]
        assert values[f'pascal_voc/{name}'] == round(float(np.nanmean(column)), 3)


def test_the_table_of_classes_is_logged(tmp_path, log):
    dataset = write(tmp_path / 'ds')
    evaluate(DeepLakeVOCMetric(iou_thrs=[0.5, 0.75]), dataset, predict(dataset))
    tables = [text for text in log.messages if '| class' in text]
    assert [text.partition('\n')[0] for text in tables] == ['IoU threshold 0.5', 'IoU threshold 0.75']
    [yak] = [line.split('|')[2:-1] for line in tables[0].splitlines() if 'yak' in line]
    assert [float(cell) for cell in yak] == pytest.approx([0, float(yak[1]), 0, np.nan], nan_ok=True)


@pytest.mark.parametrize('flags', [[], [1, 1]], ids=['no box', 'only difficult boxes'])
def test_a_dataset_with_nothing_to_find_gives_nan_and_a_warning(tmp_path, log, flags):
    dataset = one_image(tmp_path / 'ds', [[0, 0, 10, 10], [20, 20, 10, 10]][: len(flags)], difficult=flags)
    metric = DeepLakeVOCMetric(metric=['mAP', 'recall'], iou_thrs=[0.5, 0.75])
    values = evaluate(metric, dataset, [sample(dataset.get_data_info(0), [[0, 0, 9, 9]], [0], [0.5])])
    assert len(values) == 3 + 6 + 3
    assert np.isnan(list(values.values())).all()
    assert 'the 1 images have no object that is to be found; the metrics are NaN' in log.text


def test_no_process_is_forked(tmp_path, monkeypatch):
    dataset = write(tmp_path / 'ds')
    monkeypatch.setattr(os, 'fork', lambda: pytest.fail('forked'))
    assert evaluate(DeepLakeVOCMetric(), dataset, predict(dataset))['pascal_voc/mAP'] > 0


def test_it_is_built_from_a_config_with_the_arguments_of_mmdetection(tmp_path):
    config = dict(type='DeepLakeVOCMetric', metric='mAP', eval_mode='11points', scale_ranges=None, collect_device='cpu')
    metric = METRICS.build(config)
    assert (metric.eval_mode, metric.prefix, metric.iou_thrs) == ('11points', 'pascal_voc', [0.5])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(metric='recalls'), r"\(metric=\) expected some of 'mAP', 'recall', .* Did you mean 'recall'\?"),
        (dict(metric=[]), r"\(metric=\) expected each of 'mAP', 'recall' at most once"),
        (dict(eval_mode='11point'), r"\(eval_mode=\) expected some of 'area', '11points', .* mean '11points'\?"),
        (dict(iou_thrs=0), r'\(iou_thrs=\) expected rising IoU thresholds above 0 and up to 1, but got 0'),
        (dict(iou_thrs=[0.5, 1.01]), r'\(iou_thrs=\) expected rising IoU thresholds above 0 and up to 1'),
        (dict(iou_thrs=[0.5, 0.5]), r'\(iou_thrs=\) expected rising IoU thresholds'),
        (dict(proposal_nums=(0, 10)), r'\(proposal_nums=\) expected positive integers'),
        (dict(scale_ranges=[(0, 32)]), r'\(scale_ranges=\) expected no value, .* use DeepLakeCocoMetric'),
        (dict(iou_thr=0.5), r"DeepLakeVOCMetric.iou_thr is no key that is known here. Did you mean 'iou_thrs'\?"),
        (
            dict(use_legacy_coordinate=False),
            r'DeepLakeVOCMetric.use_legacy_coordinate is no key .* The keys are metric,',
        ),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        DeepLakeVOCMetric(**options)


@pytest.mark.parametrize('name', ['scores', 'bboxes'])
def test_a_prediction_that_is_no_number_is_refused(tmp_path, name):
    dataset = write(tmp_path / 'ds')
    found = predict(dataset)
    found[3]['pred_instances'][name][1] = float('nan')
    with pytest.raises(AnnotationError, match=rf'img_id 3 expected finite {name}, but got .*nan.* for detection 1'):
        evaluate(DeepLakeVOCMetric(), dataset, found)


@pytest.mark.parametrize('label', [-1, 4])
def test_a_label_that_is_no_class_is_refused(tmp_path, label):
    dataset = write(tmp_path / 'ds')
    found = predict(dataset)
    found[3]['pred_instances'].labels[0] = label
    with pytest.raises(ConfigError, match=rf'img_id 3 expected labels from 0 to 3, .*but got {label}'):
        evaluate(DeepLakeVOCMetric(), dataset, found)


def test_an_image_predicted_twice_is_refused(tmp_path):
    dataset = write(tmp_path / 'ds')
    found = predict(dataset)
    with pytest.raises(ConfigError, match=r'DeepLakeVOCMetric got several predictions for one image'):
        evaluate(DeepLakeVOCMetric(), dataset, [*found, found[5]])


def test_a_missing_image_is_refused(tmp_path):
    dataset = write(tmp_path / 'ds')
    with pytest.raises(ConfigError, match=r'expected predictions for the 12 images .*, but got 11'):
        evaluate(DeepLakeVOCMetric(), dataset, predict(dataset)[1:])


def test_predictions_for_images_that_are_not_in_the_dataset_are_refused(tmp_path):
    first, second = write(tmp_path / 'first'), write(tmp_path / 'second')
    with pytest.raises(ConfigError, match=r'DeepLakeVOCMetric got images of \w+, which is not .*first'):
        evaluate(DeepLakeVOCMetric(), first, predict(second))
    found = predict(first)
    found[2]['img_id'] = 99
    with pytest.raises(
        ConfigError, match=r'DeepLakeVOCMetric got predictions for images that are not in .*img_id \[99\]'
    ):
        evaluate(DeepLakeVOCMetric(), first, found)
