"""Configs whose bases have MMDetection 2's names, lie in a checkout that is gone, or are fine."""

from __future__ import annotations

import argparse
import configparser
import os
from pathlib import Path

import pytest
from mmengine.config import Config

from deeplake_mmdet.cli.arguments import add_common, load_config
from deeplake_mmdet.config.upgrade import zoo
from deeplake_mmdet.config.upgrade.bases import read_config
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.errors import ConfigError

NEW = 'mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py'
OLD = 'yolo/yolov3_d53_mstrain-416_273e_coco.py'


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return str(path)


def read(filename: str) -> tuple[Config, list[str]]:
    notes = Notes()
    config = read_config(filename, notes)
    assert notes.problems == []
    return config, notes.lines


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_new_name_is_a_stock_config_of_the_installed_mmdetection_and_no_old_one_is():
    stock = Path(zoo.folder())
    assert [new for new in zoo.renamed().values() if not (stock / new).is_file()] == []
    assert [old for old in zoo.renamed() if (stock / old).is_file()] == []


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (OLD, NEW.removeprefix('mmdet::')),
        ('yolox/yolox_tiny_8x8_300e_coco', 'yolox/yolox_tiny_8xb8-300e_coco.py'),
        ('faster_rcnn/faster_rcnn_r50_fpn_1x_coco.py', 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'),
        ('gn+ws/mask_rcnn_r50_fpn_gn_ws-all_2x_coco.py', 'gn+ws/mask-rcnn_r50_fpn_gn-ws-all_2x_coco.py'),
        ('fcos/fcos_center_r50_caffe_fpn_gn-head_1x_coco.py', 'fcos/fcos_r50-caffe_fpn_gn-head-center_1x_coco.py'),
        ('_base_/models/cascade_mask_rcnn_r50_fpn.py', '_base_/models/cascade-mask-rcnn_r50_fpn.py'),
        ('_base_/schedules/schedule_1x.py', '_base_/schedules/schedule_1x.py'),
        ('ssd/ssd300_coco.py', 'ssd/ssd300_coco.py'),
        ('ssd/ssd300_fp16_coco.py', None),
    ],
)
def test_a_stock_config_is_found_by_its_old_and_by_its_new_name(old, new):
    assert zoo.find(old) == new


@pytest.mark.parametrize(
    'path',
    [
        f'/home/me/mmdetection/configs/{OLD}',
        f'../{OLD}',
        f'C:\\code\\configs\\{OLD}',
        f'/configs/old/{OLD}',
    ],
)
def test_a_path_into_any_checkout_is_judged_by_its_end(path):
    assert zoo.find_by_path(path) == NEW.removeprefix('mmdet::')


def test_a_path_to_something_else_is_no_stock_config():
    assert zoo.find_by_path('../mine/yolov3.py') is None
    assert zoo.find_by_path('yolov3.py') is None


def test_the_table_is_shipped_with_the_package():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[3] / 'setup.cfg', encoding='utf-8')
    assert setup['options.package_data']['deeplake_mmdet.config.upgrade'] == 'zoo_names.json'


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('base', [f'../mmdetection/configs/{OLD}', f'mmdet::{OLD}', f'mmdet::{OLD[:-3]}'])
def test_a_base_with_an_old_name_is_read_under_its_new_one(tmp_path, base):
    config, lines = read(
        write(tmp_path / 'mine.py', f'_base_ = {base!r}\nmodel = dict(bbox_head=dict(num_classes=3))\n')
    )
    expected = Config.fromfile(
        write(tmp_path / 'new.py', f'_base_ = {NEW!r}\nmodel = dict(bbox_head=dict(num_classes=3))\n')
    )
    assert config.to_dict() == expected.to_dict()
    assert config.filename == str(tmp_path / 'mine.py')
    assert lines == [f'_base_ {base!r} -> {NEW!r}']
    assert str(tmp_path / 'mine.py') in config.text and os.sep + '0' + os.sep not in config.text


def test_our_tools_read_their_config_so(tmp_path):
    filename = write(tmp_path / 'mine.py', f"_base_ = 'gone/{OLD}'\n")
    parser = argparse.ArgumentParser()
    add_common(parser)
    args = parser.parse_args(['--launcher', 'none', '--cfg-options', 'model.a=1'])
    args.config = filename
    config, _ = load_config(args)
    assert config.model.backbone.type == 'Darknet'
    assert (config.model.a, config.work_dir) == (1, os.path.join('work_dirs', 'mine'))


def test_a_config_whose_bases_exist_is_read_by_mmengine_alone(tmp_path, monkeypatch):
    filename = write(tmp_path / 'mine.py', f'_base_ = {NEW!r}\nlr = 3\n')
    seen = []
    original = Config.fromfile
    monkeypatch.setattr(Config, 'fromfile', staticmethod(lambda name: seen.append(name) or original(name)))
    config, lines = read(filename)
    assert config.lr == 3
    assert (seen, lines) == ([filename], [])


