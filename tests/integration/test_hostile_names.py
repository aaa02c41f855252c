"""Names of classes and files that would do something, if anything evaluated, ran, opened or rendered them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import deeplake
import pytest
from deeplake import types

from deeplake_mmdet.cli.main import main
from tests.support.small_training import train, training
from tests.support.tiny import write_tiny

CLASSES = (
    '<script>document.title="taken over"</script>',
    '\x1b[2J\x1b]0;taken over\x07',
    '$(touch mark) `touch mark`; touch mark',
    '../../../climbed',
    '{0.__class__} %(name)s {{ 7 * 7 }}',
    "'; drop table rows; --",
)
FILES = ['../../climbed.png', '$(touch mark).png', '<img src=x onerror=alert(1)>.png', '\x1b[2J.png', 'a/../b.png', '~']


@pytest.fixture
def path(tmp_path, monkeypatch):
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    boxes = [[[2, 3, 10, 12], [20, 5, 15, 30]]] * 6
    labels = [[number, (number + 1) % 6] for number in range(6)]
    names = {'file_name': (types.Text(), FILES)}
    return write_tiny(tmp_path / 'here' / 'ds', boxes=boxes, labels=labels, class_names=list(CLASSES), extra=names)


def files_outside(folder: Path) -> set[Path]:
    """What lies beside the folder that everything may be written into."""
    return {file for file in folder.parent.rglob('*') if folder not in file.parents and file != folder}


def test_a_training_and_its_record_show_them_as_text(path, tmp_path, capsys):
    here = Path.cwd()
    config = training(path, here / 'work', train_cfg=dict(max_epochs=1))
    config.custom_hooks.append(dict(type='DeepLakeReportHook'))
    config.visualizer = dict(type='Visualizer', vis_backends=[dict(type='TensorboardVisBackend')])
    config.log_level = 'INFO'
    train(config)
    assert main(['lineage', 'work']) == 0
    assert main(['compare', 'work', 'work']) == 0
    said = capsys.readouterr()
    assert '\x1b' not in said.out
    assert '<script>' in said.out  # as it is: a terminal renders no HTML
    (page,) = here.rglob('report/index.html')
    html = page.read_text()
    assert '&lt;script&gt;document.title' in html
    assert '<script>document.title' not in html
    assert '49' not in re.findall(r'\{0\.__class__\}.{0,60}', html)[0]
    assert not list(tmp_path.rglob('mark*'))
    assert files_outside(here) == set()


@pytest.mark.parametrize(
    'command',
    [
        ['query', 'ds', 'select * limit 3'],
        ['stats', 'ds'],
        ['stats', 'ds', '--out', 'stats.png'],
        ['show', 'ds', '0', '--out', 'row.png'],
        ['materialize', 'ds', 'copy'],
        ['diff', 'ds', 'ds'],
        ['log', 'ds'],
    ],
    ids=' '.join,
)
def test_verbs_print_them_as_text(path, tmp_path, capsys, command):
    assert main(command) == 0
    said = capsys.readouterr()
    assert '\x1b' not in said.out + said.err
    assert not list(tmp_path.rglob('mark*'))
    assert files_outside(Path.cwd()) == set()


@pytest.mark.parametrize('kind', ['coco', 'voc', 'yolo'])
def test_exports_write_below_their_folder_or_refuse(path, tmp_path, capsys, kind):
    code = main(['export', kind, 'ds', 'out'])
    said = capsys.readouterr()
    assert code == 0 or re.match(r'\w+Error: ', said.err)
    assert '\x1b' not in said.out + said.err
    assert not [file for file in tmp_path.rglob('*') if 'climbed' in file.name and 'here' not in file.parts]
    assert files_outside(Path.cwd()) == set()
    assert not list(tmp_path.rglob('mark'))
    assert len(deeplake.open_read_only(path)) == 6


def test_they_are_not_evaluated_in_a_query(path, capsys):
    assert main(['query', 'ds', f'select * where contains(categories, {CLASSES[2]!r})']) == 0
    assert '2 of 6' in capsys.readouterr().out
    assert not os.path.exists('mark')
