"""What happens between a config file and the Runner: data pinned, heads fitted, secrets hidden, mistakes refused."""

from __future__ import annotations

import pickle

import pytest
from mmengine.config import Config

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.config.credentials import unstash
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.errors import ConfigError, RevisionNotFoundError
from tests.support.tiny import write_tiny

HEAD_DICT = "model = dict(bbox_head=dict(type='RTMDetHead', num_classes={number}))\n"
DATA = """
train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(
    type='DeepLakeDataset', deeplake_path={path!r}{keys})))
val_dataloader = dict(dataset=dict(type='DeepLakeDataset', deeplake_path={path!r}))
val_evaluator = dict(type='DeepLakeCocoMetric')
"""


def _config(folder, text: str, base: str = HEAD_DICT.format(number=80)) -> Config:
    (folder / 'base.py').write_text(base)
    (folder / 'leaf.py').write_text("_base_ = './base.py'\n" + text)
    return Config.fromfile(folder / 'leaf.py')


@pytest.fixture
def path(tmp_path):
    return write_tiny(tmp_path / 'ds')


def test_an_inherited_number_of_classes_is_set_from_the_dataset_and_logged(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=''))
    notes = prepare(config)
    assert config.model.bbox_head.num_classes == 2
    assert 'model.bbox_head.num_classes: 80 -> 2, the number of classes of the dataset' in notes


def test_a_number_of_classes_of_the_users_own_is_refused_if_wrong(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys='') + HEAD_DICT.format(number=3))
    with pytest.raises(ConfigError, match=r"model.bbox_head.num_classes is 3, but the dataset has 2 classes: \['cat'"):
        prepare(config)


def test_a_right_number_of_the_users_own_is_accepted(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys='') + HEAD_DICT.format(number=2))
    assert not any('->' in note for note in prepare(config))


def test_heads_of_every_kind_are_found():
    from deeplake_mmdet.engine.num_classes import head_keys

    model = dict(
        backbone=dict(num_classes=1000),
        rpn_head=dict(num_classes=1),
        roi_head=dict(bbox_head=[dict(num_classes=80), dict(num_classes=80)], mask_head=dict(num_classes=80)),
        panoptic_head=dict(num_things_classes=80, num_stuff_classes=0),
    )
    assert [key for key, _, _ in head_keys(model)] == [
        'model.roi_head.bbox_head.0.num_classes',
        'model.roi_head.bbox_head.1.num_classes',
        'model.roi_head.mask_head.num_classes',
        'model.panoptic_head.num_things_classes',
    ]


def test_class_weights_of_a_query_based_head_follow(tmp_path, path):
    base = (
        'model = dict(panoptic_head=dict(num_things_classes=80, num_stuff_classes=0, '
        'loss_cls=dict(class_weight=[1.0] * 80 + [0.1])))\n'
    )
    config = _config(tmp_path, DATA.format(path=path, keys=''), base)
    prepare(config)
    assert config.model.panoptic_head.loss_cls.class_weight == [1.0, 1.0, 0.1]


def test_a_class_subset_sets_the_number_of_classes(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=", metainfo=dict(classes=('dog',))"))
    config.val_dataloader.dataset.metainfo = dict(classes=('dog',))
    prepare(config)
    assert config.model.bbox_head.num_classes == 1


def test_two_class_lists_in_one_run_are_refused(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=", metainfo=dict(classes=('dog', 'cat'))"))
    with pytest.raises(ConfigError, match=r"val_dataloader.dataset expected the classes of .*\['dog', 'cat'\]"):
        prepare(config)


def test_the_head_of_the_dataset_is_resolved_to_a_commit_once(tmp_path, path):
    import deeplake

    config = _config(tmp_path, DATA.format(path=path, keys=''))
    prepare(config)
    commit = config.train_dataloader.dataset.dataset.deeplake_commit_id
    assert commit == config.val_dataloader.dataset.deeplake_commit_id == deeplake.open_read_only(path).version
    dataset = deeplake.open(path)
    dataset.delete(0)
    dataset.commit('one row less')
    prepare(config)
    assert config.train_dataloader.dataset.dataset.deeplake_commit_id == commit


