"""`deeplake-mmdet score`: numbers of every image, in a table, a file and a branch, by one process as by several."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import deeplake
import pytest
import torch
from mmengine.config import Config

import deeplake_mmdet
from deeplake_mmdet.cli.main import main
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.errors import RevisionChangedError
from tests.support.children import ROOT
from tests.support.street import CLASSES, objects_of, write_street

CONFIG = str(ROOT / 'configs' / 'demo' / 'rtmdet-narrow_demo.py')
QUIET = ['--num-workers', '0', '--score-thr', '0.02']


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A dataset, its annotations, and a checkpoint of a detector that has learned nothing."""
    folder = tmp_path_factory.mktemp('score')
    path, document = write_street(folder / 'data', 13)
    torch.manual_seed(0)
    config = Config.fromfile(CONFIG)
    config.merge_from_dict(dict(option.split('=') for option in options(path)))
    prepare(config, ('val',))
    detector = deeplake_mmdet.build_detector(config.model)
    torch.nn.init.constant_(detector.bbox_head.rtm_cls[0].bias, -3.0)
    meta = {'dataset_meta': {'classes': CLASSES}}
    torch.save({'state_dict': detector.state_dict(), 'meta': meta}, folder / 'a.pth')
    return path, objects_of(document), str(folder / 'a.pth')


def options(path, splits=('train', 'val', 'test')):
    return [
        f'{split}_dataloader.dataset.{key}={value}'
        for split in splits
        for key, value in (('deeplake_path', path), ('deeplake_view_id', ''))
    ]


def score(made, *arguments):
    path, _, checkpoint = made
    return main(['score', CONFIG, checkpoint, *QUIET, *arguments, '--cfg-options', *options(path)])


def lines_of(file):
    with Path(file).open() as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope='module')
def alone(made, tmp_path_factory):
    file = tmp_path_factory.mktemp('alone') / 'scores.csv'
    assert score(made, '--out', str(file), '--one-by-one') == 0
    return lines_of(file)


def test_every_image_has_a_line_with_its_own_counts(made, alone):
    _, objects, _ = made
    assert [line['row'] for line in alone] == [str(row) for row in range(13)]
    for line, items in zip(alone, objects, strict=True):
        counted = [item for item in items if not item['iscrowd']]
        assert int(line['tp']) + int(line['fn']) == len(counted)
        terms = [float(line[name]) for name in ('loss_cls', 'loss_bbox')]
        assert float(line['loss']) == pytest.approx(sum(terms), rel=1e-4)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert (a[name] == '') == (b[name] == ''), name
            if a[name]:
                assert float(a[name]) == pytest.approx(float(b[name]), rel=1e-3, abs=1e-5), name


def test_batches_give_the_numbers_of_one_image_at_a_time(made, alone, tmp_path, capsys):
    assert score(made, '--out', str(tmp_path / 'a.csv'), '--batch-size', '5', '--top', '3') == 0
    same(lines_of(tmp_path / 'a.csv'), alone)
    said = capsys.readouterr().out
    assert '13 images were scored. Backbone and neck run once' in said
    listed = said.partition('The worst by loss:\n')[2].splitlines()[1:4]
    worst = sorted(alone, key=lambda line: -float(line['loss']))[:3]
    assert [line.split()[0] for line in listed] == [line['row'] for line in worst]


def test_two_ranks_give_the_numbers_of_one_process(made, alone, tmp_path):
    path, _, checkpoint = made
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--standalone']
    command += ['-m', 'deeplake_mmdet', 'score', CONFIG, checkpoint, *QUIET, '--out', str(tmp_path / 'a.csv')]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [*command, '--write-back', 'scored', '--launcher', 'pytorch', '--cfg-options', *options(path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    same(lines_of(tmp_path / 'a.csv'), alone)
    stored = deeplake.open_read_only(f'{path}@scored')
    assert list(stored['model_evaluation/loss'][:]) == pytest.approx([float(line['loss']) for line in alone], rel=1e-3)


def test_results_are_written_to_a_branch_and_main_stays(made, alone, capsys):
    path, objects, _ = made
    before = deeplake.open_read_only(path)
    columns, version = [column.name for column in before.schema.columns], before.version
    assert score(made, '--write-back', 'mine', '--run', 'first', '--message', 'the first look') == 0
    assert 'mine' in capsys.readouterr().out
    dataset = deeplake.open_read_only(f'{path}@mine')
    digest = hashlib.sha256(Path(made[2]).read_bytes()).hexdigest()[:12]
    (message,) = [version.message for version in dataset.history if 'look' in version.message]
    assert re.fullmatch(
        rf'the first look\. Scores of a\.pth \(sha256 {digest}\) by \S+\.py \(sha256 \w{{12}}\) on main:{version}',
        message,
    )
    for row, items in enumerate(objects):
        assert dataset['model_evaluation/first/loss'][row] == pytest.approx(float(alone[row]['loss']), rel=1e-3)
        assert len(dataset['model_evaluation/first/object_error'][row]) == len(items)
        boxes = dataset['model_evaluation/first/boxes'][row]
        assert len(boxes) == int(alone[row]['tp']) + int(alone[row]['fp']) or any(item['iscrowd'] for item in items)
    after = deeplake.open_read_only(path)
    assert ([column.name for column in after.schema.columns], after.version) == (columns, version)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--write-back', 'main'], 'main'),
        (['--out', '/nowhere/at/all.csv'], "--out is '/nowhere/at/all.csv', whose folder does not exist"),
        (['--by', 'lust'], "--by expected one of loss, iou, .*or a loss term, but got 'lust'"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(made, capsys, arguments, said):
    assert score(made, *arguments) == 1
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--batch-size', '0'], 'expected 1 or more, but got 0'),
        (['--num-workers', '-1'], 'expected 0 or more, but got -1'),
        (['--score-thr', '2'], 'expected a number from 0 to 1, but got 2.0'),
        (['--run', 'x'], '--run names what --write-back or --to writes'),
        (['--write-back', 'a', '--to', 'b'], 'give one of them'),
    ],
)
def test_arguments_out_of_range_are_refused(made, arguments, said, capsys):
    with pytest.raises(SystemExit):
        score(made, *arguments)
    assert said in capsys.readouterr().err


def test_results_that_the_branch_does_not_take_after_all_are_kept_in_a_dataset(
    made, alone, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        'deeplake_mmdet.writeback.target.write_branch',
        lambda *arguments: (_ for _ in ()).throw(RevisionChangedError('Somebody wrote.')),
    )
    assert score(made, '--write-back', 'lost') == 1
    said = re.search(r'Somebody wrote\. The results are in a dataset of their own, (\S+)\.', capsys.readouterr().err)
    kept = deeplake.open_read_only(said[1])
    assert list(kept['model_evaluation/loss'][:]) == pytest.approx([float(line['loss']) for line in alone], rel=1e-3)
