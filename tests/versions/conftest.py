"""A dataset of streets, new for each test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.street import write_street


@pytest.fixture(scope='session')
def made_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A dataset of 24 rows, never changed, and its annotation file."""
    path, document = write_street(tmp_path_factory.mktemp('street'))
    return Path(path), document


@pytest.fixture
def street(made_once: tuple[Path, dict[str, Any]], tmp_path: Path) -> str:
    """A copy of that dataset, which the test may change."""
    return shutil.copytree(made_once[0], tmp_path / 'street').as_posix()


@pytest.fixture
def document(made_once: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """The annotation file of ``street``; not to be changed."""
    return made_once[1]
