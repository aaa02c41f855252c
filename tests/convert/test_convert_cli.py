"""The verb ``convert``: what it prints, what it returns, and what it must not import for its help."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from mmengine.config import Config

import deeplake_mmdet.convert as package
from deeplake_mmdet.cli import convert
from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert.options import ImportOptions
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.engine.prepare import prepare
from tests.convert.convert_files import write_image

ROOT = Path(__file__).parents[2]


def test_coco_prints_the_table_and_the_next_step(coco, rows, tmp_path, capsys):
    path, folder, _ = coco()
    assert main(['convert', 'coco', str(path), str(tmp_path / 'out'), '--images', str(folder), '--split', 'mine']) == 0
    printed = capsys.readouterr().out
    for text in (
        'written in',
        'without boxes',
        'toothbrush',
        "view 'mine'",
        'boxes of zero area',
        'a.jpg',
    ):
        assert text in printed
    config = Config.fromstring(printed[printed.index('_base_') :].replace("'configs/", f"'{ROOT}/configs/"), '.py')
    prepare(config)
    assert config.train_dataloader.dataset.deeplake_view_id == 'mine'
    assert config.val_dataloader.dataset.test_mode
    assert len(rows(tmp_path / 'out', 'mine')) == 5


def test_voc_takes_splits_and_classes(voc, rows, tmp_path, capsys):
    command = [
        'convert',
        'voc',
        str(voc),
        str(tmp_path / 'out'),
        '--split',
        'train',
        'test',
        '--classes',
        'dog,cat,ant',
    ]
    assert main(command) == 0
    assert "deeplake_view_id='test'" in capsys.readouterr().out
    assert [row['categories'].tolist() for row in rows(tmp_path / 'out')] == [[2], [0, 1], [1], []]
    assert main(command) == 1 and 'ConversionError: convert(dst=)' in capsys.readouterr().err
    assert main([*command, '--overwrite']) == 0


def test_an_error_is_one_message_and_the_exit_code_1(tmp_path, capsys):
    assert main(['convert', 'coco', str(tmp_path / 'no.json'), str(tmp_path / 'out'), '--images', str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith('ConversionError: convert_coco(') and error.count('\n') == 1


def test_help_loads_neither_deep_lake_nor_opencv_nor_torch():
    code = (
        'import sys; from deeplake_mmdet.cli.convert import build_parser; build_parser().format_help(); '
        'import deeplake_mmdet.convert; '
        'print([m for m in ("deeplake", "cv2", "torch", "mmdet.models") if m in sys.modules])'
    )
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == '[]'


def test_converting_loads_no_torch_and_no_mmdetection():
    code = (
        'import sys, deeplake_mmdet.convert as c; c.convert_coco, c.convert_voc, c.make_demo; '
        'print([m for m in ("torch", "mmcv", "mmdet.models") if m in sys.modules])'
    )
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == '[]'


def test_the_next_step_trains_on_train_and_validates_on_val_when_they_are_there():
    report = ConversionReport('p', ['a'], views={'test': 1, 'val': 1, 'train': 1})
    text = convert.next_step(report)
    assert "train_dataloader = dict(dataset=dict(deeplake_path='p', deeplake_view_id='train'))" in text
    assert "val_dataloader = dict(dataset=dict(deeplake_path='p', deeplake_view_id='val'))" in text


def test_the_script_of_the_same_name_is_the_same_command(coco, tmp_path):
    path, folder, _ = coco()
    options = ['coco', str(path), str(tmp_path / 'out'), '--images', str(folder)]
    command = [sys.executable, str(ROOT / 'tools/convert.py'), *options]
    env = {'PYTHONPATH': str(ROOT)}
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "view 'train'" in result.stdout, result.stderr


def test_every_option_of_an_import_reaches_it(tmp_path, monkeypatch):
    (tmp_path / 'creds.json').write_text('{"token": "t"}')
    given = {}

    def record(*arguments, **options):
        given.update(options)
        return ConversionReport('p', [])

    monkeypatch.setattr('deeplake_mmdet.convert.coco.convert_coco', record)
    flags = '--append --restart --strict --on-error skip --zero-area drop --sizes measured --link --link-creds mine'
    command = ['coco', 'a.json', 'out', '--images', 'dir', '--workers', '3', '--creds', str(tmp_path / 'creds.json')]
    assert main(['convert', *command, *flags.split()]) == 0
    assert given.pop('progress') is not None and given.pop('split') is None and given.pop('images') == 'dir'
    options = ImportOptions.of(given)
    assert options == ImportOptions(
        append=True,
        restart=True,
        strict=True,
        on_error='skip',
        zero_area='drop',
        sizes='measured',
        link=True,
        link_creds='mine',
        workers=3,
        credentials={'token': 't'},
    )
    assert given.keys() == {field.name for field in fields(ImportOptions)} - {'checkpoint_s'}


def test_yolo_is_a_format_too(tmp_path, rows, capsys):
    write_image(tmp_path / 'images/val/a.jpg', 40, 80)
    (tmp_path / 'data.yaml').write_text('val: images/val\ntrain: images/train\nnames: [cell]\n')
    command = ['convert', 'yolo', str(tmp_path / 'data.yaml'), str(tmp_path / 'out'), '--split', 'val']
    assert main(command) == 0
    assert [row['file_name'] for row in rows(tmp_path / 'out', 'val')] == ['images/val/a.jpg']
    assert "deeplake_view_id='val'" in capsys.readouterr().out


def test_an_interruption_says_what_is_kept_and_how_to_go_on(coco, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt('3 of 5 images are kept: run the same command again to go on.')

    monkeypatch.setattr('deeplake_mmdet.convert.coco.convert_coco', interrupt)
    assert main(['convert', 'coco', 'a.json', 'out', '--images', 'dir']) == 130
    said = capsys.readouterr().err
    assert said == 'interrupted. 3 of 5 images are kept: run the same command again to go on.\n'


def test_a_second_split_is_added_by_a_second_command(voc, rows, tmp_path, capsys):
    command = ['convert', 'voc', str(voc), str(tmp_path / 'out'), '--classes', 'ant,cat,dog', '--split']
    assert main([*command, 'train']) == 0
    assert main([*command, 'test']) == 1
    assert '--overwrite' in (said := capsys.readouterr().err) and '--append' in said
    assert main([*command, 'test', '--append']) == 0
    assert [row['file_name'][11] for row in rows(tmp_path / 'out')] == ['d', 'a', 'e', 'b']


def test_every_public_name_of_the_package_is_there():
    assert all(getattr(package, name).__name__ == name for name in package.__all__)
    assert {'ImportOptions', 'ImportStoppedError'} <= {*package.__all__} == {*package._HOME}
