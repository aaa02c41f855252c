"""The data section: files become dataloaders, Deep Lake's keys stay for the short form."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.config.upgrade.data import upgrade_data
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.errors import ConfigError

TRAIN = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', img_scale=(64, 48)),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels']),
]
TEST = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(64, 48),
        flip=False,
        transforms=[dict(type='Resize', keep_ratio=True), dict(type='Collect', keys=['img'])],
    ),
]
RESIZE = dict(type='Resize', scale=(64, 48), keep_ratio=True)
NEW_TRAIN = [*TRAIN[:2], RESIZE, dict(type='PackDetInputs')]
NEW_TEST = [
    TRAIN[0],
    RESIZE,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
USED = dict(filter_empty_gt=True, min_size=32)


def upgraded(**config: Any) -> tuple[dict[str, Any], Notes]:
    notes = Notes()
    upgrade_data(config, notes)
    notes.raise_problems()
    return config, notes


def train_dataset(node: Any, **config: Any) -> Any:
    return upgraded(data=dict(train=node), **config)[0]['train_dataloader']['dataset']


def coco(name: str, **more: Any) -> dict[str, Any]:
    return dict(type='CocoDataset', ann_file=f'{name}.json', img_prefix=f'{name}/', pipeline=TRAIN, **more)


def test_a_section_of_files_becomes_dataloaders_and_evaluators() -> None:
    config, _ = upgraded(
        data=dict(
            samples_per_gpu=8,
            workers_per_gpu=0,
            train=coco('a', data_root='root', classes=('cat',), filter_empty_gt=False),
            val=dict(coco('b', data_root='root'), pipeline=TEST),
            test=dict(coco('c'), pipeline=TEST, samples_per_gpu=3),
        ),
        evaluation=dict(metric=['bbox', 'segm']),
    )
    val = dict(type='CocoDataset', data_root='root', ann_file='b.json', data_prefix=dict(img='b/'), test_mode=True)
    test = dict(type='CocoDataset', ann_file='c.json', data_prefix=dict(img='c/'), test_mode=True)
    still = dict(type='DefaultSampler', shuffle=False)
    assert config == dict(
        train_dataloader=dict(
            batch_size=8,
            num_workers=0,
            persistent_workers=False,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='AspectRatioBatchSampler'),
            dataset=dict(
                type='CocoDataset',
                data_root='root',
                ann_file='a.json',
                data_prefix=dict(img='a/'),
                metainfo=dict(classes=('cat',)),
                filter_cfg=dict(filter_empty_gt=False, min_size=32),
                pipeline=NEW_TRAIN,
            ),
        ),
        val_dataloader=dict(
            batch_size=1, num_workers=0, persistent_workers=False, sampler=still, dataset=dict(val, pipeline=NEW_TEST)
        ),
        test_dataloader=dict(
            batch_size=3, num_workers=0, persistent_workers=False, sampler=still, dataset=dict(test, pipeline=NEW_TEST)
        ),
        val_evaluator=dict(type='CocoMetric', ann_file='root/b.json', metric=['bbox', 'segm']),
        test_evaluator=dict(type='CocoMetric', ann_file='c.json', metric=['bbox', 'segm']),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        evaluation=dict(metric=['bbox', 'segm']),
    )


def test_the_defaults_are_those_of_mmdetection_2() -> None:
    loader = upgraded(data=dict(train=coco('a')))[0]['train_dataloader']
    assert (loader['batch_size'], loader['num_workers'], loader['persistent_workers']) == (2, 2, True)


def test_a_split_says_how_its_own_loader_runs() -> None:
    own = dict(samples_per_gpu=5, workers_per_gpu=1, shuffle=False, pin_memory=True)
    loader = upgraded(data=dict(samples_per_gpu=8, train=coco('a'), train_dataloader=own))[0]['train_dataloader']
    assert (loader['batch_size'], loader['num_workers'], loader['pin_memory']) == (5, 1, True)
    assert loader['sampler'] == dict(type='DefaultSampler', shuffle=False)


def test_training_by_iterations_draws_for_ever() -> None:
    config, _ = upgraded(data=dict(train=coco('a')), runner=dict(type='IterBasedRunner', max_iters=3))
    assert config['train_dataloader']['sampler'] == dict(type='InfiniteSampler', shuffle=True)


def test_class_aware_sampling_stays() -> None:
    own = dict(class_aware_sampler=dict(num_sample_class=2))
    loader = upgraded(data=dict(train=coco('a'), train_dataloader=own))[0]['train_dataloader']
    assert loader['sampler'] == dict(type='ClassAwareSampler', num_sample_class=2)
    assert 'batch_sampler' not in loader


@pytest.mark.parametrize(('year', 'mode'), [('2007', '11points'), ('2012', 'area')])
def test_voc_is_evaluated_as_in_its_year(year: str, mode: str) -> None:
    node = dict(type='VOCDataset', ann_file='test.txt', img_prefix=f'VOC{year}/', pipeline=TEST)
    config, _ = upgraded(data=dict(val=node))
    assert config['val_dataloader']['dataset']['data_prefix'] == dict(sub_data_root=f'VOC{year}/')
    assert config['val_evaluator'] == dict(type='VOCMetric', metric='mAP', eval_mode=mode)


def test_lists_of_files_are_joined() -> None:
    node = dict(type='VOCDataset', ann_file=['a', 'b'], img_prefix=['VOC2007/', 'VOC2012/'], pipeline=TRAIN, min_size=9)
    limits = dict(USED, bbox_min_size=9)
    members = [
        dict(
            type='VOCDataset',
            ann_file=name,
            data_prefix=dict(sub_data_root=f'VOC{year}/'),
            filter_cfg=limits,
            pipeline=NEW_TRAIN,
        )
        for name, year in (('a', 2007), ('b', 2012))
    ]
    assert train_dataset(dict(type='RepeatDataset', times=3, dataset=node)) == dict(
        type='RepeatDataset',
        times=3,
        dataset=dict(type='ConcatDataset', datasets=members, ignore_keys=['dataset_type']),
    )


@pytest.mark.parametrize('joined', [False, True])
def test_lists_of_datasets_are_joined(joined: bool) -> None:
    nodes = [coco('a'), coco('b')]
    dataset = train_dataset(dict(type='ConcatDataset', datasets=nodes) if joined else nodes)
    assert dataset['type'] == 'ConcatDataset'
    assert [member['ann_file'] for member in dataset['datasets']] == ['a.json', 'b.json']


def test_a_mixing_dataset_has_both_its_pipelines_translated() -> None:
    mix = [dict(type='Mosaic', img_scale=(48, 64)), dict(type='CopyPaste'), *TRAIN[3:]]
    node = dict(
        type='MultiImageMixDataset',
        dataset=dict(coco('a'), pipeline=TRAIN[:2]),
        pipeline=mix,
        skip_type_keys=('Mosaic',),
        dynamic_scale=None,
    )
    assert train_dataset(node) == dict(
        type='MultiImageMixDataset',
        dataset=dict(
            type='CocoDataset', ann_file='a.json', data_prefix=dict(img='a/'), filter_cfg=USED, pipeline=TRAIN[:2]
        ),
        pipeline=[
            dict(type='Mosaic', img_scale=(64, 48)),
            dict(type='CopyPaste', paste_by_box=True),
            dict(type='PackDetInputs'),
        ],
        skip_type_keys=('Mosaic',),
    )


def test_balanced_classes_stay() -> None:
    dataset = train_dataset(dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=coco('a')))
    assert (dataset['type'], dataset['oversample_thr']) == ('ClassBalancedDataset', 0.1)


def test_class_names_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    dataset = train_dataset(coco('a', classes=str(tmp_path / 'names.txt')))
    assert dataset['metainfo'] == dict(classes=('cat', 'dog'))


def test_deep_lakes_keys_stay_and_leave_a_place_in_the_dataloader() -> None:
    config, notes = upgraded(
        data=dict(
            samples_per_gpu=4,
            train=dict(coco('a'), deeplake_path='x', deeplake_tensors=dict(img='images'), filter_empty_gt=False),
            val=dict(coco('b'), pipeline=TEST, deeplake_path='y'),
            test=dict(coco('c'), pipeline=TEST),
        )
    )
    assert config['data'] == dict(
        samples_per_gpu=4,
        train=dict(deeplake_path='x', deeplake_tensors=dict(img='images')),
        val=dict(deeplake_path='y'),
    )
    assert config['train_dataloader']['dataset'] == dict(
        type='CocoDataset', filter_cfg=dict(filter_empty_gt=False, min_size=32), pipeline=NEW_TRAIN
    )
    assert config['val_dataloader']['dataset'] == dict(type='CocoDataset', test_mode=True, pipeline=NEW_TEST)
    assert config['val_evaluator'] == dict(type='CocoMetric', metric='bbox')
    assert 'test_dataloader' not in config
    assert 'data.test dropped: it reads files; the dataset of data.val is tested' in notes.lines
    assert 'data.train.ann_file dropped: deeplake_path has the images and annotations' in notes.lines


@pytest.mark.parametrize('above', [False, True])
def test_deep_lakes_keys_are_found_within_a_wrapper_and_on_it(above: bool) -> None:
    leaf, keys = dict(type='CocoDataset', pipeline=TRAIN), dict(deeplake_path='x', deeplake_commit_id='c')
    wrapper = dict(type='RepeatDataset', times=3, dataset=leaf if above else {**leaf, **keys})
    config, _ = upgraded(data=dict(train={**wrapper, **keys} if above else wrapper))
    assert config['data'] == dict(train=keys)
    assert config['train_dataloader']['dataset'] == dict(
        type='RepeatDataset', times=3, dataset=dict(type='CocoDataset', filter_cfg=USED, pipeline=NEW_TRAIN)
    )


def test_several_deep_lake_datasets_stay_a_list() -> None:
    nodes = [dict(deeplake_path='x', pipeline=TRAIN), dict(deeplake_path='y', pipeline=TRAIN)]
    config, _ = upgraded(data=dict(train=nodes))
    assert config['data']['train'] == [dict(deeplake_path='x'), dict(deeplake_path='y')]
    assert config['train_dataloader']['dataset']['pipeline'] == NEW_TRAIN


def test_several_deep_lake_datasets_keep_different_pipelines() -> None:
    other = [*TRAIN[:2], *TRAIN[3:]]
    nodes = [dict(deeplake_path='x', pipeline=TRAIN), dict(deeplake_path='y', pipeline=other)]
    config, _ = upgraded(data=dict(train=nodes))
    assert [node['pipeline'] for node in config['data']['train']] == [NEW_TRAIN, [*TRAIN[:2], NEW_TRAIN[-1]]]


def new_loader(dataset: dict[str, Any] | None = None) -> dict[str, Any]:
    leaf = dict(type='CocoDataset', ann_file='old.json', data_prefix=dict(img='old/'), pipeline=NEW_TRAIN)
    return dict(batch_size=7, dataset=dataset or leaf)


def test_over_a_dataloader_only_the_pipeline_is_translated() -> None:
    node = dict(deeplake_path='x', pipeline=TRAIN, filter_empty_gt=False, deeplake_dataloader=dict(batch_size=2))
    config, _ = upgraded(train_dataloader=new_loader(), data=dict(train=node, samples_per_gpu=3))
    assert config == dict(
        train_dataloader=new_loader(), data=dict(train=dict(node, pipeline=NEW_TRAIN), samples_per_gpu=3)
    )


def test_over_a_dataloader_files_replace_files() -> None:
    wrapped = dict(type='RepeatDataset', times=2, dataset=new_loader()['dataset'])
    config, _ = upgraded(
        val_dataloader=new_loader(wrapped),
        val_evaluator=dict(type='CocoMetric', ann_file='old.json'),
        data=dict(val=dict(ann_file='mine.json', pipeline=TEST)),
    )
    leaf = config['val_dataloader']['dataset']['dataset']
    assert (leaf['ann_file'], leaf['data_prefix'], leaf['pipeline']) == ('mine.json', dict(img='old/'), NEW_TEST)
    assert config['val_evaluator'] == dict(type='CocoMetric', ann_file='mine.json', metric='bbox')
    assert 'data' not in config


def test_over_a_dataloader_a_wrapper_replaces_the_wrappers() -> None:
    node = dict(type='RepeatDataset', times=3, dataset=dict(deeplake_path='x'))
    config, _ = upgraded(train_dataloader=new_loader(), data=dict(train=node))
    assert config['data'] == dict(train=dict(deeplake_path='x'))
    assert config['train_dataloader']['dataset'] == dict(type='RepeatDataset', times=3, dataset=new_loader()['dataset'])


def test_a_pipeline_of_mmdetection_2_within_a_dataloader_is_translated() -> None:
    config, _ = upgraded(train_dataloader=new_loader(dict(type='DeepLakeDataset', deeplake_path='x', pipeline=TRAIN)))
    assert config['train_dataloader']['dataset']['pipeline'] == NEW_TRAIN


def test_the_short_form_over_mmdetection_3_is_left_alone() -> None:
    config = dict(
        train_dataloader=new_loader(),
        train_pipeline=NEW_TRAIN,
        data=dict(samples_per_gpu=2, train=dict(deeplake_path='x', pipeline=NEW_TRAIN), val=[dict(deeplake_query='q')]),
    )
    before = copy.deepcopy(config)
    assert upgraded(**config)[1].lines == []
    assert upgraded(**config)[0] == before


@pytest.mark.parametrize('loader', [{}, dict(train_dataloader=new_loader())])
def test_a_dataset_without_a_pipeline_gets_the_configs_variable(loader: dict[str, Any]) -> None:
    """Deep Lake's integration falls back to ``train_pipeline`` so."""
    config, _ = upgraded(**loader, train_pipeline=TRAIN, data=dict(train=dict(deeplake_path='x')))
    place = config['data']['train'] if loader else config['train_dataloader']['dataset']
    assert place['pipeline'] == config['train_pipeline'] == NEW_TRAIN


