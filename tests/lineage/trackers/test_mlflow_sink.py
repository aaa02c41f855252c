"""What MLflow's store holds, read with MLflow's own client; and servers that are no use."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.lineage.trackers import mlflow_backend
from deeplake_mmdet.lineage.trackers.attach import guard_backends
from tests.lineage.trackers.predicted_rows import predicted

mlflow = pytest.importorskip('mlflow')
pytest.importorskip('sqlalchemy')


@pytest.fixture(scope='module')
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables; making them takes seconds."""
    file = tmp_path_factory.mktemp('mlflow') / 'mlflow.db'
    mlflow.MlflowClient(f'sqlite:///{file}').search_experiments()
    return file


@pytest.fixture(autouse=True)
def stored(empty_store: Path, work_dir: Path) -> Iterator[Path]:
    """The embedded store of the run's work dir."""
    file = work_dir / mlflow_backend.DATABASE
    file.write_bytes(empty_store.read_bytes())
    yield file


def runs_in(store: Path) -> list[Any]:
    client = mlflow.MlflowClient(f'sqlite:///{store}')
    experiments = [found.experiment_id for found in client.search_experiments()]
    return client.search_runs(experiments, order_by=['attributes.start_time'])


def artifacts_of(run: Any) -> Path:
    return Path(run.info.artifact_uri.removeprefix('file://'))


def backend(**given: Any) -> dict[str, Any]:
    return dict(type='MLflowVisBackend', **given)


def begin(visualizer: Any, config: Any, work_dir: Path, **options: Any) -> Any:
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir), **options)
    visualizer.add_config(config)
    return sink


def test_the_embedded_store_below_the_work_dir_holds_the_whole_run(
    visualizer_of, config, work_dir, stored, record, warnings_logged
):
    visualizer = visualizer_of(backend())
    sink = begin(visualizer, config, work_dir)
    sink.start(record)
    visualizer.add_scalars({'loss': 0.5, 'iter': 1}, 1)
    visualizer.add_scalars({'coco/bbox_mAP': 0.25}, 1)
    sink.metrics({'test/coco/bbox_mAP': 0.75, 'note': 'no number'}, 2)
    record['metrics'] = {'coco/bbox_mAP': 0.25}
    sink.finish(record)
    (work_dir / 'train.log').write_text('lines')
    visualizer.close()
    (run,) = runs_in(stored)
    assert run.info.status == 'FINISHED'
    assert run.data.metrics == {'loss': 0.5, 'iter': 1, 'coco/bbox_mAP': 0.25, 'test/coco/bbox_mAP': 0.75}
    assert run.data.params['lineage.train.commit_id'] == '3f2a'
    assert run.data.params['lineage.train.view_id'] == 'large cars'
    assert run.data.params['lineage.val.rows'] == '30'
    assert run.data.params['lineage.seed'] == '7'
    assert run.data.params['optimizer.lr'] == '0.01'
    assert run.data.tags['lineage.run_id'] == 'c0ffee'
    assert run.data.tags['lineage.metrics'] == '{"coco/bbox_mAP": 0.25}'
    assert artifacts_of(run).is_relative_to(work_dir)
    assert json.loads((artifacts_of(run) / 'lineage.json').read_text()) == record
    assert (artifacts_of(run) / 'train.log').read_text() == 'lines'
    assert not list(artifacts_of(run).rglob('mlartifacts'))
    assert list(Path.cwd().iterdir()) == []
    assert warnings_logged == []


def test_each_dataset_is_an_input_of_the_run_with_its_split(visualizer_of, config, work_dir, stored, record):
    visualizer = visualizer_of(backend())
    begin(visualizer, config, work_dir).start(record)
    visualizer.close()
    (run,) = runs_in(stored)
    found = {given.tags[0].value: given.dataset for given in run.inputs.dataset_inputs}
    assert set(found) == {'train', 'val'}
    assert found['train'].name == 's3://bucket/cars'
    assert found['train'].digest == ('ab' * 32)[:36]
    assert json.loads(found['train'].source)['commit_id'] == '3f2a'
    assert json.loads(found['val'].profile) == {'num_rows': 30}


