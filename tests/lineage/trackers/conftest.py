"""Trackers that write below the test's folder, and what MMEngine's log says meanwhile."""

from __future__ import annotations

import copy
import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer

TRAIN = {
    'key': 'train_dataloader.dataset',
    'uri': 's3://bucket/cars',
    'dataset_id': '65a1',
    'branch': 'main',
    'commit_id': '3f2a',
    'view_id': 'large cars',
    'query': None,
    'rows': 120,
    'digest': 'ab' * 32,
    'format': 4,
    'columns': {'img': 'images', 'gt_bboxes': 'boxes'},
    'classes': ['car', '<script>alert(1)</script>'],
    'bbox_format': {'mode': 'ltwh', 'type': 'pixel'},
}
RECORD = {
    'schema': 'deeplake_mmdet.lineage',
    'version': 1,
    'run': {
        'id': 'c0ffee',
        'started': '2024-01-31T12:00:00+00:00',
        'command': ['tools/train.py', 'cars.py'],
        'seed': 7,
        'world_size': 1,
        'work_dir': '/runs/cars',
    },
    'data': {
        'train': [TRAIN],
        'val': [{**TRAIN, 'key': 'val_dataloader.dataset', 'view_id': None, 'rows': 30, 'digest': 'cd' * 32}],
        'test': [],
    },
    'config': {'digest': 'ef' * 32, 'file': 'cars.py'},
    'code': {'version': '0.1.0', 'commit': 'abc123', 'dirty': False},
    'libraries': {'torch': '2.13.0'},
    'metrics': {},
    'validations': [],
    'checkpoints': [],
}


@pytest.fixture
def record() -> dict[str, Any]:
    """A run's record, JSON through and through."""
    return copy.deepcopy(json.loads(json.dumps(RECORD)))


@pytest.fixture(autouse=True)
def away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No tracker reads or writes the user's folders, asks a server, or leaves a process behind."""
    for name in ('HOME', 'WANDB_DIR', 'WANDB_CACHE_DIR', 'WANDB_CONFIG_DIR', 'WANDB_DATA_DIR', 'XDG_CACHE_HOME'):
        (tmp_path / name.lower()).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name, value in {'WANDB_MODE': 'offline', 'WANDB_SILENT': 'true', 'MLFLOW_DISABLE_TELEMETRY': 'true'}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, 'argv', ['train.py'])
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    yield
    if 'wandb' in sys.modules:
        sys.modules['wandb'].teardown()
    if 'mlflow' in sys.modules:
        sys.modules['mlflow'].set_tracking_uri(None)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def warnings_logged() -> Iterator[list[str]]:
    """The warnings in MMEngine's log."""
    logger, handler = MMLogger.get_instance(uuid.uuid4().hex), _Lines()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A run's work dir."""
    folder = tmp_path / 'work_dirs' / 'cars'
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def visualizer_of(work_dir: Path) -> Callable[..., Visualizer]:
    """Makes a visualizer with these backends, as a Runner does."""

    def make(*backends: Any) -> Visualizer:
        listed = [dict(type='LocalVisBackend'), *backends]
        return Visualizer(name=uuid.uuid4().hex, vis_backends=listed, save_dir=str(work_dir / '20240131_120000'))

    return make


@pytest.fixture
def config(work_dir: Path) -> Config:
    """A run's config."""
    return Config(dict(work_dir=str(work_dir), model=dict(type='TinyDetector'), optimizer=dict(lr=0.01)))