def test_a_base_that_exists_is_taken_though_a_stock_config_has_its_name(tmp_path):
    write(tmp_path / 'configs' / OLD, 'mine = True\n')
    config, lines = read(write(tmp_path / 'configs' / 'my' / 'a.py', f"_base_ = '../{OLD}'\n"))
    assert config.to_dict() == dict(mine=True)
    assert lines == []


def test_bases_of_bases_are_found_and_relative_ones_stay_relative_to_their_own_file(tmp_path):
    write(tmp_path / 'parts' / 'data.py', "pipeline = [1, 2]\nwhere = '{{ fileBasenameNoExtension }}'\n")
    write(
        tmp_path / 'parts' / 'both.py',
        "_base_ = [\n    './data.py',  # mine\n    'gone/configs/_base_/schedules/schedule_2x.py',\n]\nboth = 1\n",
    )
    config, lines = read(
        write(tmp_path / 'a.py', "# _base_ = 'x.py'\n_base_ = 'parts/both'\nuse = dict(p={{_base_.pipeline}})\n")
    )
    assert config.use.p == [1, 2]
    assert config.where == 'data'
    assert config.both == 1
    assert config.train_cfg.max_epochs == 24
    assert len(lines) == 1


def test_variables_of_the_file_name_and_of_the_environment_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv('ZOO', 'gone')
    text = (
        "_base_ = '{{$ZOO:other}}/configs/_base_/schedules/schedule_1x.py'\n"
        "folder = '{{ fileDirname }}'\nname = '{{ fileBasename }}'\nzoo = '{{$ZOO:other}}'\n"
    )
    config, _ = read(write(tmp_path / 'a.py', text))
    assert (config.folder, config.name, config.zoo) == (str(tmp_path), 'a.py', 'gone')
    assert config.env_variables == dict(ZOO='gone')


def test_lines_stay_where_they_were_so_that_errors_name_them(tmp_path):
    text = "_base_ = [\n    'gone/_base_/schedules/schedule_1x.py',\n]\n\nvalue = undefined\n"
    with pytest.raises(NameError) as error:
        read(write(tmp_path / 'a.py', text))
    assert error.traceback[-1].lineno == 4


def test_nothing_is_written_beside_the_file(tmp_path):
    filename = write(tmp_path / 'a.py', f"_base_ = 'gone/{OLD}'\n")
    read(filename)
    assert [path.name for path in tmp_path.iterdir()] == ['a.py']


def test_without_notes_the_log_says_which_base_was_taken(tmp_path, capsys):
    from mmengine.logging import MMLogger

    MMLogger.get_instance('bases')
    read_config(write(tmp_path / 'a.py', f"_base_ = 'gone/{OLD}'\n"))
    assert f"_base_ 'gone/{OLD}' -> '{NEW}'" in ''.join(capsys.readouterr())


@pytest.mark.parametrize('text', ['value = 1\n', '_base_ = []\nvalue = 1\n', 'import os\nvalue = 1\n'])
def test_a_config_without_bases_is_read_as_it_is(tmp_path, text):
    config, lines = read(write(tmp_path / 'a.py', text))
    assert config.value == 1
    assert lines == []


def test_a_config_of_pure_python_is_left_to_mmengine(tmp_path):
    write(tmp_path / 'base.py', 'value = 1\n')
    text = 'from mmengine.config import read_base\n\nwith read_base():\n    from .base import *\n'
    config, lines = read(write(tmp_path / 'a.py', text))
    assert config.value == 1
    assert lines == []


@pytest.mark.parametrize(
    ('base', 'closest'),
    [
        ('../configs/yolo/yolov3_d53_mstrain-417_273e_coco.py', NEW),
        ('mmdet::yolox/yolox_q_8x8_300e_coco.py', 'mmdet::yolox/yolox_'),
        ('mmdet::ssd/ssd300_fp16_coco.py', 'mmdet::ssd/ssd300_coco.py'),
        ('zzz.py', 'mmdet::FOLDER/NAME.py'),
    ],
)
def test_a_base_that_is_nowhere_is_an_error_with_the_closest_stock_configs(tmp_path, base, closest):
    with pytest.raises(
        ConfigError, match=r'a.py: _base_ expected a config file that exists or a stock config'
    ) as error:
        read(write(tmp_path / 'a.py', f'_base_ = {base!r}\n'))
    assert base in str(error.value) and closest in str(error.value)


def test_another_packages_base_is_not_our_business(tmp_path):
    with pytest.raises(Exception, match='nosuchpackage'):
        read(write(tmp_path / 'a.py', "_base_ = 'nosuchpackage::a/b.py'\n"))
