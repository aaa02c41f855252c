"""The short form over stock base configs: what is kept, what is replaced, and that it equals the long form."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from deeplake_mmdet.config.short_form.expand import expand
from deeplake_mmdet.errors import ConfigError

RTMDET = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
YOLOX = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'
SSD = 'mmdet::ssd/ssd300_coco.py'
VOC = 'mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py'
LOADING = [dict(type='LoadImageFromFile', backend_args=None), dict(type='LoadAnnotations', with_bbox=True)]


def config_of(base: str, text: str) -> Config:
    return Config.fromstring(f'_base_ = {base!r}\n{text}', '.py')


def expanded(base: str, text: str) -> Config:
    config = config_of(base, text)
    expand(config)
    return config


def unscoped(node):
    """Without MMEngine's marks of the package whose config a dict stood in, which a variable of the base bears."""
    if isinstance(node, dict):
        return {key: unscoped(value) for key, value in node.items() if key != '_scope_'}
    return [unscoped(value) for value in node] if isinstance(node, list) else node


def test_the_short_form_resolves_to_the_config_that_the_long_form_writes_out():
    short = expanded(
        RTMDET,
        """
data = dict(
    train=dict(deeplake_path='cars', deeplake_view_id='train', deeplake_commit_id='',
               deeplake_tensors=dict(img='photo'), deeplake_dataloader=dict(batch_size=4, num_workers=3)),
    val=dict(deeplake_path='cars', deeplake_view_id='val'))
evaluation = dict(interval=2, metric=['bbox'], classwise=True)
""",
    )
    long = config_of(
        RTMDET,
        """
custom_imports = dict(imports=['deeplake_mmdet'], allow_failed_imports=False)
train_dataloader = dict(batch_size=4, num_workers=3, dataset=dict(
    _delete_=True, type='DeepLakeDataset', deeplake_path='cars', deeplake_view_id='train',
    deeplake_tensors=dict(img='photo'), filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(dataset=dict(
    _delete_=True, type='DeepLakeDataset', deeplake_path='cars', deeplake_view_id='val', test_mode=True,
    pipeline={{_base_.test_pipeline}}))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='DeepLakeCocoMetric', metric=['bbox'], classwise=True,
                     proposal_nums=(100, 1, 10), format_only=False)
test_evaluator = val_evaluator
train_cfg = dict(val_interval=2)
""",
    )
    assert unscoped(short.to_dict()) == unscoped(long.to_dict())


def test_wrappers_of_the_base_stay_around_the_new_dataset():
    dataset = expanded(SSD, "data = dict(train=dict(deeplake_path='cars'))").train_dataloader.dataset
    stock = config_of(SSD, '').train_dataloader.dataset
    assert (dataset.type, dataset.times) == ('RepeatDataset', stock.times)
    assert dataset.dataset.pipeline == stock.dataset.pipeline
    assert dataset.dataset.type == 'DeepLakeDataset' and 'ann_file' not in dataset.dataset


def test_a_mixing_wrapper_keeps_both_pipelines_of_the_base():
    dataset = expanded(YOLOX, "data = dict(train=dict(deeplake_path='cars'))").train_dataloader.dataset
    stock = config_of(YOLOX, '').train_dataloader.dataset
    assert dataset.pipeline == stock.pipeline
    assert dataset.dataset.pipeline == stock.dataset.pipeline == LOADING


def test_a_whole_pipeline_is_divided_between_a_mixing_wrapper_and_its_dataset():
    text = f"data = dict(train=dict(deeplake_path='cars', pipeline={LOADING!r} + [dict(type='PackDetInputs')]))"
    dataset = expanded(YOLOX, text).train_dataloader.dataset
    assert dataset.pipeline == [dict(type='PackDetInputs')]
    assert dataset.dataset.pipeline == LOADING


def test_a_pipeline_that_loads_nothing_is_the_wrappers():
    text = "data = dict(train=dict(deeplake_path='cars', pipeline=[dict(type='PackDetInputs')]))"
    dataset = expanded(YOLOX, text).train_dataloader.dataset
    assert dataset.pipeline == [dict(type='PackDetInputs')]
    assert dataset.dataset.pipeline == LOADING


def test_datasets_that_a_base_joins_become_one():
    dataset = expanded(VOC, "data = dict(train=dict(deeplake_path='cars'))").train_dataloader.dataset
    assert (dataset.type, dataset.dataset.type) == ('RepeatDataset', 'DeepLakeDataset')
    assert dataset.dataset.filter_cfg.bbox_min_size == 32


def test_a_list_of_datasets_is_concatenated_inside_the_wrappers():
    text = "data = dict(train=[dict(deeplake_path='cars'), dict(deeplake_path='bikes')])"
    dataset = expanded(YOLOX, text).train_dataloader.dataset
    assert (dataset.type, dataset.dataset.type) == ('MultiImageMixDataset', 'ConcatDataset')
    members = dataset.dataset.datasets
    assert [member.deeplake_path for member in members] == ['cars', 'bikes']
    assert all(member.pipeline == LOADING for member in members)


