"""What W&B's run folder holds, read from the file that W&B itself writes before it uploads."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.lineage.trackers.attach import guard_backends
from deeplake_mmdet.lineage.trackers.wandb_sink import dataset_artifact
from tests.lineage.trackers.predicted_rows import predicted
from tests.support.children import run_script
from tests.support.wandb_file import runs_below

wandb = pytest.importorskip('wandb')


def backend(**init: Any) -> dict[str, Any]:
    return dict(type='WandbVisBackend', init_kwargs=dict(project='cars', **init))


@pytest.fixture
def model(work_dir: Path) -> Path:
    (work_dir / 'epoch_1.pth').write_bytes(b'weights')
    return work_dir / 'epoch_1.pth'


def entries_of(artifact: Any) -> dict[str, Any]:
    return {entry.path: entry for entry in artifact.manifest.contents}


@pytest.fixture
def started(visualizer_of: Any, work_dir: Path, config: Any, record: Any) -> Iterator[Any]:
    """A visualizer and its sink, whose run has begun; close the visualizer to read it."""
    visualizer = visualizer_of(backend())
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir))
    visualizer.add_config(config)
    sink.start(record)
    yield visualizer, sink
    visualizer.close()


def test_the_run_config_names_every_dataset_and_holds_the_record(started, work_dir, record, warnings_logged):
    visualizer, _ = started
    visualizer.close()
    (run,) = runs_below(work_dir)
    found = run.config()
    assert found['lineage'] == record
    assert [(entry['split'], entry['view_id'], entry['rows']) for entry in found['input_datasets']] == [
        ('train', 'large cars', 120),
        ('val', None, 30),
    ]
    assert {entry['uri'] for entry in found['input_datasets']} == {'s3://bucket/cars'}
    assert {entry['commit_id'] for entry in found['input_datasets']} == {'3f2a'}
    assert found['optimizer'] == {'lr': 0.01}
    assert warnings_logged == []


def test_each_revision_is_an_input_artifact_that_refers_to_the_dataset(started, work_dir, record):
    visualizer, _ = started
    visualizer.close()
    (run,) = runs_below(work_dir)
    train, val = [artifact for artifact in run.artifacts() if artifact.type == 'dataset']
    assert train.use_after_commit
    assert val.use_after_commit
    assert train.name.startswith('cars-large-cars-')
    assert train.name != val.name
    assert entries_of(train)['dataset'].ref == 's3://bucket/cars'
    assert json.loads(train.metadata)['commit_id'] == '3f2a'
    assert {entry for artifact in (train, val) for entry in entries_of(artifact)} == {'dataset', 'revision.json'}


def test_a_dataset_in_two_splits_is_one_artifact(visualizer_of, work_dir, record):
    visualizer = visualizer_of(backend())
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir))
    record['data']['val'] = [{**record['data']['train'][0], 'key': 'val_dataloader.dataset'}]
    sink.start(record)
    visualizer.close()
    (run,) = runs_below(work_dir)
    assert len([artifact for artifact in run.artifacts() if artifact.type == 'dataset']) == 1


def test_whoever_makes_a_revision_and_whoever_reads_it_log_one_artifact(record):
    made = {key: record['data']['train'][0][key] for key in ('uri', 'dataset_id', 'branch', 'commit_id', 'view_id')}
    read, written = dataset_artifact(wandb, record['data']['train'][0]), dataset_artifact(wandb, made, {'kind': 'view'})
    assert (read.name, read.digest) == (written.name, written.digest)
    later = dataset_artifact(wandb, {**made, 'commit_id': '4000'})
    assert later.name.partition(':')[0] == read.name.partition(':')[0]
    assert later.digest != read.digest
    other = dataset_artifact(wandb, {**made, 'view_id': 'large-cars'})
    assert other.name != read.name


def test_two_runs_of_one_name_are_two_runs_with_one_artifact(visualizer_of, work_dir, record):
    for _ in range(2):
        visualizer = visualizer_of(backend(name='same'))
        (sink,) = guard_backends(visualizer, work_dir=str(work_dir))
        sink.start(record)
        visualizer.close()
    one, two = runs_below(work_dir)
    assert one.config()['lineage'] == two.config()['lineage'] == record
    assert [(a.name, a.digest) for a in one.artifacts()] == [(a.name, a.digest) for a in two.artifacts()]


def test_a_local_dataset_is_referred_to_and_its_files_are_not_listed(visualizer_of, work_dir, record, tmp_path):
    (tmp_path / 'ds').mkdir()
    (tmp_path / 'ds' / 'chunk').write_bytes(b'pixels')
    visualizer = visualizer_of(backend())
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir))
    record['data'] = {'train': [{**record['data']['train'][0], 'uri': str(tmp_path / 'ds')}]}
    sink.start(record)
    visualizer.close()
    (run,) = runs_below(work_dir)
    (artifact,) = run.artifacts()
    assert entries_of(artifact)['dataset'].ref == (tmp_path / 'ds').as_uri()
    assert set(entries_of(artifact)) == {'dataset', 'revision.json'}


def test_a_checkpoint_is_a_model_artifact_with_its_digest_and_not_its_bytes(started, work_dir, record, model):
    visualizer, sink = started
    record['checkpoints'] = [{'file': 'epoch_1.pth', 'sha256': '12' * 32, 'epoch': 1, 'iteration': 9}]
    sink.checkpoint(model, ['best'], record)
    visualizer.close()
    (run,) = runs_below(work_dir)
    (found,) = [artifact for artifact in run.artifacts() if artifact.type == 'model']
    assert 'best' in found.aliases
    assert entries_of(found)['epoch_1.pth'].ref == model.as_uri()
    facts = json.loads(found.metadata)
    assert (facts['sha256'], facts['epoch'], facts['bytes']) == ('12' * 32, 1, 7)
    assert facts['data'][0]['commit_id'] == '3f2a'


def test_a_checkpoint_that_is_deleted_before_the_tracker_is_told_is_told_all_the_same(started, work_dir, record, model):
    visualizer, sink = started
    record['checkpoints'] = [{'file': 'epoch_1.pth', 'sha256': '12' * 32}]
    gate = threading.Event()
    visualizer.get_backend('WandbVisBackend').submit('a pause', lambda backend: gate.wait(30))
    sink.checkpoint(model, ['latest'], record)
    model.unlink()
    gate.set()
    visualizer.close()
    (run,) = runs_below(work_dir)
    (found,) = [artifact for artifact in run.artifacts() if artifact.type == 'model']
    assert json.loads(found.metadata)['bytes'] == 7


def test_checkpoints_are_uploaded_where_that_is_asked_for(visualizer_of, work_dir, record, model):
    visualizer = visualizer_of(backend())
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir), log_checkpoints=True)
    sink.checkpoint(model, ['latest'], record)
    visualizer.close()
    (run,) = runs_below(work_dir)
    (found,) = [artifact for artifact in run.artifacts() if artifact.type == 'model']
    entry = entries_of(found)['epoch_1.pth']
    assert (entry.ref, entry.size) == ('', 7)
    assert json.loads(found.metadata)['sha256'] == hashlib.sha256(b'weights').hexdigest()


def test_predictions_are_a_table_of_images_with_both_kinds_of_boxes(started, work_dir):
    visualizer, sink = started
    sink.predictions([predicted(number) for number in range(40)], 3)
    visualizer.close()
    (run,) = runs_below(work_dir)
    assert run.history()['predictions/nrows'] == 32
    (artifact,) = [artifact for artifact in run.artifacts() if artifact.type == 'run_table']
    table = json.loads(Path(entries_of(artifact)['predictions.table.json'].local_path).read_text())
    cells = dict(zip(table['columns'], table['data'][1], strict=True))
    assert (cells['row'], cells['img_id'], cells['annotated'], cells['detected'], cells['step']) == (1, '101', 1, 2, 3)
    assert cells['best score'] == pytest.approx(0.9)
    annotated, detected = (cells['image']['boxes'][kind] for kind in ('annotated', 'detected'))
    assert [box['position'] for box in annotated] == [{'minX': 1.0, 'minY': 2.0, 'maxX': 30.0, 'maxY': 20.0}]
    assert [box['box_caption'] for box in annotated] == ['van']
    assert [box['box_caption'] for box in detected] == ['car 0.90', 'van 0.25']


def test_what_was_made_is_an_output_artifact(started, work_dir, record):
    visualizer, sink = started
    revision = {**record['data']['train'][0], 'view_id': None}
    sink.created('converted', 'my cars/2024', revision)
    sink.created('view', 'night', {**revision, 'view_id': 'night'})
    visualizer.close()
    (run,) = runs_below(work_dir)
    first, second = [artifact for artifact in run.artifacts() if not artifact.use_after_commit]
    assert any(alias.startswith('my-cars-2024-') for alias in first.aliases)
    assert 'night' in second.aliases
    assert [entry['kind'] for entry in run.config()['output_datasets']] == ['converted', 'view']


def test_the_final_record_takes_the_place_of_the_first_and_its_metrics_are_in_the_summary(started, work_dir, record):
    visualizer, sink = started
    record['metrics'] = {'coco/bbox_mAP': 0.375}
    record['checkpoints'] = [{'file': 'best.pth', 'sha256': '12' * 32}]
    sink.metrics({'test/coco/bbox_mAP': 0.5, 'note': 'no number'}, 2)
    sink.finish(record)
    visualizer.close()
    (run,) = runs_below(work_dir)
    assert run.config()['lineage'] == record
    assert run.summary()['coco/bbox_mAP'] == 0.375
    assert run.summary()['checkpoints'] == record['checkpoints']
    assert run.history()['test/coco/bbox_mAP'] == 0.5
    assert 'note' not in run.history()


def test_no_password_of_a_url_and_no_credential_of_the_environment_is_in_any_file_of_wandb(
    visualizer_of, work_dir, record, config, model, monkeypatch, tmp_path
):
    monkeypatch.setenv('ACTIVELOOP_TOKEN', 'GEHEIM-env')
    monkeypatch.setattr(sys, 'argv', ['train.py', '--cfg-options', 'x.token=GEHEIM-env'])
    Path('config.py').write_text("token = 'GEHEIM-env'\n")
    Path('harmless.py').write_text('lr = 0.1\n')
    visualizer = visualizer_of(backend())
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir), log_checkpoints=True)
    record['data']['train'][0] |= {'uri': 'https://me:GEHEIM-url@host/cars?X-Amz-Signature=GEHEIM-sig&x=1'}
    record['run']['command'] += ['x.token=GEHEIM-env']
    config.load_from = 'https://me:GEHEIM-url@host/a.pth'
    visualizer.add_config(config)
    sink.start(record)
    sink.checkpoint(model, ['latest'], record)
    sink.created('converted', 'cars', record['data']['train'][0])
    sink.finish(record)
    visualizer.close()
    (run,) = runs_below(work_dir)
    ours = [Path('config.py').resolve(), *work_dir.rglob('vis_data/config.py')]  # the source, and MMEngine's dump
    files = [file for file in tmp_path.rglob('*') if file.is_file() and file not in ours]
    assert [file for file in files if b'GEHEIM' in file.read_bytes()] == []
    assert run.config()['input_datasets'][0]['uri'] == 'https://***@host/cars?X-Amz-Signature=***&x=1'
    (code,) = [artifact for artifact in run.artifacts() if artifact.type == 'code']
    assert [entry.path for entry in code.manifest.contents] == ['harmless.py']


UNCLOSED = """
import sys, time
from mmengine.visualization import Visualizer
from deeplake_mmdet.lineage.trackers.attach import guard_backends

