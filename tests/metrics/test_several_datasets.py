"""MMDetection's evaluator of several datasets: each has the numbers that it has alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.datasets import CocoDataset, ConcatDataset
from mmdet.evaluation import CocoMetric, MultiDatasetsEvaluator
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import EVALUATOR, init_default_scope

from deeplake_mmdet import DeepLakeCocoMetric, DeepLakeDataset, DeepLakeVOCMetric
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.errors import ConfigError
from tests.support.predicted import predict
from tests.support.tiny import SIZE, write_tiny

CLASSES = ('cat', 'dog')
PREPARED = ['deeplake', 'palette']  # the metainfo that `engine.prepare` lets a ConcatDataset ignore
KINDS = {
    'coco': lambda: DeepLakeCocoMetric(backend='pycocotools'),
    'voc': lambda: DeepLakeVOCMetric(metric=['mAP', 'recall'], proposal_nums=(1, 3)),
}


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


def boxes(seed: int, images: int) -> list[np.ndarray]:
    """xywh of two or three objects in each image."""
    rng = np.random.default_rng(seed)
    return [
        np.column_stack([rng.integers(0, 20, (2 + i % 2, 2)), rng.integers(5, 20, (2 + i % 2, 2))])
        for i in range(images)
    ]


def deeplake(path: Path, seed: int, images: int) -> DeepLakeDataset:
    return DeepLakeDataset(deeplake_path=write_tiny(path, boxes=boxes(seed, images)), test_mode=True)


def coco(path: Path, seed: int, images: int) -> CocoDataset:
    """Annotations of COCO; the images themselves are not read."""
    drawn = boxes(seed, images)
    annotations = [
        {'image_id': i, 'category_id': k % 2, 'bbox': box.tolist(), 'area': float(box[2] * box[3]), 'iscrowd': 0}
        for i, row in enumerate(drawn)
        for k, box in enumerate(row)
    ]
    content = {
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'height': SIZE, 'width': SIZE} for i in range(images)],
        'annotations': [{**annotation, 'id': n + 1} for n, annotation in enumerate(annotations)],
        'categories': [{'id': k, 'name': name} for k, name in enumerate(CLASSES)],
    }
    path.write_text(json.dumps(content))
    return CocoDataset(ann_file=str(path), data_prefix=dict(img=''), metainfo=dict(classes=CLASSES), test_mode=True)


def alone(metric: Any, dataset: Any) -> dict[str, float]:
    metric.dataset_meta = dataset.metainfo
    metric.process({}, predict(dataset))
    return metric.evaluate(len(dataset))


def together(evaluator: MultiDatasetsEvaluator, dataset: ConcatDataset) -> dict[str, float]:
    """Evaluate all predictions, in batches that reach over the end of a dataset; a loop sets the metainfo before."""
    found = [sample for member in dataset.datasets for sample in predict(member)]
    for start in range(0, len(found), 4):
        evaluator.process(found[start : start + 4])
    return evaluator.evaluate(len(dataset))


def evaluator_of(metrics: list[Any], prefixes: Any, dataset: ConcatDataset) -> MultiDatasetsEvaluator:
    evaluator = MultiDatasetsEvaluator(metrics, dataset_prefixes=list(prefixes))
    evaluator.dataset_meta = dataset.metainfo
    return evaluator


@pytest.mark.parametrize('kinds', [('coco', 'coco'), ('voc', 'voc'), ('coco', 'voc')])
@pytest.mark.parametrize('ignore_keys', [[], PREPARED], ids=['all metainfo', 'metainfo of the first'])
def test_two_deep_lake_datasets_have_the_numbers_that_each_has_alone(tmp_path, kinds, ignore_keys):
    members = [deeplake(tmp_path / 'a', 0, 6), deeplake(tmp_path / 'b', 1, 5)]
    both = ConcatDataset(members, ignore_keys=ignore_keys)
    assert isinstance(both.metainfo, dict) == bool(ignore_keys)
    evaluator = evaluator_of([KINDS[kind]() for kind in kinds], 'ab', both)
    values = together(evaluator, both)
    expected = [alone(KINDS[kind](), member) for kind, member in zip(kinds, members, strict=True)]
    for prefix, numbers in zip('ab', expected, strict=True):
        assert {f'{prefix}/{name}': value for name, value in numbers.items()}.items() <= values.items()
    assert len(values) == sum(map(len, expected))
    assert list(expected[0].values()) != list(expected[1].values())
    assert [metric.evaluation.revision for metric in evaluator.metrics] == [m.metainfo['deeplake'] for m in members]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('deeplake_first', [True, False])
def test_a_deep_lake_dataset_beside_files_has_the_numbers_that_each_has_alone(tmp_path, kind, deeplake_first):
    ours, theirs = deeplake(tmp_path / 'a', 0, 6), coco(tmp_path / 'b.json', 1, 5)
    pairs = {'ours': (KINDS[kind], ours), 'theirs': (lambda: CocoMetric(ann_file=str(tmp_path / 'b.json')), theirs)}
    if not deeplake_first:
        pairs = dict(reversed(pairs.items()))
    # MMDetection's wrapper needs these keys to be ignored if the first dataset has not all of them.
    both = ConcatDataset([member for _, member in pairs.values()], ignore_keys=PREPARED)
    values = together(evaluator_of([build() for build, _ in pairs.values()], pairs, both), both)
    expected = {
        f'{prefix}/{name}': value
        for prefix, (build, member) in pairs.items()
        for name, value in alone(build(), member).items()
    }
    assert values == expected
    assert 0 < values['theirs/coco/bbox_mAP'] < 1


def test_the_next_validation_gives_the_same_numbers(tmp_path):
    both = ConcatDataset([deeplake(tmp_path / 'a', 0, 6), deeplake(tmp_path / 'b', 1, 5)])
    evaluator = evaluator_of([KINDS['coco'](), KINDS['voc']()], 'ab', both)
    assert together(evaluator, both) == together(evaluator, both)


def test_a_prepared_config_evaluates_several_datasets(tmp_path):
    members = [deeplake(tmp_path / 'a', 0, 6), deeplake(tmp_path / 'b', 1, 5)]
    config = Config(
        dict(
            model=dict(bbox_head=dict(num_classes=2)),
            val_dataloader=dict(
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[
                        dict(type='DeepLakeDataset', deeplake_path=str(tmp_path / name), test_mode=True)
                        for name in 'ab'
                    ],
                )
            ),
            val_evaluator=dict(
                type='MultiDatasetsEvaluator',
                metrics=[dict(type='DeepLakeVOCMetric'), dict(type='DeepLakeVOCMetric')],
                dataset_prefixes=['a', 'b'],
            ),
        )
    )
    prepare(config, ('val',))
    both, evaluator = DATASETS.build(config.val_dataloader.dataset), EVALUATOR.build(config.val_evaluator)
    evaluator.dataset_meta = both.metainfo
    values = together(evaluator, both)
    expected = [alone(DeepLakeVOCMetric(), member)['pascal_voc/mAP'] for member in members]
    assert [values[f'{name}/pascal_voc/mAP'] for name in 'ab'] == expected


def test_one_metric_for_two_datasets_is_refused(tmp_path):
    both = ConcatDataset([deeplake(tmp_path / 'a', 0, 6), deeplake(tmp_path / 'b', 1, 5)])
    for build in KINDS.values():
        metric = build()
        metric.dataset_meta = both.metainfo
        metric.process({}, [sample for member in both.datasets for sample in predict(member)])
        with pytest.raises(
            ConfigError, match=r'expected the evaluated dataset to be one .* MultiDatasetsEvaluator for'
        ):
            metric.evaluate(len(both))


def test_an_evaluation_that_ends_early_is_refused(tmp_path):
    both = ConcatDataset([deeplake(tmp_path / 'a', 0, 6), deeplake(tmp_path / 'b', 1, 5)])
    evaluator = evaluator_of([KINDS['voc'](), KINDS['voc']()], 'ab', both)
    evaluator.process([sample for member in both.datasets for sample in predict(member)][:8])
    with pytest.raises(ConfigError, match=r'predictions for all images of one of the datasets, .* \[6, 5\], but got 2'):
        evaluator.evaluate(len(both))