def test_without_test_data_the_validation_data_are_the_test_data():
    config = expanded(RTMDET, "data = dict(val=dict(deeplake_path='cars'))")
    assert config.test_dataloader == config.val_dataloader
    assert config.test_dataloader.dataset.test_mode is True
    assert config.test_evaluator == config.val_evaluator


def test_nothing_of_the_short_form_is_left():
    text = (
        "data = dict(val=dict(deeplake_path='a'))\ndeeplake_metrics_format = 'COCO'\ndeeplake_dataloader_type = 'auto'"
    )
    config = expanded(RTMDET, text + '\nevaluation = dict(interval=1)')
    assert not {'data', 'evaluation', 'deeplake_metrics_format', 'deeplake_dataloader_type'} & set(config)
    assert 'deeplake_mmdet' in config.custom_imports.imports


def test_a_config_without_the_short_form_is_left_alone():
    config = config_of(RTMDET, '')
    before = config.to_dict()
    assert expand(config) == []
    assert config.to_dict() == before


def test_names_of_deep_lakes_own_integration_are_understood():
    train, val = "deeplake_path='a', deeplake_tag_id='v1'", "deeplake_path='a', deeplake_commit='c'"
    config = expanded(RTMDET, f'data = dict(train=dict({train}), val=dict({val}))')
    assert config.train_dataloader.dataset.deeplake_view_id == 'v1'
    assert config.val_dataloader.dataset.deeplake_commit_id == 'c'


def test_classes_and_empty_images_are_said_as_in_mmdetection_2():
    text = "data = dict(train=dict(deeplake_path='a', classes=['dog'], filter_empty_gt=False))"
    dataset = expanded(RTMDET, text).train_dataloader.dataset
    assert dataset.metainfo == dict(classes=('dog',))
    assert dataset.filter_cfg == dict(filter_empty_gt=False, min_size=32)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("data = dict(trian=dict(deeplake_path='a'))", r"data.trian is no key .* Did you mean 'train'\?"),
        ("data = dict(train=dict(deeplake_pth='a'))", r"data.train.deeplake_pth is no key .* 'deeplake_path'\?"),
        ("data = dict(train=dict(deeplake_view_id='a'))", r'data.train expected deeplake_path'),
        ("data = dict(train=dict(deeplake_path='a', ann_file='x.json'))", r'data.train.ann_file names files'),
        ("data = dict(train=dict(type='CocoDataset', deeplake_path='a'))", r"data.train.type is 'CocoDataset', but"),
        ("data = dict(train='a')", r"data.train expected a dict with deeplake_path, but got 'a'"),
        ("data = dict(train=dict(deeplake_path='a', classes='c.txt'))", r"classes expected a list of .*got 'c.txt'"),
        ("data = ['a']", r'data expected a dict with train, val and test, but got a list'),
        ("data = dict(val=[dict(deeplake_path='a'), dict(deeplake_path='b')])", r'data.val expected one dataset, but'),
        (
            "data = dict(train=dict(deeplake_path='a', deeplake_tag_id='x', deeplake_view_id='y'))",
            r"data.train.deeplake_tag_id is 'x', but data.train.deeplake_view_id is 'y'; both mean the same",
        ),
        ("deeplake_metric_format = 'COCO'", r"deeplake_metric_format is no key .* 'deeplake_metrics_format'\?"),
        ("deeplake_dataloader_type = 'C'", r"deeplake_dataloader_type expected one of .*'c\+\+'\], but got 'C'"),
    ],
)
def test_bad_sections_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        expanded(RTMDET, text)


def test_all_mistakes_are_named_together():
    with pytest.raises(ConfigError, match=r'data.train.deeplake_pth .*\n.*data.val.deeplake_veiw_id') as caught:
        expanded(RTMDET, "data = dict(train=dict(deeplake_pth='a'), val=dict(deeplake_path='a', deeplake_veiw_id='v'))")
    assert len(str(caught.value).splitlines()) == 2


def test_a_base_without_dataloaders_is_refused():
    with pytest.raises(ConfigError, match=r'data.train needs a base config with train_dataloader'):
        expanded('mmdet::_base_/default_runtime.py', "data = dict(train=dict(deeplake_path='a'))")


def test_a_dataloader_that_names_another_dataset_is_refused():
    text = """
train_dataloader = dict(dataset=dict(_delete_=True, type='DeepLakeDataset', deeplake_path='a', pipeline=[]))
data = dict(train=dict(deeplake_path='b'))
"""
    with pytest.raises(ConfigError, match=r"train_dataloader.dataset.deeplake_path is 'a', but data.train.*is 'b'"):
        expanded(RTMDET, text)


