"""An evaluation leaves a process that can fork workers, and no worker that waits for ever."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from deeplake_mmdet.metrics.backends import choose_backend
from deeplake_mmdet.metrics.backends.choice import BACKENDS, check_backend
from tests.support.children import in_child
from tests.support.coco_cases import draw_case, settings

pytestmark = pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='forks are tested')


@pytest.fixture(params=list(BACKENDS))
def evaluated(request: pytest.FixtureRequest) -> Any:
    """The name of an engine that has evaluated boxes and masks in this process."""
    try:
        check_backend(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    for kind in ('bbox', 'segm'):
        BACKENDS[request.param]().accumulate(*draw_case(0, images=30, masks=True), settings(kind))
    return request.param


class Squares(Dataset):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, number: int) -> torch.Tensor:
        return torch.ones(8, 8).matmul(torch.full((8, 8), float(number))).sum()


def test_workers_forked_after_an_evaluation_deliver(evaluated):
    loader = DataLoader(Squares(), batch_size=5, num_workers=2, multiprocessing_context='fork', timeout=60)
    assert torch.cat(list(loader)).tolist() == [512.0 * number for number in range(40)]


def test_an_evaluation_leaves_no_thread_of_python(evaluated):
    assert not [thread.name for thread in threading.enumerate() if 'ThreadPool' in thread.name]


def evaluate(connection: Any, name: str) -> None:
    """Send the recall of an engine, or what it says."""
    try:
        backend, _ = choose_backend(name, *draw_case(0), [settings()])
        curves = backend.accumulate(*draw_case(0), settings())
        connection.send((backend.name, float(curves.recall.max())))
    except Exception as error:
        connection.send(str(error))


def test_in_a_forked_child_an_engine_evaluates_or_says_that_it_cannot(evaluated):
    sent = in_child('fork', evaluate, evaluated)
    if evaluated == 'hotcoco':
        assert sent.startswith('hotcoco cannot evaluate in this process: it was forked')
    else:
        assert sent[0] == evaluated and sent[1] > 0


@pytest.mark.parametrize('evaluated', ['hotcoco'], indirect=True)
def test_in_a_forked_child_auto_takes_an_engine_without_lost_threads(evaluated):
    name, recall = in_child('fork', evaluate, 'auto')
    assert name in ('faster-coco-eval', 'pycocotools') and recall > 0