def test_errors_name_the_place_in_the_config(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=", deeplake_comit_id='x'"))
    with pytest.raises(ConfigError, match=r"unknown key 'deeplake_comit_id'. Did you mean 'deeplake_commit_id'\?"):
        prepare(config)
    config = _config(tmp_path, DATA.format(path=path, keys=", deeplake_view_id='nope'"))
    with pytest.raises(RevisionNotFoundError, match=r"^train_dataloader.dataset.dataset: .*'nope'"):
        prepare(config)


def test_credentials_leave_the_config_and_still_open_the_dataset(tmp_path, path):
    secret = 'hunter2-SECRET'
    keys = f", deeplake_credentials=dict(token={secret!r}, creds=dict(aws_secret_access_key='{secret}-2'))"
    config = _config(tmp_path, DATA.format(path=path, keys=keys))
    config.test_dataloader = config.train_dataloader
    prepare(config, ('train', 'val'))
    assert secret not in config.pretty_text
    assert secret.encode() not in pickle.dumps(config.to_dict())
    from deeplake_mmdet.config.credentials import unstash

    reference = config.train_dataloader.dataset.dataset.deeplake_credentials
    assert unstash(reference).token == secret
    assert len(prepare(config)) > 0


def test_an_annotation_file_that_does_not_exist_is_explained(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=''))
    config.val_evaluator = dict(type='CocoMetric', ann_file='data/coco/annotations/instances_val2017.json')
    with pytest.raises(ConfigError, match=r"val_evaluator.ann_file .*type='DeepLakeCocoMetric'"):
        prepare(config)


def test_the_metric_refuses_an_annotation_file():
    from deeplake_mmdet import DeepLakeCocoMetric

    with pytest.raises(ConfigError, match='ground truth is the dataset itself'):
        DeepLakeCocoMetric(ann_file='x.json')


def test_a_work_dir_that_cannot_be_written_is_refused_at_once(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=''))
    (tmp_path / 'file').write_text('')
    for folder in (tmp_path / 'file' / 'work', '/proc/work'):
        config.work_dir = str(folder)
        with pytest.raises(ConfigError, match=r'work_dir is .*--work-dir'):
            prepare(config)


def test_concatenated_datasets_of_two_kinds_keep_their_metainfo_comparable(tmp_path, path):
    text = f"""
val_dataloader = train_dataloader = dict(dataset=dict(type='ConcatDataset', ignore_keys='x', datasets=[
    dict(type='DeepLakeDataset', deeplake_path={path!r}),
    dict(type='CocoDataset', ann_file={__file__!r}, metainfo=dict(classes=('cat', 'dog')))]))
"""
    config = _config(tmp_path, text)
    prepare(config)
    assert config.train_dataloader.dataset.ignore_keys == ['x', 'deeplake', 'palette']


def test_the_command_prints_one_message_and_no_traceback(tmp_path, path, capsys):
    _config(tmp_path, DATA.format(path=path + 's', keys=''))
    assert main(['train', str(tmp_path / 'leaf.py'), '--work-dir', str(tmp_path / 'work')]) == 1
    error = capsys.readouterr().err
    assert error.startswith('SourceNotFoundError: train_dataloader.dataset.dataset: ')
    assert f'Did you mean {path!r}?' in error
    assert 'Traceback' not in error
    assert main(['train', 'gone.py']) == 1
    assert 'gone.py' in capsys.readouterr().err
    assert main(['trian']) == 2


def test_a_number_that_the_users_own_file_repeats_is_his_word_too(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys='') + HEAD_DICT.format(number=80))
    with pytest.raises(ConfigError, match=r'num_classes is 80, but the dataset has 2'):
        prepare(config)