def test_a_dataloader_that_names_the_same_dataset_is_accepted():
    text = """
train_dataloader = dict(dataset=dict(_delete_=True, type='DeepLakeDataset', deeplake_path='a', pipeline=[]))
data = dict(train=dict(deeplake_path='a'))
"""
    assert expanded(RTMDET, text).train_dataloader.dataset.deeplake_path == 'a'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('batch_size=2', r'train_dataloader.batch_size is 2, but data.samples_per_gpu is 4. Keep one'),
        ('batch_size=4, sampler=dict(shuffle=False)', r'sampler.shuffle is False, but data.train.*shuffle is True'),
        ('dataset=dict(pipeline=[1])', r'train_dataloader.dataset.pipeline.0 is given, and data.train gives pipeline'),
        ("dataset=dict(ann_file='mine.json')", r"train_dataloader.dataset.ann_file is 'mine.json', but data.train"),
    ],
)
def test_what_the_same_file_says_otherwise_in_its_dataloader_is_refused(tmp_path, text, message):
    file = tmp_path / 'mine.py'
    file.write_text(
        f'_base_ = {RTMDET!r}\ntrain_dataloader = dict({text})\n'
        "data = dict(samples_per_gpu=4, train=dict(deeplake_path='a', pipeline=[dict(type='PackDetInputs')], "
        'deeplake_dataloader=dict(shuffle=True)))\n'
    )
    with pytest.raises(ConfigError, match=message):
        expand(Config.fromfile(file), str(file))


def test_joined_datasets_of_different_pipelines_need_the_long_form():
    base = "_base_ = 'mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py'\n"
    config = Config.fromstring(base + "data = dict(train=dict(deeplake_path='a'))", '.py')
    with pytest.raises(ConfigError, match=r'train_dataloader.dataset.datasets joins datasets that differ in'):
        expand(config)


def test_settings_of_a_dataset_in_the_dataloader_are_kept():
    settings = dict(
        deeplake_tensors=dict(img='photo'), deeplake_bbox_format=dict(mode='LTRB', type='pixel'), on_error='skip'
    )
    text = f"""
train_dataloader = dict(dataset=dict(_delete_=True, type='DeepLakeDataset', pipeline=[], **{settings!r}))
data = dict(train=dict(deeplake_path='a'))
"""
    dataset = expanded(RTMDET, text).train_dataloader.dataset
    assert {key: dataset[key] for key in settings} == settings
    with pytest.raises(ConfigError, match=r"dataset.on_error is 'skip', but data.train.on_error is 'raise'"):
        expanded(RTMDET, text.replace("='a'", "='a', on_error='raise'"))


def test_test_data_that_the_file_names_itself_stay():
    text = """
test_dataloader = dict(batch_size=9, dataset=dict(
    _delete_=True, type='DeepLakeDataset', deeplake_path='other', pipeline=[]))
test_evaluator = dict(_delete_=True, type='DeepLakeCocoMetric', metric='proposal')
data = dict(val=dict(deeplake_path='a'))
"""
    config = expanded(RTMDET, text)
    assert (config.test_dataloader.dataset.deeplake_path, config.test_dataloader.batch_size) == ('other', 9)
    assert config.test_evaluator.metric == 'proposal'


def test_validation_data_go_into_the_files_own_test_loader(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(
        f'_base_ = {RTMDET!r}\ntest_dataloader = dict(batch_size=9)\n'
        "data = dict(val=dict(deeplake_path='a', deeplake_dataloader=dict(batch_size=2, num_workers=1)))\n"
    )
    config = Config.fromfile(file)
    expand(config, str(file))
    assert config.test_dataloader.dataset.deeplake_path == 'a'
    assert (config.val_dataloader.batch_size, config.test_dataloader.batch_size) == (2, 9)
    assert config.test_dataloader.num_workers == 1


def test_datasets_cannot_be_listed_below_a_wrapper_that_counts_classes():
    text = """
train_dataloader = dict(dataset=dict(_delete_=True, type='ClassBalancedDataset', oversample_thr=0.1, dataset=dict(
    type='CocoDataset', pipeline=[])))
data = dict(train=[dict(deeplake_path='a'), dict(deeplake_path='b')])
"""
    with pytest.raises(ConfigError, match=r'train_dataloader.dataset is a ClassBalancedDataset, which counts'):
        expanded(RTMDET, text)


def test_deleting_what_a_parent_says_is_understood_without_a_parent():
    config = expanded(RTMDET, "data = dict(train=dict(_delete_=True, deeplake_path='a'))")
    assert config.train_dataloader.dataset.deeplake_path == 'a'


def test_a_config_that_was_dumped_with_what_its_bases_said_is_no_contradiction(tmp_path):
    text = "data = dict(samples_per_gpu=4, train=dict(deeplake_path='a'))"
    config_of(RTMDET, text).dump(tmp_path / 'dump.py')
    config = Config.fromfile(tmp_path / 'dump.py')
    expand(config, str(tmp_path / 'dump.py'))
    assert config.train_dataloader == expanded(RTMDET, text).train_dataloader


def test_what_the_command_line_says_of_the_validation_loader_holds_for_the_test_loader():
    config = config_of(RTMDET, "data = dict(val=dict(deeplake_path='a'))")
    config.merge_from_dict({'val_dataloader.dataset.pipeline.1.scale': (64, 64)})
    expand(config)
    assert config.test_dataloader.dataset.pipeline[1].scale == (64, 64)
