"""The course of a training, out of the lines of a run's log."""

from __future__ import annotations

import json

from deeplake_mmdet.report.training_log import TrainingLog

TRAIN = [
    {
        'base_lr': 0.01,
        'lr': 0.01,
        'data_time': 0.1,
        'loss_cls': 0.7,
        'loss': 1.5,
        'time': 1.0,
        'epoch': 1,
        'iter': 10,
        'step': 10,
    },
    {
        'base_lr': 0.02,
        'lr': 0.02,
        'data_time': 0.1,
        'loss_cls': 0.4,
        'loss': 1.0,
        'time': 1.0,
        'epoch': 2,
        'iter': 20,
        'step': 20,
    },
]
VAL = {
    'coco/cat_precision': 0.1,
    'coco/bbox_mAP_s': -1.0,
    'coco/bbox_mAP': 0.3,
    'data_time': 0.1,
    'time': 0.2,
    'step': 2,
}


def test_losses_rates_and_metrics_are_told_apart_with_their_steps():
    log = TrainingLog.of([*TRAIN, VAL])
    assert log.losses == {'loss': ([10, 20], [1.5, 1.0]), 'loss_cls': ([10, 20], [0.7, 0.4])}
    assert list(log.losses) == ['loss', 'loss_cls']
    assert log.rates == {'lr': ([10, 20], [0.01, 0.02])}
    assert log.metrics == {'coco/bbox_mAP': ([2], [0.3]), 'coco/cat_precision': ([2], [0.1])}
    assert list(log.metrics) == ['coco/bbox_mAP', 'coco/cat_precision']
    assert log.validation_unit == 'epoch'


def test_a_training_by_iterations_has_validations_at_iterations():
    lines = [{key: value for key, value in line.items() if key != 'epoch'} for line in TRAIN]
    assert TrainingLog.of([*lines, VAL]).validation_unit == 'iteration'


def test_rates_that_differ_are_all_kept():
    log = TrainingLog.of([{**TRAIN[0], 'base_lr': 0.1, 'head.lr': 0.2}])
    assert set(log.rates) == {'lr', 'base_lr', 'head.lr'}


def test_values_that_are_no_finite_numbers_are_left_out():
    log = TrainingLog.of(
        [{**TRAIN[0], 'loss': float('nan')}, {**TRAIN[1], 'loss_cls': None}, {**VAL, 'coco/x': 'text'}]
    )
    assert log.losses == {'loss': ([20], [1.0]), 'loss_cls': ([10], [0.7])}
    assert 'coco/x' not in log.metrics


def test_a_log_is_read_from_the_folder_of_a_run_and_a_torn_line_passed_over(tmp_path):
    (tmp_path / 'vis_data').mkdir()
    text = '\n'.join(json.dumps(line) for line in [*TRAIN, VAL])
    (tmp_path / 'vis_data' / 'scalars.json').write_text(text + '\n[1]\n{"loss": 0.')
    assert TrainingLog.read(tmp_path) == TrainingLog.of([*TRAIN, VAL])


def test_a_run_without_a_log_or_with_a_validation_only_did_not_train(tmp_path):
    assert not TrainingLog.read(tmp_path)
    assert TrainingLog.of([VAL]) == TrainingLog()
    assert not TrainingLog.of([VAL])
