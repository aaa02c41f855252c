"""The format-3 datasets that ``make_fixtures.py`` wrote, unpacked, and what Deep Lake 3.9.52 reads in them."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / 'data'


@pytest.fixture(scope='session')
def expected() -> dict[str, Any]:
    """What Deep Lake 3.9.52 reads, by dataset."""
    return json.loads((DATA / 'expected.json').read_text())


@pytest.fixture(scope='session')
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all datasets, which no test may change."""
    folder = tmp_path_factory.mktemp('format3')
    for archive in DATA.glob('*.tar.xz'):
        with tarfile.open(archive) as content:
            content.extractall(folder)
    return folder


@pytest.fixture
def copied(unpacked: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Gives a copy of a dataset that a test may damage."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(unpacked / name, tmp_path / name))

    return copy