def test_two_runs_of_one_name_are_two_runs_that_read_one_dataset(visualizer_of, config, work_dir, stored, record):
    for _ in range(2):
        visualizer = visualizer_of(backend(run_name='same', exp_name='cars'))
        begin(visualizer, config, work_dir).start(record)
        visualizer.close()
    one, two = runs_in(stored)
    assert one.info.run_id != two.info.run_id
    assert one.info.run_name == two.info.run_name == 'same'
    digests = [{given.dataset.digest for given in run.inputs.dataset_inputs} for run in (one, two)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize('uploaded', [False, True])
def test_a_checkpoint_is_named_with_its_digest_and_uploaded_only_on_demand(
    visualizer_of, config, work_dir, stored, record, uploaded
):
    (work_dir / 'epoch_1.pth').write_bytes(b'weights')
    visualizer = visualizer_of(backend())
    sink = begin(visualizer, config, work_dir, log_checkpoints=uploaded)
    sink.checkpoint(work_dir / 'epoch_1.pth', ['latest', 'best'], record)
    visualizer.close()
    (run,) = runs_in(stored)
    told = json.loads((artifacts_of(run) / 'checkpoints' / 'epoch_1.pth.json').read_text())
    assert told['bytes'] == 7
    assert run.data.tags['checkpoint.best'].endswith(f'sha256:{told["sha256"]}')
    assert run.data.tags['checkpoint.latest'].startswith(str(work_dir / 'epoch_1.pth'))
    assert (artifacts_of(run) / 'checkpoints' / 'epoch_1.pth').exists() == uploaded


def test_predictions_are_images_and_what_was_made_is_told(visualizer_of, config, work_dir, stored, record):
    visualizer = visualizer_of(backend())
    sink = begin(visualizer, config, work_dir)
    sink.predictions([predicted(number) for number in range(3)], 5)
    sink.created('converted', 'my/../cars', record['data']['train'][0])
    visualizer.close()
    (run,) = runs_in(stored)
    images = sorted(file.name for file in (artifacts_of(run) / 'predictions' / 'step_5').iterdir())
    assert images == [f'row_{number}_id_{100 + number}.png' for number in range(3)]
    (made,) = (artifacts_of(run) / 'created').iterdir()
    assert json.loads(made.read_text())['commit_id'] == '3f2a'


def test_names_that_mlflow_refuses_are_changed_and_nothing_is_lost(
    visualizer_of, config, work_dir, stored, warnings_logged
):
    visualizer = visualizer_of(backend())
    begin(visualizer, config, work_dir)
    visualizer.add_scalars({'coco/Fußgänger (groß)_precision': 0.5, 'coco/bbox_mAP': 0.25}, 1)
    visualizer.add_image('val_img', np.zeros((4, 4, 3), np.uint8), 3)
    visualizer.close()
    (run,) = runs_in(stored)
    names = sorted(name for name in run.data.metrics)
    assert names[1] == 'coco/bbox_mAP'
    assert names[0].startswith('coco/Fu-ganger -gro-')
    assert (artifacts_of(run) / 'val_img_3.png').exists()
    assert warnings_logged == []


def test_what_a_hook_does_with_the_experiment_belongs_to_the_run(visualizer_of, config, work_dir, stored):
    visualizer = visualizer_of(backend())
    begin(visualizer, config, work_dir)
    visualizer.get_backend('MLflowVisBackend').experiment.log_metric('mine', 4.0)
    visualizer.close()
    (run,) = runs_in(stored)
    assert run.data.metrics == {'mine': 4.0}


def test_a_run_that_breaks_off_is_not_called_finished(visualizer_of, config, work_dir, stored):
    visualizer = visualizer_of(backend())
    begin(visualizer, config, work_dir)
    visualizer.get_backend('MLflowVisBackend')._at_exit()
    (run,) = runs_in(stored)
    assert run.info.status in ('FAILED', 'KILLED')


def test_the_environments_server_and_experiment_are_used_where_the_config_names_none(
    visualizer_of, work_dir, monkeypatch
):
    monkeypatch.setenv('MLFLOW_TRACKING_URI', 'http://tracker.example')
    monkeypatch.setenv('MLFLOW_EXPERIMENT_NAME', 'from the environment')
    visualizer = visualizer_of(backend())
    guard_backends(visualizer, work_dir=str(work_dir))
    found = visualizer.get_backend('MLflowVisBackend').wrapped
    assert (found._tracking_uri, found._exp_name) == ('http://tracker.example', 'from the environment')


def test_the_next_run_of_the_process_has_a_store_of_its_own(visualizer_of, config, work_dir, record, tmp_path):
    for folder in (work_dir, tmp_path / 'next'):
        visualizer = visualizer_of(backend())
        begin(visualizer, config, folder).start(record)
        visualizer.close()
        assert len(runs_in(folder / mlflow_backend.DATABASE)) == 1
    assert 'MLFLOW_EXPERIMENT_ID' not in os.environ


def test_the_configs_own_server_stays(visualizer_of, work_dir, monkeypatch):
    monkeypatch.setenv('MLFLOW_TRACKING_URI', 'http://other.example')
    visualizer = visualizer_of(backend(tracking_uri='http://tracker.example', exp_name='mine'))
    guard_backends(visualizer, work_dir=str(work_dir))
    found = visualizer.get_backend('MLflowVisBackend').wrapped
    assert (found._tracking_uri, found._exp_name) == ('http://tracker.example', 'mine')


def test_without_a_database_library_the_store_is_one_of_files(
    visualizer_of, config, work_dir, record, monkeypatch, warnings_logged
):
    monkeypatch.setattr(mlflow_backend.importlib.util, 'find_spec', lambda name: None)
    monkeypatch.delenv('MLFLOW_ALLOW_FILE_STORE', raising=False)
    visualizer = visualizer_of(backend())
    begin(visualizer, config, work_dir).start(record)
    visualizer.close()
    assert warnings_logged == []
    (found,) = work_dir.rglob('artifacts/lineage.json')
    assert json.loads(found.read_text()) == record


class _Useless(BaseHTTPRequestHandler):
    answers = True

    def do_GET(self) -> None:
        if not self.answers:
            self.server.hung_up.wait(60)  # type: ignore[attr-defined]
        else:
            self.send_error(500)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(params=['answers 500', 'never answers'])
def useless_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that is no use, with MLflow's patience as it is by default."""
    handler = type('Handler', (_Useless,), {'answers': request.param == 'answers 500'})
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads, server.hung_up = True, threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.hung_up.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_a_useless_server_keeps_no_call_and_the_end_only_for_a_while(
    visualizer_of, config, work_dir, record, useless_server, warnings_logged
):
    visualizer = visualizer_of(backend(tracking_uri=useless_server))
    sink = begin(visualizer, config, work_dir, patience=0.5)
    sink.start(record)
    for step in range(100):
        visualizer.add_scalars({'loss': 1.0, 'iter': step}, step)
    visualizer.close()
    (told,) = warnings_logged
    assert 'MLflow did not answer within 0.5 s' in told
    assert '100 of losses' in told
    assert '1 of the lineage' in told


def test_a_server_that_fails_at_once_is_given_up_with_few_words(
    visualizer_of, config, work_dir, record, warnings_logged, monkeypatch
):
    monkeypatch.setenv('MLFLOW_HTTP_REQUEST_MAX_RETRIES', '0')
    visualizer = visualizer_of(backend(tracking_uri='http://127.0.0.1:9'))
    sink = begin(visualizer, config, work_dir)
    sink.start(record)
    for step in range(20):
        visualizer.add_scalars({'loss': 1.0, 'iter': step}, step)
    visualizer.close()
    failed, given_up, lost = warnings_logged
    assert 'The tracker MLflow could not record the run' in failed
    assert 'The tracker is given up' in given_up
    assert '20 of losses' in lost


def test_mlflow_not_installed_is_a_warning_with_the_command(
    visualizer_of, config, work_dir, record, warnings_logged, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'mlflow', None)
    visualizer = visualizer_of(backend())
    begin(visualizer, config, work_dir).start(record)
    visualizer.close()
    monkeypatch.undo()
    assert 'MLflow could not record the run: it is not installed' in warnings_logged[0]
    assert 'pip install mlflow' in warnings_logged[0]
