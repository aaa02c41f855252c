"""`build_detector`, `train_detector`, `test_detector`, `build_dataloader`: what a script of Deep Lake's users calls."""

from __future__ import annotations

import copy
from pathlib import Path

import deeplake
import numpy as np
import pytest
import torch
from mmengine.config import Config

import deeplake_mmdet
from deeplake_mmdet.errors import ConfigError
from tests.support.rank_log import img_ids_of_ranks
from tests.support.tiny import write_tiny

BASE = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
TEXT = f"""
_base_ = {BASE!r}
data = dict(train=dict(deeplake_path={{path!r}}, deeplake_dataloader=dict(batch_size=2, num_workers=0)),
            val=dict(deeplake_path={{path!r}}, deeplake_dataloader=dict(batch_size=2, num_workers=0)))
model = dict(backbone=dict(widen_factor=0.125, init_cfg=None), neck=dict(in_channels=[32, 64, 128], out_channels=32),
             bbox_head=dict(in_channels=32, feat_channels=32), test_cfg=dict(score_thr=0.0))
train_cfg = dict(max_epochs=1, val_interval=1, dynamic_intervals=None)
custom_hooks = []
randomness = dict(seed=0)
default_hooks = dict(checkpoint=dict(save_best=None))
"""


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def path(tmp_path):
    return write_tiny(tmp_path / 'ds')


@pytest.fixture
def cfg(tmp_path, path):
    return config(tmp_path, path)


def config(tmp_path, path, text='') -> Config:
    config = Config.fromstring(TEXT.format(path=path) + text, '.py')
    for pipeline in (config.train_pipeline, config.test_pipeline):
        for step in pipeline:
            for key in ('scale', 'img_scale', 'crop_size', 'size'):
                if key in step:
                    step[key] = (64, 64)
    for split in ('train', 'val'):
        config.data[split]['pipeline'] = config[f'{"test" if split == "val" else split}_pipeline']
    config.work_dir = str(tmp_path / 'work')
    config.log_level = 'WARNING'
    return config


def learnable(tmp_path) -> Config:
    """A run of a few seconds whose metrics are not zero: one large box in the same place of every image."""
    boxes, labels = [[[2, 2, 34, 34]]] * 6, [[i % 2] for i in range(6)]
    cfg = config(tmp_path, write_tiny(tmp_path / 'large', boxes=boxes, labels=labels))
    load, *rest = cfg.data.val.pipeline
    annotations = dict(type='LoadAnnotations', with_bbox=True)
    cfg.data.train.pipeline = [load, annotations, *(step for step in rest if step['type'] != 'LoadAnnotations')]
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 8
    cfg.optim_wrapper.optimizer.update(lr=0.02, weight_decay=0)
    cfg.param_scheduler = None
    return cfg


def scalars(work_dir: str) -> str:
    return ''.join(file.read_text() for file in Path(work_dir).glob('*/vis_data/scalars.json'))


@pytest.mark.documents(
    'train_detector(model)', 'train_detector(cfg)', 'train_detector(timestamp)', 'train_detector(meta)'
)
def test_a_model_config_is_built_for_the_classes_of_the_dataset_and_trained(cfg):
    before = copy.deepcopy(cfg.to_dict())
    result = deeplake_mmdet.train_detector(cfg.model, cfg, timestamp='run', meta={'ticket': 'A-17'})
    assert result.runner.model.bbox_head.num_classes == 2
    assert result.runner.iter == 3
    assert 'coco/bbox_mAP' in result.metrics
    assert (Path(result.work_dir) / 'run' / 'run.log').is_file()
    checkpoint = torch.load(result.checkpoint, weights_only=False)
    assert checkpoint['meta']['ticket'] == 'A-17'
    assert checkpoint['meta']['dataset_meta']['classes'] == ('cat', 'dog')
    assert cfg.to_dict() == before


@pytest.mark.documents('build_detector(cfg)')
def test_a_module_is_trained_with_the_weights_that_it_has(cfg):
    cfg.model.bbox_head.num_classes = 2
    model = deeplake_mmdet.build_detector(cfg.model)
    for module in model.modules():
        module._is_init = False  # as of a model that was built and loaded without MMEngine's initialisation
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    cfg.optim_wrapper.optimizer.lr = 0.0
    result = deeplake_mmdet.train_detector(model, cfg, validate=False)
    assert result.runner.model is model
    assert all(torch.all(parameter == 0.01) for parameter in model.parameters())