def test_bases_may_be_given_by_an_expression(tmp_path, path):
    (tmp_path / 'base.py').write_text(HEAD_DICT.format(number=80))
    (tmp_path / 'leaf.py').write_text("_base_ = ['./' + 'base.py'] + []\n" + DATA.format(path=path, keys=''))
    config = Config.fromfile(tmp_path / 'leaf.py')
    prepare(config)
    assert config.model.bbox_head.num_classes == 2


def test_pure_python_configs_are_prepared(tmp_path, path):
    (tmp_path / '__init__.py').write_text('')
    (tmp_path / 'base.py').write_text(HEAD_DICT.format(number=80))
    text = 'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
    (tmp_path / 'leaf.py').write_text(text + DATA.format(path=path, keys=''))
    config = Config.fromfile(tmp_path / 'leaf.py')
    prepare(config)
    assert config.model.bbox_head.num_classes == 2


def test_credentials_in_variables_of_a_config_are_hidden_too(tmp_path, path):
    text = f"""
creds = dict(aws_secret_access_key='TOPSECRETVALUE')
lab = dict(aws_secret_access_key='LINKSECRETVALUE')
token = 'TOKENVALUE'
train_dataset = dict(type='DeepLakeDataset', deeplake_path={path!r},
                     deeplake_credentials=dict(token=token, creds=creds, links=dict(lab=lab)))
train_dataloader = dict(dataset=train_dataset)
"""
    config = _config(tmp_path, text)
    prepare(config, ('train',))
    config.dump(tmp_path / 'dumped.py')
    for secret in ('TOPSECRETVALUE', 'LINKSECRETVALUE', 'TOKENVALUE'):
        assert secret not in (tmp_path / 'dumped.py').read_text()
        assert secret not in config.pretty_text
    assert config.train_dataset.deeplake_credentials.startswith('vault:')


def test_a_dataset_of_another_kind_must_state_the_same_classes(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=''))
    config.train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='CocoDataset')))
    with pytest.raises(ConfigError, match=r"train_dataloader.dataset.dataset expected the classes .*\['cat', 'dog'\]"):
        prepare(config)
    config.train_dataloader.dataset.dataset.metainfo = dict(classes=('cat', 'dog'))
    prepare(config)
    assert config.model.bbox_head.num_classes == 2


def test_one_metric_over_several_datasets_is_refused(tmp_path, path):
    config = _config(tmp_path, DATA.format(path=path, keys=''))
    member = dict(type='DeepLakeDataset', deeplake_path=path)
    config.val_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=[member, member]))
    with pytest.raises(ConfigError, match='val_evaluator expected one dataset'):
        prepare(config)


SHORT = 'data = dict(train=dict(deeplake_path={path!r}), val=dict(deeplake_path={path!r}))\n'
STOCK = "_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n"


def _short(folder, path, text='', overrides=None):
    """A short form over a stock config, as the tools read it."""
    (folder / 'short.py').write_text(STOCK + SHORT.format(path=path) + text)
    config = Config.fromfile(folder / 'short.py')
    config.merge_from_dict(overrides or {})
    return config


@pytest.mark.parametrize('form', ['short', 'long'])
def test_a_secret_of_the_command_line_leaves_the_config_and_still_opens_the_dataset(tmp_path, path, form):
    overrides = {'val_dataloader.dataset.deeplake_credentials.token': 'hunter2-SECRET'}
    if form == 'short':
        config = _short(tmp_path, path, overrides=overrides)
    else:
        config = _config(tmp_path, DATA.format(path=path, keys=''))
        config.merge_from_dict(overrides)
    prepare(config, overrides=overrides)
    assert 'hunter2-SECRET' not in config.pretty_text
    assert 'hunter2-SECRET' not in repr(pickle.dumps(config))
    assert unstash(config.val_dataloader.dataset.deeplake_credentials).token == 'hunter2-SECRET'