def test_a_pipeline_that_neither_loads_nor_collects_is_completed() -> None:
    config, _ = upgraded(
        train_dataloader=new_loader(), data=dict(train=dict(deeplake_path='x', pipeline=[TRAIN[2]])), model=dict()
    )
    loads = [TRAIN[0], dict(type='LoadAnnotations', with_bbox=True, with_mask=False)]
    assert config['data']['train']['pipeline'] == [*loads, *NEW_TRAIN[2:]]


REFUSED: list[tuple[Any, str]] = [
    (dict(type='CustomDataset', ann_file='a', pipeline=TRAIN), r'data.train.type=CustomDataset: .*Convert .* to COCO'),
    (dict(type='CocoPanopticDataset', pipeline=TRAIN), r'CocoPanopticDataset: .*coco_panoptic.py'),
    (coco('a', proposal_file='p.pkl'), r'data.train.proposal_file: train a detector with its own RPN'),
    (coco('a', classes='missing.txt'), r"data.train.classes: .*no file 'missing.txt'"),
    (dict(type='CocoDataset', ann_file='a'), r'data.train.pipeline: is missing'),
    ([coco('a'), dict(deeplake_path='x', pipeline=TRAIN)], r'data.train: joins Deep Lake datasets with other ones'),
    (
        dict(type='MultiImageMixDataset', dataset=coco('a'), pipeline=TRAIN, dynamic_scale=(9, 9)),
        r'data.train.dynamic_scale: put a RandomResize',
    ),
]


