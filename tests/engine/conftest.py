"""A dataset of a few images, and what uninterrupted trainings on it log."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import Config


@pytest.fixture(scope='session')
def few_images(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a dataset for `tests.support.interruptions`."""
    from tests.support.interruptions import COUNT
    from tests.support.small_training import write_images

    return write_images(tmp_path_factory.mktemp('few') / 'ds', COUNT)


@pytest.fixture(scope='session')
def uninterrupted(few_images: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[dict[str, Any]]]:
    """What a variant logs that nothing interrupts, by its name."""
    from tests.support.interruptions import train, variant

    return functools.cache(lambda name: train(variant(name, few_images, tmp_path_factory.mktemp('whole'))))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread; and no formatting of the config for every checkpoint, which takes longer than a small training."""
    torch.set_num_threads(1)
    monkeypatch.setattr(Config, 'pretty_text', property(lambda config: config.filename or ''))