listed = [dict(type='WandbVisBackend', init_kwargs=dict(project='cars'))]
visualizer = Visualizer(vis_backends=listed, save_dir=sys.argv[1])
(sink,) = guard_backends(visualizer, work_dir=sys.argv[1])
guard = visualizer.get_backend('WandbVisBackend')
guard.experiment
sink.metrics({'a': 1}, 0)
guard.submit('a pause', lambda backend: time.sleep(1))
sink.metrics({'a': 2}, 1)
raise ValueError('broken on purpose')
"""


def test_a_program_that_fails_has_recorded_all_that_it_sent(work_dir):
    done = run_script(UNCLOSED, str(work_dir))
    assert 'broken on purpose' in done.stderr
    assert 'The tracker W&B' not in done.stdout + done.stderr
    (run,) = runs_below(work_dir)
    assert run.history()['a'] == 2
    (end,) = [record.exit for record in run.records if record.WhichOneof('record_type') == 'exit']
    assert end.exit_code == 1


def test_the_end_of_wandbs_run_is_bounded_unless_the_user_says_how_long(visualizer_of, work_dir, monkeypatch):
    if 'finish_timeout' not in wandb.Settings.model_fields:
        pytest.skip('this version of W&B has no such setting')

    def chosen(**init: Any) -> Any:
        visualizer = visualizer_of(backend(**init))
        guard_backends(visualizer, work_dir=str(work_dir), patience=20)
        settings = visualizer.get_backend('WandbVisBackend').wrapped._init_kwargs['settings']
        return settings.get('finish_timeout') if isinstance(settings, dict) else settings.finish_timeout

    assert chosen() == 15
    assert chosen(settings=dict(finish_timeout=500)) == 500
    assert chosen(settings=wandb.Settings(finish_timeout=400)) == 400
    assert chosen(settings=wandb.Settings(silent=True)) == 15
    monkeypatch.setenv('WANDB_FINISH_TIMEOUT', '300')
    assert chosen() is None


def test_wandb_not_installed_is_a_warning_with_the_command(
    visualizer_of, work_dir, record, warnings_logged, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'wandb', None)
    visualizer = visualizer_of(backend())
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir))
    sink.start(record)
    visualizer.add_scalars({'loss': 1.0, 'iter': 1}, 1)
    visualizer.close()
    monkeypatch.undo()
    assert 'The tracker W&B could not record the run: it is not installed' in warnings_logged[0]
    assert 'pip install wandb' in warnings_logged[0]
    assert len(warnings_logged) == 3
