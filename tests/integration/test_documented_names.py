"""The table of `docs/migrating.md`: every name that Deep Lake's own integration documents does what the table says.

A row's test bears its name as a mark, ``@pytest.mark.documents(name)``, here or in another file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import deeplake
import numpy as np
import pytest
from deeplake import types
from mmengine.config import Config
from mmengine.registry import init_default_scope

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.engine.secrets_in_config import hide_credentials
from deeplake_mmdet.errors import ConfigError, RevisionNotFoundError
from tests.support.datasets import write_dataset
from tests.support.tiny import write_tiny

ROOT = Path(__file__).parents[2]
BASE = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
documents = pytest.mark.documents


@pytest.fixture
def path(tmp_path):
    return write_tiny(tmp_path / 'ds')


def resolved(path: str, train: str = '', text: str = '', base: str = BASE) -> Config:
    """The config after everything that the tools do before they build the Runner."""
    data = f'data = dict(train=dict(deeplake_path={path!r}, {train}), val=dict(deeplake_path={path!r}))\n'
    config = Config.fromstring(f'_base_ = {base!r}\n{data}{text}', '.py')
    prepare(config)
    return config


def build(dataset: dict):
    """A dataset as the Runner builds it."""
    from mmdet.registry import DATASETS

    import deeplake_mmdet  # noqa: F401

    init_default_scope('mmdet')
    return DATASETS.build(dataset)


def train_set(config: Config):
    """The training dataset that a config names, opened, without its pipeline."""
    return build({**config.train_dataloader.dataset, 'pipeline': []})


def rows_of_the_table() -> list[str]:
    lines = (ROOT / 'docs' / 'migrating.md').read_text().splitlines()
    table = lines[lines.index('| name | here |') + 2 :]
    return [re.match(r'\| `(.+?)` \|', line)[1] for line in table[: table.index('')]]


def documented_by_tests() -> set[str]:
    names = set()
    for file in (ROOT / 'tests').rglob('test_*.py'):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition('.')[2] == 'documents':
                names |= {ast.literal_eval(argument) for argument in node.args}
    return names


def test_every_row_of_the_table_has_a_test_and_every_test_a_row():
    rows = rows_of_the_table()
    assert len(rows) == len(set(rows)) > 40
    assert set(rows) == documented_by_tests()


@documents('data', 'data.train', 'data.val', 'deeplake_path')
def test_the_splits_take_the_place_of_the_bases_datasets(path):
    config = resolved(path)
    stock = Config.fromstring(f'_base_ = {BASE!r}', '.py')
    assert config.train_dataloader.dataset.deeplake_path == config.val_dataloader.dataset.deeplake_path == path
    assert config.train_dataloader.dataset.pipeline == stock.train_dataloader.dataset.pipeline
    assert config.train_dataloader.batch_size == stock.train_dataloader.batch_size
    assert {**config.train_dataloader.sampler, 'type': 'DefaultSampler'} == stock.train_dataloader.sampler


@documents('data.test')
def test_test_data_are_the_validation_data_unless_they_are_named(tmp_path, path):
    other = write_tiny(tmp_path / 'other')
    assert resolved(path).test_dataloader.dataset.deeplake_path == path
    config = resolved(path, text=f'data.update(test=dict(deeplake_path={other!r}))')
    assert config.test_dataloader.dataset.deeplake_path == other


@documents('data.samples_per_gpu', 'data.workers_per_gpu')
def test_numbers_per_gpu_are_for_every_split(path):
    config = resolved(path, text='data.update(samples_per_gpu=3, workers_per_gpu=1)')
    for split in ('train', 'val', 'test'):
        loader = config[f'{split}_dataloader']
        assert (loader.batch_size, loader.num_workers) == (3, 1)


@documents('deeplake_dataloader.batch_size', 'deeplake_dataloader.num_workers', 'deeplake_dataloader.shuffle')
def test_options_of_a_dataset_stand_above_the_numbers_per_gpu(path):
    options = 'deeplake_dataloader=dict(batch_size=5, num_workers=0, shuffle=False)'
    loader = resolved(path, options, 'data.update(samples_per_gpu=3, workers_per_gpu=1)').train_dataloader
    assert (loader.batch_size, loader.num_workers, loader.sampler.shuffle) == (5, 0, False)


@documents('pipeline')
def test_a_pipeline_of_either_form_replaces_the_bases(path):
    new = "pipeline=[dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]"
    assert resolved(path, new).train_dataloader.dataset.pipeline[1] == dict(type='RandomFlip', prob=0.5)
    old = (
        "pipeline=[dict(type='LoadImageFromFile'), dict(type='RandomFlip', flip_ratio=0.5), "
        "dict(type='Normalize', mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], to_rgb=False), "
        "dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img'])]"
    )
    pipeline = resolved(path, old).train_dataloader.dataset.pipeline
    assert pipeline[1] == dict(type='RandomFlip', prob=0.5)
    assert pipeline[-1].type == 'PackDetInputs'


@documents('deeplake_credentials.token', 'deeplake_credentials.creds')
def test_credentials_are_taken_and_leave_the_config(s3):
    creds = s3.creds
    write_dataset(s3.path, creds=creds)
    val = f'data.update(val=dict(deeplake_path={s3.path!r}, deeplake_credentials=dict(creds={creds!r})))'
    config = resolved(s3.path, f'filter_cfg=dict(), deeplake_credentials=dict(token=None, creds={creds!r})', val)
    assert len(train_set(config)) == 8
    assert creds['aws_secret_access_key'] not in config.pretty_text
    config = Config(dict(data=dict(train=dict(deeplake_credentials=dict(token='a-token-of-mine')))))
    hide_credentials(config)
    hidden = Credentials.from_config(config.data.train.deeplake_credentials)
    assert hidden.open_arguments() == {'token': 'a-token-of-mine'}
    assert 'a-token-of-mine' not in config.pretty_text


@documents('deeplake_credentials.username', 'deeplake_credentials.password')
@pytest.mark.parametrize('key', ['username', 'password'])
def test_signing_in_by_password_is_refused_and_none_is_not(path, key):
    resolved(path, f'deeplake_credentials=dict({key}=None, token=None, creds=None)')
    with pytest.raises(ConfigError, match='Deep Lake no longer signs in by password'):
        resolved(path, f"deeplake_credentials=dict({key}='me')")


@documents('deeplake_commit_id')
def test_a_commit_is_honoured_or_refused(path):
    first = deeplake.open_read_only(path).version
    dataset = deeplake.open(path)
    dataset.delete(0)
    dataset.commit('one less')
    assert len(train_set(resolved(path, f'deeplake_commit_id={first!r}'))) == 6
    assert len(train_set(resolved(path, "deeplake_commit_id=''"))) == 5
    with pytest.raises(RevisionNotFoundError, match="names 'nope', which is no commit"):
        resolved(path, "deeplake_commit_id='nope'")


@documents('deeplake_view_id', 'deeplake_tag_id')
@pytest.mark.parametrize('key', ['deeplake_view_id', 'deeplake_tag_id'])
def test_a_view_is_honoured_or_refused(path, key):
    deeplake.open(path).query('select * limit 2').tag('two')
    assert len(train_set(resolved(path, f"{key}='two'"))) == 2
    assert len(train_set(resolved(path, f"{key}=''"))) == 6
    with pytest.raises(RevisionNotFoundError, match=r"names 'nope', which .* does not have"):
        resolved(path, f"{key}='nope'")


@documents('deeplake_query')
def test_a_query_selects_rows_and_may_name_the_dataset(path):
    assert len(train_set(resolved(path, "deeplake_query='select * limit 4'"))) == 4
    text = f"""data['train'] = dict(deeplake_query='select * from "{path}" limit 3')"""
    assert len(train_set(resolved(path, text=text))) == 3


@documents('deeplake_tensors')
def test_columns_that_are_not_mapped_are_found_by_type(path):
    columns = train_set(resolved(path, "deeplake_tensors={'img': 'images'}")).columns
    assert (columns['gt_bboxes'], columns['gt_labels']) == ('boxes', 'categories')


@documents('deeplake_tensors.img', 'deeplake_tensors.gt_bboxes', 'deeplake_tensors.gt_labels')
@pytest.mark.parametrize('role', ['img', 'gt_bboxes', 'gt_labels'])
def test_a_column_that_is_mapped_is_read_or_refused(path, role):
    own = {'img': 'images', 'gt_bboxes': 'boxes', 'gt_labels': 'categories'}
    columns = train_set(resolved(path, f'deeplake_tensors={own!r}')).columns
    assert (columns.image.name if role == 'img' else columns[role]) == own[role]
    with pytest.raises(Exception, match=rf"{role}.*'nothing'"):
        resolved(path, f'deeplake_tensors={ {**own, role: "nothing"}!r}')


@documents('deeplake_tensors.gt_masks')
def test_masks_are_read_where_the_pipeline_asks_for_them_and_only_there(tmp_path):
    corners = [np.array([[2, 3], [12, 3], [12, 15]], np.float32), np.array([[20, 5], [35, 5], [35, 35]], np.float32)]
    path = write_tiny(tmp_path / 'masked', extra={'outlines': (types.Polygon(), [corners] * 6)})
    for with_mask in (False, True):
        load = f"pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_mask={with_mask})]"
        config = resolved(path, f"deeplake_tensors=dict(gt_masks='outlines'), {load}")
        dataset = build(config.train_dataloader.dataset)
        seen = []
        read = dataset.source.read
        dataset.source.read = lambda column, rows, read=read, seen=seen: seen.append(column) or read(column, rows)
        sample = dataset[0]
        assert ('outlines' in seen) is with_mask
        assert ('gt_masks' in sample) is with_mask
    assert [mask.shape for mask in sample['gt_masks'].masks] == [(40, 40)] * 2
    assert sample['gt_masks'].masks[1][20, 34] == 1 and sample['gt_masks'].masks[1][34, 21] == 0


@documents("deeplake_dataloader_type = 'auto'", "deeplake_dataloader_type = 'python'")
@pytest.mark.parametrize(('kind', 'calls'), [('auto', 1), ('python', 3)])
def test_the_loader_type_decides_how_images_are_read(path, kind, calls, monkeypatch):
    config = resolved(path, text=f'deeplake_dataloader_type = {kind!r}')
    dataset = train_set(config)
    dataset.full_init()
    dataset.pipeline = lambda info: dataset.images.get(int(dataset.index.rows[info['sample_idx']]))
    encoded, seen = dataset.images.reader.encoded, []
    monkeypatch.setattr(dataset.images.reader, 'encoded', lambda rows: seen.append(rows) or encoded(rows))
    dataset.__getitems__([0, 1, 2])
    assert len(seen) == calls


@documents("deeplake_dataloader_type = 'c++'")
def test_whole_batches_are_refused_below_a_wrapper_that_asks_for_samples(path):
    text = "deeplake_dataloader_type = 'c++'"
    assert resolved(path, text=text).train_dataloader.dataset.deeplake_dataloader_type == 'c++'
    with pytest.raises(ConfigError, match=r"train_dataloader.dataset.dataset: .*is 'c\+\+', which reads whole batches"):
        resolved(path, text=text, base='mmdet::ssd/ssd300_coco.py')


@documents("deeplake_metrics_format = 'COCO'", "deeplake_metrics_format = 'PascalVOC'", 'evaluation.metrics_format')
@pytest.mark.parametrize(('name', 'metric'), [('COCO', 'DeepLakeCocoMetric'), ('PascalVOC', 'DeepLakeVOCMetric')])
def test_the_metrics_format_decides_the_evaluator(path, name, metric):
    assert resolved(path, text=f'deeplake_metrics_format = {name!r}').val_evaluator.type == metric
    assert resolved(path, text=f'evaluation = dict(metrics_format={name!r})').val_evaluator.type == metric


@documents('evaluation.metric', 'evaluation.interval')
def test_the_evaluation_section_says_what_and_when(path):
    config = resolved(path, text="evaluation = dict(metric=['bbox', 'proposal'], interval=7)")
    assert config.val_evaluator.metric == ['bbox', 'proposal']
    assert config.train_cfg.val_interval == 7


@documents('optimizer', 'optimizer_config', 'runner')
def test_the_schedule_of_mmdetection_2_is_understood(path):
    text = (
        "optimizer = dict(type='SGD', lr=0.02, momentum=0.9)\n"
        'optimizer_config = dict(grad_clip=dict(max_norm=35))\n'
        "runner = dict(type='EpochBasedRunner', max_epochs=273)\n"
    )
    config = resolved(path, text=text, base='mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    assert (config.optim_wrapper.optimizer.type, config.optim_wrapper.optimizer.lr) == ('SGD', 0.02)
    assert config.optim_wrapper.clip_grad == dict(max_norm=35)
    assert config.train_cfg.max_epochs == 273
