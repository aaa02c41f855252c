"""Fixtures for every folder: small datasets, and an S3 server on loopback."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.datasets import write_dataset

# The same examples each time; `pytest --hypothesis-profile explore` draws others. No machine is too slow for them, and
# a fixture is for all examples of a test.
_ANYWHERE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile('same', _ANYWHERE, derandomize=True)
settings.register_profile('explore', _ANYWHERE, derandomize=False)
settings.load_profile('same')


@pytest.fixture(scope='session', autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell starts what runs in its background deaf to it, and so would be the children of tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the machine's own credentials and trackers, nor what a tracker told the test before."""
    for name in list(os.environ):
        if name.startswith(('AWS_', 'ACTIVELOOP_', 'MLFLOW_', 'WANDB_')):
            monkeypatch.delenv(name)


@pytest.fixture(scope='session', autouse=True)
def no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cached annotations, nor do fixtures that live longer than a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DEEPLAKE_MMDET_CACHE', str(tmp_path_factory.getbasetemp() / 'cache'))
        patch.delenv('DEEPLAKE_MMDET_CACHE_SIZE', raising=False)
        yield


@pytest.fixture(autouse=True)
def cache_of_its_own(no_cache_of_the_user: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with an empty cache."""
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE', f'{os.environ["DEEPLAKE_MMDET_CACHE"]}_{uuid.uuid4().hex}')


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., str]:
    """Writes a dataset under a name (default ``'dataset'``) and gives its path; for the rest see `write_dataset`."""

    def make(name: str = 'dataset', *args: Any, **kwargs: Any) -> str:
        path = str(tmp_path / name)
        write_dataset(path, *args, **kwargs)
        return path

    return make


@pytest.fixture(scope='session')
def s3_server() -> Iterator[Any]:
    """One server for the whole test process, with the bucket ``bucket``."""
    from tests.support.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server: Any) -> Any:
    """The S3 server with an empty log; ``s3.path`` is free for a dataset of this test."""
    s3_server.path = f's3://bucket/{uuid.uuid4().hex}'
    s3_server.requests.clear()
    return s3_server
