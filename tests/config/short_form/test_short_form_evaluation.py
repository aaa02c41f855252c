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
