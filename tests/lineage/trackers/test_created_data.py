"""Data that are made while a run of a tracker is open are its output, under the name by which trainings use them."""

from __future__ import annotations

import sys

import mlflow
import pytest

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.lineage.record import dataset_entry
from deeplake_mmdet.lineage.trackers.wandb_sink import dataset_artifact
from deeplake_mmdet.versions import save_view, select
from tests.support.street import write_street
from tests.support.wandb_file import runs_below

wandb = pytest.importorskip('wandb')


def trained_on(path: str, view: str | None = None) -> tuple[str, str]:
    """Name and digest of the artifact that a training on it would use."""
    dataset = DeepLakeDataset(deeplake_path=path, deeplake_view_id=view)
    dataset.full_init()
    artifact = dataset_artifact(wandb, dataset_entry('train_dataloader.dataset', dataset))
    return artifact.name, artifact.digest


def test_a_run_of_wandb_has_the_dataset_and_its_views_as_output(tmp_path):
    with wandb.init(project='cars'):
        path, _ = write_street(tmp_path / 'street', 6)
        save_view(select(dict(deeplake_path=path), ['select * limit 3'], to_save=True), 'few')
    (run,) = runs_below(tmp_path)
    made = {(artifact.name, artifact.digest) for artifact in run.artifacts() if artifact.type == 'dataset'}
    assert {trained_on(path), trained_on(path, 'few')} <= made
    kinds = [(entry['kind'], entry['name']) for entry in run.config()['output_datasets']]
    assert kinds == [('converted', 'dataset'), ('view', 'dataset-all'), ('view', 'few')]


def test_a_run_of_mlflow_has_it_too(tmp_path):
    mlflow.set_tracking_uri(f'sqlite:///{tmp_path / "mlflow.db"}')
    mlflow.set_experiment('cars')
    with mlflow.start_run() as run:
        path, _ = write_street(tmp_path / 'street', 6)
    tags = mlflow.MlflowClient().get_run(run.info.run_id).data.tags
    assert path in tags['created.dataset']


def test_without_a_run_no_tracker_is_told_or_loaded(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, 'wandb')
    write_street(tmp_path / 'street', 6)
    assert 'wandb' not in sys.modules
    assert mlflow.active_run() is None


def test_a_tracker_that_fails_costs_a_warning(tmp_path, monkeypatch, caplog):
    with wandb.init(project='cars') as run:
        monkeypatch.setattr(type(run), 'log_artifact', lambda *args, **kwargs: 1 / 0)
        path, _ = write_street(tmp_path / 'street', 6)
    assert 'wandb was not told of created data: division by zero' in caplog.text
    assert len(DeepLakeDataset(deeplake_path=path)) == 6