def test_a_module_of_another_number_of_classes_is_refused(cfg):
    model = deeplake_mmdet.build_detector(cfg.model)
    with pytest.raises(ConfigError, match=r"The head 'bbox_head' of the model has 80 classes, but the dataset has 2"):
        deeplake_mmdet.train_detector(model, cfg)


@pytest.mark.documents('train_detector(ds_train)', 'train_detector(ds_val)')
def test_an_opened_view_is_trained_on_instead_of_what_the_config_names(tmp_path, cfg):
    other = write_tiny(tmp_path / 'other', boxes=[[[1, 2, 10, 10]]] * 4)
    view = deeplake.open_read_only(other).query('select * limit 2')
    result = deeplake_mmdet.train_detector(cfg.model, cfg, ds_train=view, ds_val=view)
    assert len(result.runner.train_dataloader.dataset) == len(result.runner.val_dataloader.dataset) == 2
    assert other in result.runner.cfg.train_dataloader.dataset.deeplake_path


@pytest.mark.documents('train_detector(ds_train_tensors)', 'train_detector(ds_val_tensors)')
def test_tensor_mappings_stand_above_those_of_the_config(tmp_path, cfg):
    path = write_tiny(tmp_path / 'two', extra={'more': ('int32', np.zeros(6, np.int32))})
    cfg.data.train.deeplake_tensors = cfg.data.val.deeplake_tensors = dict(gt_labels='nothing')
    tensors = {'img': 'images', 'gt_bboxes': 'boxes', 'gt_labels': 'categories'}
    result = deeplake_mmdet.train_detector(
        cfg.model, cfg, ds_train=deeplake.open_read_only(path), ds_train_tensors=tensors, ds_val_tensors=tensors
    )
    for loader in (result.runner.cfg.train_dataloader, result.runner.cfg.val_dataloader):
        assert loader.dataset.deeplake_tensors.gt_labels == 'categories'


def test_opened_data_replace_those_of_the_long_form_too(tmp_path, path, cfg):
    other = write_tiny(tmp_path / 'other')
    pipeline = cfg.data.train.pipeline
    cfg.pop('data')
    cfg.train_dataloader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(type='DeepLakeDataset', deeplake_path=path, deeplake_view_id='gone', pipeline=pipeline),
    )
    result = deeplake_mmdet.train_detector(cfg.model, cfg, ds_train=deeplake.open_read_only(other), validate=False)
    assert result.runner.cfg.train_dataloader.dataset.deeplake_path == other


@pytest.mark.documents('train_detector(validate)')
def test_without_validation_no_validation_data_are_needed(cfg):
    cfg.data.val.deeplake_path = '/nowhere'
    result = deeplake_mmdet.train_detector(cfg.model, cfg, validate=False)
    assert result.metrics == {}


def test_validation_without_data_is_refused_before_training(cfg):
    del cfg.data['val']
    with pytest.raises(ConfigError, match=r'val_dataloader.dataset.ann_file is .*data=dict\(val=dict\(deeplake_path'):
        deeplake_mmdet.train_detector(cfg.model, cfg)
    cfg.val_dataloader = None
    with pytest.raises(ConfigError, match=r'train_detector\(validate=True\) expected validation data, but got none'):
        deeplake_mmdet.train_detector(cfg.model, cfg)


@pytest.mark.parametrize('thing', ['a/path', 7, torch.utils.data.TensorDataset(torch.zeros(3))])
def test_data_that_are_no_deep_lake_object_are_refused(cfg, thing):
    with pytest.raises(ConfigError, match=r'ds_train'):
        deeplake_mmdet.train_detector(cfg.model, cfg, ds_train=thing)


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        ('faster_rcnn', r'train_detector\(model=\) expected a detector of build_detector .* got a str'),
        (torch.nn.Linear(2, 2), r'train_detector\(model=\) .* got a Linear'),
    ],
)
def test_something_else_for_a_model_is_refused(cfg, model, message):
    with pytest.raises(ConfigError, match=message):
        deeplake_mmdet.train_detector(model, cfg)


def test_a_config_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match=r'cfg expected an mmengine.Config or a dict, but got a str'):
        deeplake_mmdet.train_detector(None, 'config.py')


def test_a_trained_checkpoint_is_evaluated_to_the_numbers_of_its_last_validation(tmp_path):
    cfg = learnable(tmp_path)
    result = deeplake_mmdet.train_detector(cfg.model, cfg)
    assert result.metrics['coco/bbox_mAP'] > 0.1
    metrics = deeplake_mmdet.test_detector(cfg.model, cfg, checkpoint=result.checkpoint)
    assert metrics == result.metrics
    assert deeplake_mmdet.test_detector(result.runner.model, cfg) == result.metrics
    cfg.model.bbox_head.num_classes = 2
    assert deeplake_mmdet.test_detector(deeplake_mmdet.build_detector(cfg.model), cfg) != result.metrics