def test_the_command_line_stands_above_what_older_and_shorter_forms_say(tmp_path, path):
    text = "optimizer = dict(type='SGD', lr=0.02, momentum=0.9)\nevaluation = dict(save_best='bbox_mAP')\n"
    overrides = {
        'optim_wrapper.optimizer.lr': 0.5,
        'default_hooks.checkpoint.save_best': 'coco/bbox_mAP_50',
        'train_dataloader.batch_size': 3,
        'train_dataloader.num_workers': 0,
    }
    config = _short(tmp_path, path, text, overrides)
    prepare(config, overrides=overrides)
    assert (config.optim_wrapper.optimizer.type, config.optim_wrapper.optimizer.lr) == ('SGD', 0.5)
    assert config.default_hooks.checkpoint.save_best == 'coco/bbox_mAP_50'
    loader = config.train_dataloader
    assert (loader.batch_size, loader.num_workers, loader.persistent_workers) == (3, 0, False)


def test_a_number_of_classes_on_the_command_line_is_the_users(tmp_path, path):
    overrides = {'model.bbox_head.num_classes': 80}
    with pytest.raises(ConfigError, match=r'model.bbox_head.num_classes is 80, but the dataset has 2 .* set it to 2'):
        prepare(_short(tmp_path, path, overrides=overrides), overrides=overrides)


def test_masks_are_asked_for_before_the_first_epoch(tmp_path, path):
    text = "evaluation = dict(metric=['bbox', 'segm'])\n"
    with pytest.raises(ConfigError, match=r"val_evaluator.metric holds 'segm', but val_dataloader.dataset has no col"):
        prepare(_short(tmp_path, path, text))


def test_test_data_that_are_the_validation_data_are_pinned_with_them(tmp_path, path):
    config = _short(tmp_path, path)
    prepare(config, ('train', 'val'))
    commit = config.val_dataloader.dataset.deeplake_commit_id
    assert config.test_dataloader.dataset.deeplake_commit_id == commit != ''
    other = write_tiny(tmp_path / 'other')
    config = _short(tmp_path, path, f'data.update(test=dict(deeplake_path={other!r}))\n')
    prepare(config, ('train', 'val'))
    assert 'deeplake_commit_id' not in config.test_dataloader.dataset


PURE_BASE = """
from mmdet.datasets import CocoDataset
from mmengine.dataset.sampler import DefaultSampler
from mmengine.optim.optimizer.optimizer_wrapper import OptimWrapper
from torch.optim.sgd import SGD
model = dict(bbox_head=dict(num_classes=80))
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1))
train_dataloader = dict(batch_size=1, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=True),
                        dataset=dict(type=CocoDataset, ann_file='x.json', pipeline=[]))
val_dataloader = dict(batch_size=1, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=False),
                      dataset=dict(type=CocoDataset, ann_file='x.json', pipeline=[]))
"""
PURE_LEAF = """
from mmengine.config import read_base
with read_base():
    from .base import *
data = dict(train=dict(deeplake_path={path!r}, deeplake_credentials=dict(token='hunter2-SECRET')),
            val=dict(deeplake_path={path!r}))
model.update(dict(bbox_head=dict(num_classes={number})))
"""


def _pure(folder, path, number):
    """A config that inherits by imports, MMEngine's newer style."""
    (folder / 'base.py').write_text(PURE_BASE)
    (folder / 'pure.py').write_text(PURE_LEAF.format(path=path, number=number))
    return Config.fromfile(folder / 'pure.py')


def test_a_config_that_inherits_by_imports_can_be_dumped_and_read_again(tmp_path, path):
    config = _pure(tmp_path, path, 80)
    prepare(config)
    config.dump(tmp_path / 'dump.py')
    assert 'hunter2-SECRET' not in (tmp_path / 'dump.py').read_text()
    again = Config.fromfile(tmp_path / 'dump.py')
    assert again.model.bbox_head.num_classes == 2
    assert again.train_dataloader.dataset.deeplake_path == path


def test_a_number_of_the_users_own_is_known_where_configs_inherit_by_imports(tmp_path, path):
    with pytest.raises(ConfigError, match=r'model.bbox_head.num_classes is 5, but the dataset has 2 classes'):
        prepare(_pure(tmp_path, path, 5))
