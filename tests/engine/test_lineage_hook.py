"""The record of a run: what it says, where it stands, and that a checkpoint alone is enough to train again."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import torch

import deeplake_mmdet
from deeplake_mmdet.checkpoints.loading import load_from_local
from deeplake_mmdet.cli.main import main
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine.reproduce import config_of
from deeplake_mmdet.errors import ConfigError, LineageError
from deeplake_mmdet.lineage.reading import read_run
from tests.support.small_training import TEST, batches_of, interrupted, lines_of, train, training, write_images

COUNT = 7  # four batches an epoch


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp('lineage')


@pytest.fixture(scope='module')
def path(folder):
    return write_images(folder / 'ds', COUNT)


@pytest.fixture(scope='module')
def trained(folder, path):
    """The work dir of a training of three epochs, with a checkpoint of every second iteration."""
    config = training(path, folder / 'work', default_hooks__checkpoint__interval=2)
    config.default_hooks.checkpoint.save_best = 'coco/bbox_mAP'
    config.default_hooks.checkpoint.rule = 'greater'
    train(config)
    return folder / 'work'


def record_of(work_dir):
    return json.loads(Path(work_dir, 'lineage.json').read_text())


def test_it_names_the_data_as_the_dataset_itself_does(trained, path):
    (entry,) = record_of(trained)['data']['train']
    dataset = DeepLakeDataset(deeplake_path=path)
    dataset.full_init()
    strings = dataset.metainfo['deeplake']
    assert {name: str(entry[name] or '') for name in strings} == strings
    assert entry['classes'] == list(dataset.metainfo['classes'])
    assert entry['columns']['gt_bboxes'] == 'boxes'
    assert entry['bbox_format'] == {'mode': 'LTWH', 'type': 'pixel'}
    assert (entry['rows'], entry['samples'], entry['key']) == (COUNT, COUNT, 'train_dataloader.dataset')


def test_it_holds_the_run_and_its_libraries(trained):
    record = record_of(trained)
    assert (record['schema'], record['version']) == ('deeplake_mmdet.lineage', 1)
    assert (record['run']['seed'], record['run']['world_size']) == (5, 1)
    assert record['run']['command'] == sys.argv
    assert record['libraries']['torch'] == torch.__version__
    assert record['code']['version'] == deeplake_mmdet.__version__


def test_it_holds_the_metrics_of_every_validation(trained):
    record = record_of(trained)
    logged = [(line['validated'], line['metrics']) for line in lines_of(trained) if 'validated' in line]
    assert [(found['iteration'], found['values']) for found in record['validations']] == logged
    assert len(logged) == 3
    assert record['metrics'] == logged[-1][1]


def test_it_holds_the_digest_of_every_checkpoint(trained):
    found = {entry['file']: entry for entry in record_of(trained)['checkpoints']}
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in trained.glob('*.pth')}
    assert len(files) > 6
    assert {name: found[name]['sha256'] for name in files} == files
    assert (found['iter_6.pth']['iteration'], found['iter_6.pth']['epoch']) == (6, 1)


def test_checkpoints_hold_the_same(trained):
    whole, at_six = record_of(trained), read_run(str(trained / 'iter_6.pth')).record
    for part in ('run', 'data', 'config', 'code', 'libraries'):
        assert at_six[part] == whole[part]
    assert [found['iteration'] for found in at_six['validations']] == [4]


def test_the_best_checkpoint_knows_its_metrics(trained):
    (best,) = trained.glob('best_*.pth')
    iteration = int(best.stem.rpartition('_')[2])
    assert read_run(str(best)).record['validations'][-1]['iteration'] == iteration * (1 if iteration > 3 else 4)


def test_the_folder_of_the_start_keeps_a_copy(trained):
    (copy,) = trained.glob('2*/lineage.json')
    assert json.loads(copy.read_text()) == record_of(trained)


def test_a_test_leaves_the_record_of_the_training_alone(trained, path, folder):
    before = record_of(trained)
    config = training(path, trained)
    config.test_dataloader, config.test_evaluator, config.test_cfg = config.val_dataloader, config.val_evaluator, {}
    deeplake_mmdet.test_detector(None, config, str(trained / 'iter_6.pth'), timestamp='of_the_test')
    assert record_of(trained) == before
    tested = json.loads((trained / 'of_the_test' / 'lineage.json').read_text())
    assert tested['data']['train'] == []
    assert tested['data']['test'][0]['digest'] == before['data']['val'][0]['digest']
    assert set(tested['metrics']) == set(before['metrics'])
    assert tested['run']['continues'] == {'run': before['run']['id'], 'how': 'weights', 'iteration': 6}


def test_a_resumed_run_says_what_it_continues(path, tmp_path):
    train(interrupted(training(path, tmp_path / 'work'), 'exception', 6))
    before = record_of(tmp_path / 'work')
    train(training(path, tmp_path / 'work', resume=True))
    after = record_of(tmp_path / 'work')
    assert after['run']['continues'] == {'run': before['run']['id'], 'how': 'resumed', 'iteration': 6}
    assert [found['iteration'] for found in after['validations']] == [4, 8, 12]


def test_a_resumed_run_knows_all_checkpoints(path, tmp_path):
    every = dict(default_hooks__checkpoint__interval=3)
    train(interrupted(training(path, tmp_path / 'work', **every), 'exception', 6))
    train(training(path, tmp_path / 'work', resume=True, **every))
    found = {entry['file']: entry['sha256'] for entry in record_of(tmp_path / 'work')['checkpoints']}
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / 'work').glob('*.pth')}
    assert len(files) == 4
    assert found == files


@pytest.mark.parametrize('weights', [False, True])
def test_a_training_that_was_resumed_from_a_file_is_made_again_from_its_beginning(
    trained, path, tmp_path, weights, monkeypatch
):
    monkeypatch.chdir(trained.parent)
    begins = dict(load_from='work/iter_6.pth') if weights else {}
    train(interrupted(training(path, tmp_path / 'work', **begins), 'exception', 6))
    train(training(path, tmp_path / 'work', resume=True, load_from=str(tmp_path / 'work' / 'iter_6.pth')))
    sha256 = hashlib.sha256((trained / 'iter_6.pth').read_bytes()).hexdigest()
    assert record_of(tmp_path / 'work')['run']['load_from_sha256'] == (sha256 if weights else None)
    monkeypatch.chdir(tmp_path)
    assert main(['reproduce', str(tmp_path / 'work'), '--work-dir', str(tmp_path / 'again')]) == 0
    assert batches_of(tmp_path / 'again') == batches_of(tmp_path / 'work')
    assert (batches_of(tmp_path / 'work')[0]['loss'] == batches_of(trained)[0]['loss']) is not weights


def test_a_training_is_not_made_again_from_other_weights_than_it_began_with(trained, path, tmp_path, capsys):
    weights, work_dir, again = tmp_path / 'stage 1.pth', str(tmp_path / 'work'), tmp_path / 'again'
    weights.write_bytes((trained / 'iter_6.pth').read_bytes())
    expected = hashlib.sha256(weights.read_bytes()).hexdigest()
    train(training(path, work_dir, load_from=str(weights), train_cfg=dict(max_epochs=1)))
    assert record_of(Path(work_dir))['run']['load_from_sha256'] == expected
    assert main(['lineage', work_dir]) == 0
    told = capsys.readouterr().out
    assert f'{weights} (sha256 {expected[:12]})' in told and re.search(r'weights today +unchanged\n', told)

    weights.write_bytes((trained / 'iter_12.pth').read_bytes())
    other = hashlib.sha256(weights.read_bytes()).hexdigest()
    for became in (f'changed: sha256 {expected} -> {other}', 'gone: there is no such file'):
        assert main(['lineage', work_dir]) == 1
        assert f'weights today  {became}\n' in capsys.readouterr().out
        assert main(['reproduce', work_dir, '--work-dir', str(again)]) == 1
        told = capsys.readouterr().err
        assert all(part in told for part in (str(weights), expected, f'but they are {became}. Put that file back'))
        assert not again.exists()
        weights.unlink(missing_ok=True)
    assert main(['reproduce', work_dir, '--work-dir', str(again), '--config-only']) == 0

    weights.write_bytes((trained / 'iter_6.pth').read_bytes())
    assert main(['reproduce', work_dir, '--work-dir', str(tmp_path / 'same')]) == 0
    assert batches_of(tmp_path / 'same') == batches_of(Path(work_dir))


@pytest.mark.parametrize('text', ['{', json.dumps({'schema': 'deeplake_mmdet.lineage', 'version': 9}), None])
def test_a_training_is_resumed_although_the_record_of_its_checkpoint_cannot_be_read(path, tmp_path, text):
    work_dir = tmp_path / 'work'
    train(interrupted(training(path, work_dir), 'exception', 6))
    checkpoint = load_from_local(work_dir / 'iter_6.pth')
    checkpoint['meta']['deeplake_lineage'] = text
    torch.save(checkpoint, work_dir / 'iter_6.pth')
    train(training(path, work_dir, resume=True))
    assert len(batches_of(work_dir)) == 12
    assert record_of(work_dir)['run']['continues'] == {'run': None, 'how': 'resumed', 'iteration': 6}
    logs = ''.join(file.read_text() for file in work_dir.glob('2*/*.log'))
    assert ('The record in the checkpoint is left out' in logs) is (text is not None)
    with pytest.raises(LineageError, match='was resumed from a checkpoint without a record'):
        config_of(read_run(str(work_dir)), str(tmp_path / 'again'))
    assert main(['lineage', str(work_dir), '--no-check']) == 0


@pytest.mark.parametrize('ref', ['', '@dev'])
def test_a_training_on_a_relative_path_is_made_again_from_another_folder(tmp_path, monkeypatch, ref):
    import deeplake

    path = write_images(tmp_path / 'data' / 'ds', COUNT)
    main_branch = deeplake.open(path)
    main_branch.branch('dev').open().delete(0)
    main_branch.branches['dev'].open().commit()
    monkeypatch.chdir(Path(path).parent)
    train(training(f'{Path(path).name}{ref}', tmp_path / 'work', train_cfg=dict(max_epochs=1)))
    monkeypatch.chdir(tmp_path)
    assert main(['reproduce', str(tmp_path / 'work'), '--work-dir', str(tmp_path / 'again')]) == 0
    assert batches_of(tmp_path / 'again') == batches_of(tmp_path / 'work')
    for folder in ('work', 'again'):
        assert [entry['branch'] for entry in record_of(tmp_path / folder)['data']['train']] == [ref[1:] or 'main']


def test_equal_experiments_have_equal_digests_of_their_configs(trained, path, tmp_path):
    def digest(name, **changes):
        config = training(path, tmp_path / name, train_cfg=dict(max_epochs=1), val_cfg=None, **changes)
        config.val_dataloader = config.val_evaluator = None
        train(config)
        return record_of(tmp_path / name)['config']['digest']

    assert digest('one') == digest('two') != digest('three', optim_wrapper__optimizer__lr=0.02)


def test_a_training_is_made_again_from_its_checkpoint_alone(trained, tmp_path, capsys):
    checkpoint = tmp_path / 'alone.pth'
    checkpoint.write_bytes((trained / 'iter_6.pth').read_bytes())
    assert main(['reproduce', str(checkpoint), '--work-dir', str(tmp_path / 'again')]) == 0
    assert batches_of(tmp_path / 'again') == batches_of(trained)
    ours, theirs = (load_from_local(folder / 'iter_12.pth')['state_dict'] for folder in (tmp_path / 'again', trained))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert record_of(tmp_path / 'again')['config']['digest'] == record_of(trained)['config']['digest']


def test_a_work_dir_tells_the_config_too(trained, tmp_path):
    of_the_dir = config_of(read_run(str(trained)), str(tmp_path))
    of_the_file = config_of(read_run(str(trained / 'iter_2.pth')), str(tmp_path))
    assert of_the_dir.to_dict() == of_the_file.to_dict()
    assert type(of_the_dir.train_dataloader.dataset.pipeline[2].scale) is tuple


def test_only_the_config_is_written_if_that_is_asked_for(trained, tmp_path):
    assert main(['reproduce', str(trained), '--work-dir', str(tmp_path / 'again'), '--config-only']) == 0
    assert [file.name for file in (tmp_path / 'again').iterdir()] == ['reproduced.py']


def test_a_work_dir_in_use_is_refused(trained, tmp_path, capsys):
    (tmp_path / 'epoch_1.pth').touch()
    assert main(['reproduce', str(trained), '--work-dir', str(tmp_path)]) == 1
    assert 'expected a folder that is new or empty' in capsys.readouterr().err


def test_a_model_that_was_handed_over_cannot_be_made_again(path, tmp_path):
    config = training(path, tmp_path / 'work', train_cfg=dict(max_epochs=1))
    deeplake_mmdet.train_detector(deeplake_mmdet.build_detector(config.model), config)
    with pytest.raises(LineageError, match='of a model that its caller built'):
        config_of(read_run(str(tmp_path / 'work')), str(tmp_path / 'again'))


def test_data_that_a_program_had_open_cannot_be_named(path, tmp_path):
    import deeplake

    config = training(path, tmp_path / 'work', train_cfg=dict(max_epochs=1))
    rows = deeplake.open_read_only(path).query('select * order by random() limit 4')
    deeplake_mmdet.train_detector(None, config, ds_train=rows)
    run = read_run(str(tmp_path / 'work'))
    with pytest.raises(LineageError, match='an object that its program had open'):
        config_of(run, str(tmp_path / 'again'))


def test_a_test_is_no_training(trained, path, tmp_path):
    config = training(path, tmp_path / 'work', test_dataloader=dict(dataset=dict(pipeline=TEST)))
    config.test_dataloader, config.test_evaluator, config.test_cfg = config.val_dataloader, config.val_evaluator, {}
    deeplake_mmdet.test_detector(None, config, str(trained / 'iter_6.pth'), timestamp='now')
    with pytest.raises(LineageError, match='expected a training on Deep Lake data'):
        config_of(read_run(str(tmp_path / 'work' / 'now')), str(tmp_path / 'again'))


def test_the_users_repository_is_named(path, tmp_path):
    def git(*arguments):
        identity = ['-c', 'user.name=x', '-c', 'user.email=x@example.org']
        return subprocess.run(
            ['git', *identity, '-C', str(tmp_path), *arguments], capture_output=True, text=True, check=True
        )

    config = training(path, tmp_path / 'work', train_cfg=dict(max_epochs=1))
    config.dump(str(tmp_path / 'mine.py'))
    git('init', '-q')
    git('add', 'mine.py')
    git('commit', '-qm', 'first')
    from deeplake_mmdet.lineage.environment import environment

    commit = git('rev-parse', 'HEAD').stdout.strip()
    found = environment(str(tmp_path / 'mine.py'))['code']
    assert (found['commit'], found['dirty']) == (commit, False)
    with open(tmp_path / 'mine.py', 'a', encoding='utf-8') as file:
        file.write('\n')
    assert environment(str(tmp_path / 'mine.py'))['code']['dirty'] is True


def test_a_record_that_cannot_be_written_costs_a_warning(path, tmp_path, capsys):
    work_dir = tmp_path / 'work'
    (work_dir / 'lineage.json').mkdir(parents=True)
    train(training(path, work_dir, train_cfg=dict(max_epochs=1)))
    assert len(batches_of(work_dir)) == 4
    assert 'The record of this run cannot be written' in ''.join(file.read_text() for file in work_dir.glob('2*/*.log'))


def tracked(config, **options):
    """The config with a tracker; how it is treated."""
    config.visualizer = dict(type='Visualizer', vis_backends=[dict(type='MLflowVisBackend', exp_name='lineage')])
    config.deeplake_trackers = options
    return config


def stored(work_dir):
    """The runs in the store of a work dir, and the record that each of them ends with."""
    client = mlflow.MlflowClient(f'sqlite:///{work_dir}/mlflow.db')
    (experiment,) = [found for found in client.search_experiments() if found.name == 'lineage']
    runs = client.search_runs([experiment.experiment_id], order_by=['start_time'])
    records = [Path(client.download_artifacts(run.info.run_id, 'lineage.json', work_dir)).read_text() for run in runs]
    return runs, [json.loads(text) for text in records]


@pytest.fixture
def no_server(monkeypatch):
    monkeypatch.setenv('MLFLOW_DISABLE_TELEMETRY', 'true')
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)


def test_trackers_end_with_the_record_of_the_run(path, tmp_path, no_server):
    work_dir = tmp_path / 'work'
    train(tracked(training(path, work_dir)))
    config = tracked(training(path, work_dir))
    config.test_dataloader, config.test_evaluator, config.test_cfg = config.val_dataloader, config.val_evaluator, {}
    values = deeplake_mmdet.test_detector(None, config, str(work_dir / 'iter_12.pth'))
    (trained, tested), records = stored(work_dir)
    own = record_of(work_dir)
    own.pop('config_values')
    assert {key: records[0][key] for key in own} == own
    assert len(records[0]['validations']) == 3
    digests = {found.dataset.digest for found in trained.inputs.dataset_inputs}
    assert digests == {own['data']['train'][0]['digest']}  # MLflow takes what is read twice for one input
    assert {name: tested.data.metrics[name] for name in values} == pytest.approx(values)
    assert (trained.info.status, tested.info.status) == ('FINISHED', 'FINISHED')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(strikt=True), r"deeplake_trackers got an unknown key 'strikt'\. Did you mean 'strict'"),
        (dict(strict=1), r'deeplake_trackers\.strict expected True or False, but got 1'),
        (dict(patience=True), r'deeplake_trackers\.patience expected a number of seconds, but got True'),
        ([1], r'deeplake_trackers expected dict\(strict'),
    ],
)
def test_options_of_trackers_that_make_no_sense_are_named(path, tmp_path, options, message):
    config = training(path, tmp_path / 'work')
    config.deeplake_trackers = options
    with pytest.raises(ConfigError, match=message):
        train(config)