@pytest.mark.parametrize(('node', 'message'), REFUSED, ids=lambda value: value if isinstance(value, str) else '')
def test_data_that_mmdetection_3_cannot_read_are_named(node: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        upgraded(data=dict(train=node))


def test_several_datasets_cannot_be_validated_together() -> None:
    with pytest.raises(ConfigError, match=r'data.val: several datasets .* MultiDatasetsEvaluator'):
        upgraded(data=dict(val=[coco('a'), coco('b')]))


def test_a_dataset_of_the_users_own_needs_an_evaluator() -> None:
    node = dict(coco('a'), type='UsersOwnDataset')
    with pytest.raises(ConfigError, match=r'data.val.type=UsersOwnDataset: .*Add val_evaluator'):
        upgraded(data=dict(val=node))
    assert upgraded(data=dict(val=node), val_evaluator=dict(type='Mine'))[0]['val_evaluator'] == dict(type='Mine')


def test_a_pipeline_below_a_mixing_dataset_is_ambiguous() -> None:
    mixing = dict(type='MultiImageMixDataset', pipeline=NEW_TRAIN, dataset=new_loader()['dataset'])
    with pytest.raises(ConfigError, match=r'data.train: cannot tell which dataset of train_dataloader'):
        upgraded(train_dataloader=new_loader(mixing), data=dict(train=dict(pipeline=TRAIN)))
