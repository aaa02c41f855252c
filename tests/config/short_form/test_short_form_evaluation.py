"""Metrics formats and the old `evaluation` section."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from deeplake_mmdet.config.short_form.expand import expand
from deeplake_mmdet.errors import ConfigError

COCO = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
VOC = 'mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py'
RTMDET = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'


def expanded(text: str, base: str = COCO) -> Config:
    config = Config.fromstring(f"_base_ = {base!r}\ndata = dict(val=dict(deeplake_path='a'))\n{text}\n", '.py')
    expand(config)
    return config


@pytest.mark.parametrize(
    ('base', 'text', 'type', 'metric'),
    [
        (COCO, '', 'DeepLakeCocoMetric', ['bbox', 'segm']),
        (COCO, "deeplake_metrics_format = 'COCO'", 'DeepLakeCocoMetric', ['bbox', 'segm']),
        (COCO, "evaluation = dict(metric=['bbox'])", 'DeepLakeCocoMetric', ['bbox']),
        (COCO, "deeplake_metrics_format = 'PascalVOC'", 'DeepLakeVOCMetric', 'mAP'),
        (COCO, "evaluation = dict(metrics_format='PascalVOC', metric='recall')", 'DeepLakeVOCMetric', 'recall'),
        (VOC, '', 'DeepLakeVOCMetric', 'mAP'),
        (VOC, "deeplake_metrics_format = 'COCO'", 'DeepLakeCocoMetric', 'bbox'),
    ],
)
def test_the_format_decides_the_metric_and_the_base_its_kind(base, text, type, metric):
    evaluator = expanded(text, base).val_evaluator
    assert (evaluator.type, evaluator.metric) == (type, metric)
    assert 'ann_file' not in evaluator


def test_options_of_the_bases_metric_are_kept_where_the_kind_stays():
    assert expanded('', VOC).val_evaluator.eval_mode == '11points'
    assert expanded('', RTMDET).val_evaluator.proposal_nums == (100, 1, 10)
    assert 'proposal_nums' not in expanded("deeplake_metrics_format = 'PascalVOC'", RTMDET).val_evaluator


def test_another_metric_of_the_base_stays_beside_ours():
    text = (
        "val_evaluator = [dict(type='CocoMetric', metric='bbox'), dict(type='DumpDetResults', out_file_path='a.pkl')]"
    )
    assert [node.type for node in expanded(text).val_evaluator] == ['DeepLakeCocoMetric', 'DumpDetResults']


def test_the_old_section_says_when_to_evaluate_and_what_is_best():
    config = expanded("evaluation = dict(interval=3, start=2, save_best='bbox_mAP', rule='greater', iou_thrs=[0.5])")
    assert (config.train_cfg.val_interval, config.train_cfg.val_begin) == (3, 2)
    assert config.default_hooks.checkpoint.save_best == 'coco/bbox_mAP'
    assert config.default_hooks.checkpoint.rule == 'greater'
    assert config.val_evaluator.iou_thrs == [0.5]
    assert config.default_hooks.checkpoint.interval == 1


def test_the_best_result_of_the_base_follows_the_format():
    base = "default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))\n"
    assert expanded(base).default_hooks.checkpoint.save_best == 'coco/bbox_mAP'
    config = expanded(base + "deeplake_metrics_format = 'PascalVOC'")
    assert config.default_hooks.checkpoint.save_best == 'pascal_voc/mAP'


def test_recall_is_better_when_it_is_greater():
    text = "deeplake_metrics_format = 'PascalVOC'\nevaluation = dict(metric='recall', save_best='auto')"
    assert expanded(text).default_hooks.checkpoint.rule == 'greater'


def test_the_sections_words_reach_datasets_of_the_long_form_too():
    text = f"""
_base_ = {RTMDET!r}
val_dataloader = dict(dataset=dict(_delete_=True, type='DeepLakeDataset', deeplake_path='a', pipeline=[]))
val_evaluator = dict(_delete_=True, type='DeepLakeCocoMetric', metric='bbox')
deeplake_metrics_format = 'PascalVOC'
deeplake_dataloader_type = 'python'
evaluation = dict(metric='recall')
"""
    config = Config.fromstring(text, '.py')
    expand(config)
    assert (config.val_evaluator.type, config.val_evaluator.metric) == ('DeepLakeVOCMetric', 'recall')
    assert config.val_dataloader.dataset.deeplake_dataloader_type == 'python'


def test_a_format_without_a_dataset_to_evaluate_is_refused():
    config = Config.fromstring(f"_base_ = {RTMDET!r}\ndeeplake_metrics_format = 'COCO'", '.py')
    with pytest.raises(ConfigError, match=r'deeplake_metrics_format is given, but there is no Deep Lake dataset'):
        expand(config)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("deeplake_metrics_format = 'VOC'", r"deeplake_metrics_format expected one of .*got 'VOC'. .*'PascalVOC'\?"),
        ("deeplake_metrics_format = 'coco'", r"got 'coco'. Did you mean 'COCO'\?"),
        ("evaluation = dict(metric='mAP')", r"evaluation.metric expected one of \['bbox', .* format 'COCO', .*'mAP'"),
        (
            "deeplake_metrics_format = 'PascalVOC'\nevaluation = dict(metric=['bbox'])",
            r"evaluation.metric expected one of \['mAP', 'recall'\] for the metrics format 'PascalVOC', but got 'bbox'",
        ),
        ('evaluation = dict(interval=0)', r'evaluation.interval expected a whole number of at least 1, but got 0'),
        ("evaluation = dict(interval='2')", r"evaluation.interval expected a whole number of at least 1, but got '2'"),
        (
            "deeplake_metrics_format = 'PascalVOC'\nevaluation = dict(metric=['mAP', 'recall'])",
            r"evaluation.metric expected 'mAP' or 'recall', one of them",
        ),
        ("evaluation = dict(save_best='bbox_mAPP')", r"save_best expected a result of .*got 'bbox_mAPP', .*'bbox_mAP'"),
        (
            "deeplake_metrics_format = 'PascalVOC'\nevaluation = dict(metric='recall', save_best='coco/bbox_mAP')",
            r"save_best expected a result of the metric recall, but got 'coco/bbox_mAP', which it does not give",
        ),
        ('evaluation = dict(intervall=2)', r"evaluation.intervall is no key .* Did you mean 'interval'\?"),
        (
            "deeplake_metrics_format = 'COCO'\nevaluation = dict(metrics_format='PascalVOC')",
            r"deeplake_metrics_format is 'COCO', but evaluation.metrics_format is 'PascalVOC'",
        ),
    ],
)
def test_bad_evaluation_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        expanded(text)
