"""Finding the record of a run: what is no record, or one of another version, is said and not guessed."""

from __future__ import annotations

import json

import pytest
import torch

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.errors import CheckpointError, LineageError
from deeplake_mmdet.lineage.comparison import comparison
from deeplake_mmdet.lineage.reading import Run, read_run
from deeplake_mmdet.lineage.record import KEY

ENTRY = {
    'key': 'train_dataloader.dataset',
    'uri': 's3://bucket/cars',
    'dataset_id': 'd1',
    'branch': 'main',
    'commit_id': 'c1',
    'view_id': 'train',
    'query': None,
    'rows': 12,
    'digest': 'abc',
    'format': 4,
    'columns': {'img': 'images'},
    'classes': ['car', 'van'],
    'bbox_format': {'mode': 'LTWH', 'type': 'pixel'},
    'bbox_min_size': 0,
    'samples': 10,
}


def record(**changes):
    found = {
        'schema': 'deeplake_mmdet.lineage',
        'version': 1,
        'run': {
            'id': 'r1',
            'started': '2024-01-31T12:00:00+00:00',
            'command': ['tools/train.py', 'x.py'],
            'seed': 3,
            'world_size': 2,
            'work_dir': 'work_dirs/x',
            'given_model': False,
            'continues': {'run': 'r0', 'how': 'resumed', 'iteration': 40},
        },
        'data': {'train': [ENTRY], 'val': [], 'test': []},
        'config': {'file': 'x.py', 'digest': 'f' * 64},
        'code': {'version': '0.1.0', 'commit': 'e' * 40, 'dirty': True},
        'libraries': {'torch': '2.13.0'},
        'metrics': {'coco/bbox_mAP': 0.5},
        'validations': [],
        'checkpoints': [{'file': 'epoch_1.pth', 'sha256': 'a' * 64, 'epoch': 1, 'iteration': 4}],
    }
    return {**found, **changes}


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_a_work_dir_its_file_and_a_checkpoint_tell_the_same(tmp_path):
    file = written(tmp_path / 'lineage.json', {**record(), 'config_values': repr({'lr': (1, 2)})})
    torch.save({'meta': {KEY: json.dumps(record()), 'cfg': 'lr = (1, 2)\n'}, 'state_dict': {}}, tmp_path / 'a.pth')
    runs = [read_run(str(path)) for path in (tmp_path, file, tmp_path / 'a.pth')]
    assert [run.record for run in runs] == [record()] * 3
    assert comparison(runs)['config'] == []
    assert [run.name for run in runs] == [tmp_path.name, tmp_path.name, f'{tmp_path.name}/a.pth']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('no JSON', 'expected JSON, but got'),
        ([], "expected a record of the schema 'deeplake_mmdet.lineage'"),
        ({'schema': 'other'}, "expected a record of the schema 'deeplake_mmdet.lineage'"),
        (record(version=2), 'expected a record of version 1 or older, but got 2. Update deeplake_mmdet'),
        (record(version='x'), "expected a record of version 1 or older, but got 'x'"),
        ({k: v for k, v in record().items() if k not in ('data', 'code')}, 'with data, code, but it lacks them'),
        (record(run={'id': 'r1'}), r'with run\.started, run\.command, .*run\.continues, but it lacks them'),
        (record(metrics=[1], libraries=None), 'with libraries, metrics, but it lacks them'),
        (record(data={'train': [{}], 'val': [], 'test': {}}), r'data\.train\.0\.key, .*data\.test\.0\.samples'),
    ],
)
def test_what_is_no_record_is_named(tmp_path, content, message):
    with pytest.raises(LineageError, match=message):
        read_run(written(tmp_path / 'lineage.json', content))


def test_a_path_without_a_run_is_named(tmp_path):
    with pytest.raises(LineageError, match='there is no such file'):
        read_run(str(tmp_path / 'nowhere.pth'))
    with pytest.raises(LineageError, match=r'expected a work dir with lineage\.json, but got none in it'):
        read_run(str(tmp_path))


