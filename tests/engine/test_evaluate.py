"""Predictions that were written before are evaluated to the numbers of the run that made them, or refused."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import deeplake
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert import make_demo
from deeplake_mmdet.engine.dump_predictions import DumpPredictions
from deeplake_mmdet.engine.evaluate import evaluate_predictions
from deeplake_mmdet.engine.predictions import read_predictions
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.handle import SourceHandle

COCO = dict(type='DeepLakeCocoMetric', metric=['bbox', 'segm'])
VOC = dict(type='DeepLakeVOCMetric', metric='mAP', iou_thrs=[0.5, 0.75])
CONFIG = """
custom_imports = dict(imports=['deeplake_mmdet'])
model = dict(type='NoSuchDetector', bbox_head=dict(type='NoSuchHead', num_classes=5))
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='DeepLakeDataset', deeplake_path={path!r}, deeplake_view_id='val', pipeline=pipeline, test_mode=True
    ),
)
test_cfg = dict(type='TestLoop')
test_evaluator = {evaluator!r}
"""


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('data') / 'demo'
    make_demo(path, train=4, val=7)
    return str(path)


def prepared(path: str, evaluator: Any = (COCO, VOC), **dataset: Any) -> Any:
    config = Config.fromstring(CONFIG.format(path=path, evaluator=evaluator), '.py')
    config.test_dataloader.dataset.update(dataset)
    prepare(config, ('test',))
    return config


def built(config: Any) -> Any:
    init_default_scope('mmdet')
    return DATASETS.build(config.test_dataloader.dataset)


def predicted(dataset: Any) -> list[dict[str, Any]]:
    """Samples as a model's test step gives them: the boxes, moved, and what lies in them."""
    generator, samples = torch.Generator().manual_seed(0), []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        boxes = torch.tensor([instance['bbox'] for instance in info['instances']]).reshape(-1, 4)
        boxes = (boxes + 3 * torch.randn(boxes.shape, generator=generator)).clamp(0, 255)
        boxes = torch.cat([torch.minimum(boxes[:, :2], boxes[:, 2:]), torch.maximum(boxes[:, :2], boxes[:, 2:])], 1)
        masks = torch.zeros(len(boxes), info['height'], info['width'], dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1 : y2 + 1, x1 : x2 + 1] = True
        labels = torch.tensor([instance['bbox_label'] for instance in info['instances']], dtype=torch.long)
        scores = torch.rand(len(boxes), generator=generator)
        found = dict(bboxes=boxes, scores=scores, labels=labels, masks=masks)
        facts = {key: info[key] for key in ('img_id', 'img_path')}
        samples.append(dict(facts, ori_shape=(info['height'], info['width']), pred_instances=found))
    return samples


@pytest.fixture
def run(demo: str, tmp_path: Path) -> tuple[list[dict[str, Any]], str, dict[str, float]]:
    """Samples, the file that a test run writes of them, and the numbers that it gives."""
    config = prepared(demo)
    dataset = built(config)
    samples = predicted(dataset)
    evaluator = Evaluator([*config.test_evaluator, DumpPredictions(out_file_path=str(tmp_path / 'a.pkl'))])
    evaluator.dataset_meta = dataset.metainfo
    for start in range(0, len(samples), 3):
        evaluator.process(copy.deepcopy(samples[start : start + 3]))
    return samples, str(tmp_path / 'a.pkl'), evaluator.evaluate(len(samples))


def test_the_verb_gives_the_numbers_of_the_test_run_and_builds_no_model(demo, run, tmp_path, monkeypatch, capsys):
    _, path, numbers = run
    monkeypatch.chdir(tmp_path)
    Path('config.py').write_text(CONFIG.format(path='nowhere', evaluator=[COCO, VOC]))
    options = ['--cfg-options', f'test_dataloader.dataset.deeplake_path={demo}']
    assert main(['evaluate', 'config.py', path, *options]) == 0
    printed = capsys.readouterr().out
    assert {name: float(value) for name, value in re.findall(r'^(\S+/\S+) +(\S+)$', printed, re.M)} == {
        name: round(value, 4) for name, value in numbers.items()
    }
    assert {'coco/bbox_mAP_50', 'coco/segm_mAP_50', 'pascal_voc/AP50'} <= numbers.keys()
    assert 0 < numbers['coco/segm_mAP'] < numbers['coco/segm_mAP_50']
    assert f'test_dataloader.dataset: {demo}' in printed
    assert sorted(file.name for file in tmp_path.iterdir()) == ['a.pkl', 'config.py']


def test_samples_of_a_model_give_the_same_numbers_in_any_order(demo, run):
    samples, _, numbers = run
    assert evaluate_predictions(prepared(demo), samples) == numbers
    assert evaluate_predictions(prepared(demo), samples[::-1]) == numbers


def test_evaluators_that_write_predictions_are_left_out(demo, run, tmp_path):
    samples, _, numbers = run
    writer = dict(type='mmdet.DumpDetResults', out_file_path=str(tmp_path / 'b.pkl'))
    assert evaluate_predictions(prepared(demo, [COCO, writer, VOC]), samples) == numbers
    assert not (tmp_path / 'b.pkl').exists()