def test_evaluating_a_model_without_weights_is_refused(cfg):
    with pytest.raises(ConfigError, match=r'test_detector\(checkpoint=\) expected a file of weights'):
        deeplake_mmdet.test_detector(cfg.model, cfg)


@pytest.mark.documents('train_detector(distributed)')
def test_two_processes_without_a_gpu_train_on_different_halves(cfg):
    cfg.custom_hooks = [dict(type='tests.support.rank_log.RankLog')]
    result = deeplake_mmdet.train_detector(cfg.model, cfg, distributed=2)
    assert result.runner is None
    assert Path(result.checkpoint).name == 'epoch_1.pth'
    checkpoint = torch.load(result.checkpoint, weights_only=False)
    assert checkpoint['meta']['iter'] == 2  # six images, two processes, batches of two
    assert 'coco/bbox_mAP' in result.metrics
    halves = img_ids_of_ranks(result.work_dir)
    assert [len(half) for half in halves] == [3, 3]
    assert sorted(halves[0] + halves[1]) == list(range(6))


@pytest.mark.parametrize('number', ['2', -1, 2.0, None])
def test_a_wrong_number_of_processes_is_refused(cfg, number):
    with pytest.raises(ConfigError, match=r'distributed expected True, False or a number of processes, but got'):
        deeplake_mmdet.train_detector(cfg.model, cfg, distributed=number)


@pytest.mark.parametrize('timestamp', ['a/b', '..', '', 7])
def test_a_timestamp_that_is_no_name_of_a_folder_is_refused(cfg, timestamp):
    with pytest.raises(ConfigError, match=r'timestamp expected the name of a folder'):
        deeplake_mmdet.train_detector(cfg.model, cfg, timestamp=timestamp)


def test_a_wrapped_module_is_refused(cfg):
    from mmengine.model import MMDistributedDataParallel

    cfg.model.bbox_head.num_classes = 2
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    torch.nn.Module.__init__(wrapped)
    wrapped.module = deeplake_mmdet.build_detector(cfg.model)
    with pytest.raises(ConfigError, match=r'got one in a MMDistributedDataParallel. Pass it as it was before'):
        deeplake_mmdet.train_detector(wrapped, cfg)


def test_all_gpus_are_asked_for_where_there_are_none(cfg, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    with pytest.raises(ConfigError, match=r'distributed=True trains on all GPUs .* has none. .* distributed=2'):
        deeplake_mmdet.train_detector(cfg.model, cfg, distributed=True)


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64)),
    dict(type='PackDetInputs'),
]


def test_a_dataloader_gives_batches_that_a_detector_takes(path, cfg):
    dataset = deeplake.open_read_only(path).query('select * limit 3')
    loader = deeplake_mmdet.build_dataloader(
        dataset, 'images', None, 'boxes', 'categories', PIPELINE, samples_per_gpu=2, workers_per_gpu=0, dist=False
    )
    batches = list(loader)
    assert [len(batch['inputs']) for batch in batches] == [2, 1]
    assert batches[0]['inputs'][0].shape == (3, 64, 64)
    cfg.model.bbox_head.num_classes = 2
    model = deeplake_mmdet.build_detector(cfg.model)
    losses = model(**model.data_preprocessor(batches[0], training=True), mode='loss')
    assert all(torch.isfinite(value) for values in losses.values() for value in values)


@pytest.mark.parametrize(('mode', 'shuffled'), [('train', True), ('val', False), ('test', False)])
def test_only_training_shuffles(path, mode, shuffled):
    loader = deeplake_mmdet.build_dataloader(path, pipeline=PIPELINE, mode=mode, batch_size=6, seed=1)
    order = [sample.img_id for sample in next(iter(loader))['data_samples']]
    assert (order != sorted(order)) is shuffled
    assert sorted(order) == list(range(6))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(mode='eval'), r"build_dataloader\(mode=\) expected 'train', 'val' or 'test', but got 'eval'"),
        (dict(batchsize=2), r"build_dataloader.batchsize is no key .* 'batch_size'\?"),
        (dict(dataset=7), r'build_dataloader\(dataset=\) expected an opened Deep Lake .* got an object of type int'),
    ],
)
def test_bad_arguments_of_the_dataloader_are_refused(path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        deeplake_mmdet.build_dataloader(**{'dataset': path, **arguments})