def test_a_checkpoint_of_others_says_what_it_lacks_and_has(tmp_path):
    torch.save({'meta': {'epoch': 12, 'iter': 900, 'mmengine_version': '0.7.1'}, 'state_dict': {}}, tmp_path / 'a.pth')
    with pytest.raises(LineageError, match=r'holds no record .* It has: epoch 12, iter 900, mmengine_version 0\.7\.1'):
        read_run(str(tmp_path / 'a.pth'))
    torch.save({'weight': torch.zeros(2)}, tmp_path / 'b.pth')
    with pytest.raises(LineageError, match='no metadata at all, as weights without their training'):
        read_run(str(tmp_path / 'b.pth'))


def test_what_could_run_code_is_not_read(tmp_path):
    torch.save({'meta': {KEY: pytest.raises}}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='could run code'):
        read_run(str(tmp_path / 'a.pth'))


def test_the_verb_shows_it(tmp_path, capsys):
    written(tmp_path / 'lineage.json', record())
    assert main(['lineage', str(tmp_path), '--no-check']) == 0
    shown = ' '.join(capsys.readouterr().out.split())
    for text in (
        'seed 3',
        'processes 2',
        'command tools/train.py x.py',
        'continues run r0 (resumed) at 40',
        f'repository {"e" * 12}, with changes',
        's3://bucket/cars @ main:c1',
        'view_id train',
        'rows 12, of which 10 are samples',
        'classes car, van',
        'coco/bbox_mAP 0.5',
        f'epoch_1.pth sha256 {"a" * 64}',
    ):
        assert text in shown
    assert main(['lineage', str(tmp_path), '--no-check', '--json']) == 0
    assert json.loads(capsys.readouterr().out) == {**record(), 'status': {}}


def other(**changes):
    return {'train': [{**ENTRY, **changes}], 'val': [], 'test': []}


def test_runs_are_compared_by_data_config_and_metrics():
    ours = "model = dict(type='A', head=dict(loss=1.0))\nlr = 1\nwork_dir = 'a'\n"
    theirs = "model = dict(type='A', head=dict(loss=2.0))\nwork_dir = 'b'\n"
    changed = record(data=other(commit_id='c2', rows=9), metrics={'coco/bbox_mAP': 0.6, 'x': 1.0})
    runs = [Run('a', record(), ours), Run('b', changed, theirs)]
    found = comparison(runs)
    assert found['data'] == [
        ('train_dataloader.dataset.commit_id', 'c1', 'c2'),
        ('train_dataloader.dataset.rows', '12', '9'),
    ]
    assert found['config'] == [('model.head.loss', '1.0', '2.0'), ('lr', '1', '–')]
    assert found['metrics'] == [('coco/bbox_mAP', '0.5', '0.6'), ('x', '–', '1')]


def test_runs_that_began_with_other_weights_differ():
    runs = [Run('a', record()), Run('b', record(run={**record()['run'], 'load_from': 'a.pth'}))]
    assert comparison(runs)['data'] == [('load_from', '–', 'a.pth')]


def test_the_verb_compares(tmp_path, capsys):
    for name, rows in (('a', 1), ('b', 2), ('c', 1)):
        (tmp_path / name).mkdir()
        written(tmp_path / name / 'lineage.json', record(data=other(rows=rows)))
    paths = [str(tmp_path / name) for name in 'abc']
    assert main(['compare', *paths]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ['data', 'a', 'b', 'c'] in lines
    assert ['train_dataloader.dataset.rows', '1', '2', '1'] in lines
    assert ['config:', 'no', 'difference'] in lines
    assert main(['compare', *paths, '--json']) == 0
    assert json.loads(capsys.readouterr().out)['data'] == {'train_dataloader.dataset.rows': ['1', '2', '1']}
    assert main(['compare', paths[0]]) == 1
    assert 'expected two runs or more' in capsys.readouterr().err