def test_an_evaluator_with_a_type_of_its_own_is_built(demo, run):
    samples, _, numbers = run
    assert evaluate_predictions(prepared(demo, dict(type='Evaluator', metrics=[COCO, VOC])), samples) == numbers
    assert evaluate_predictions(prepared(demo, dict(metrics=[COCO, VOC])), samples) == numbers


def test_of_several_datasets_each_is_evaluated_by_its_metric(demo, run):
    samples, _, numbers = run
    both = prepared(demo, dict(type='MultiDatasetsEvaluator', metrics=[VOC, VOC], dataset_prefixes=['one', 'other']))
    members = [copy.deepcopy(both.test_dataloader.dataset) for _ in range(2)]
    members[0].deeplake_view_id = 'train'
    both.test_dataloader.dataset = dict(type='ConcatDataset', datasets=members)
    prepare(both, ('test',))
    first = predicted(built(prepared(demo, deeplake_view_id='train')))
    expected = {
        f'one/{name}': value
        for name, value in evaluate_predictions(prepared(demo, VOC, deeplake_view_id='train'), first).items()
    }
    expected |= {f'other/{name}': value for name, value in numbers.items() if name.startswith('pascal_voc/')}
    assert evaluate_predictions(both, [*first, *samples]) == expected


def test_nothing_is_read_image_by_image(demo, run, monkeypatch):
    samples, _, numbers = run
    monkeypatch.setattr(SourceHandle, 'read', None)
    assert evaluate_predictions(prepared(demo, VOC), samples).items() <= numbers.items()


def test_a_part_of_the_images_is_refused_and_named(demo, run):
    samples, _, _ = run
    message = f'expected the 7 images of {re.escape(demo)}.*, one prediction each, but 2 have none: img_id 6, 10'
    with pytest.raises(ConfigError, match=message):
        evaluate_predictions(prepared(demo), [samples[0], *samples[2:5], samples[6]])
    with pytest.raises(ConfigError, match=r'but 7 have none: img_id 5, 6, 7, 8, 9, …\. Test again'):
        evaluate_predictions(prepared(demo), [])


def test_a_part_that_the_config_names_is_evaluated(demo, run):
    samples, _, numbers = run
    part = evaluate_predictions(prepared(demo, indices=5), samples[:5])
    assert part.keys() == numbers.keys() and part != numbers


def test_an_image_that_was_predicted_twice_is_refused(demo, run):
    samples, _, _ = run
    with pytest.raises(ConfigError, match='but got several for 1 of them: img_id 6'):
        evaluate_predictions(prepared(demo), [*samples, samples[1]])


def test_predictions_of_another_view_are_refused(demo, run):
    samples, _, _ = run
    with pytest.raises(ConfigError, match=r'but 7 of them are of other images: img_id 5, 6, .*the config in the work'):
        evaluate_predictions(prepared(demo, deeplake_view_id='train'), samples)


def test_predictions_of_another_commit_are_refused(tmp_path):
    path = str(tmp_path / 'demo')
    make_demo(path, train=1, val=1)
    samples = predicted(built(prepared(path, deeplake_view_id=None)))
    assert evaluate_predictions(prepared(path, deeplake_view_id=None), samples)
    dataset = deeplake.open(path)
    dataset['file_name'][0] = 'renamed.jpg'
    dataset.commit('A name')
    with pytest.raises(ConfigError, match=r'2 of them are of other images: .* another dataset, commit or view'):
        evaluate_predictions(prepared(path, deeplake_view_id=None), samples)


def test_predictions_for_other_classes_are_refused(demo, run):
    config = prepared(demo)
    classes = list(built(config).metainfo['classes'])
    assert evaluate_predictions(config, read_predictions(run[1])) == run[2]
    other = prepared(demo, metainfo=dict(classes=classes[::-1]))
    with pytest.raises(ConfigError, match=rf'expected the classes .* but were made for {re.escape(str(classes))}'):
        evaluate_predictions(other, read_predictions(run[1]))


def test_predictions_without_paths_are_compared_by_id(demo, run):
    samples, _, numbers = run
    samples = [{key: value for key, value in sample.items() if key != 'img_path'} for sample in samples]
    assert evaluate_predictions(prepared(demo), samples) == numbers
    samples[3]['img_id'] = 99
    with pytest.raises(ConfigError, match='but 1 of them are of other images: img_id 99'):
        evaluate_predictions(prepared(demo), samples)


@pytest.mark.parametrize('evaluator', [None, [], [dict(type='DumpResults', out_file_path='a.pkl')]])
def test_a_config_without_a_metric_is_refused(demo, run, evaluator):
    config = prepared(demo)
    config.test_evaluator = evaluator
    with pytest.raises(ConfigError, match=r"expected a metric, but got .* Give one, such as dict.type='DeepLakeCoco"):
        evaluate_predictions(config, run[0])


def test_a_config_without_test_data_is_refused(demo, run):
    config = prepared(demo)
    config.test_dataloader = None
    with pytest.raises(ConfigError, match='test_dataloader expected a dataset, but got None'):
        evaluate_predictions(config, run[0])


def test_a_config_that_is_not_there_is_refused(capsys):
    assert main(['evaluate', 'no.py', 'no.pkl']) == 1
    assert "The config file 'no.py' does not exist" in capsys.readouterr().err
