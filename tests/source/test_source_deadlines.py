"""A server that accepts and never answers: each step of opening and reading ends by its deadline, and by Ctrl-C.

Every case runs in a process of its own: requests that are never answered make Deep Lake crash a process at its end.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from deeplake_mmdet.source.waiting import DeadlineError, wait
from tests.support.children import ROOT, run_script

SCRIPT = """
import os, pickle, sys, time
import deeplake_mmdet.source.handle as handle_module, deeplake_mmdet.source.open as open_module
import deeplake_mmdet.source.pins as pins_module
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import DeepLakeMMDetError
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.datasets import append_rows, rows, write_dataset
from tests.support.s3_server import S3Server

DEADLINE = float(sys.argv[2])
for module, name in [(handle_module, 'READ'), (open_module, 'OPEN'), (open_module, 'QUERY'), (pins_module, 'OPEN')]:
    assert hasattr(module, f'{name}_DEADLINE_S')
    setattr(module, f'{name}_DEADLINE_S', DEADLINE)

def is_data(request):
    return request.method == 'GET' and request.path.count('/') > 2 and '_deeplake_log' not in request.path

def main(step, server):
    dataset = write_dataset(server.path, 6, creds=server.creds)
    dataset.query('select * where number > 2').tag('following', fixed_version=False)
    dataset.branch('dev')
    append_rows(dataset.branches['dev'].open(), [7])
    branch_log = dataset.branches['dev'].id
    pins = {'deeplake_path': server.path, 'deeplake_credentials': {'creds': server.creds}}
    resolve = lambda **more: SourceHandle.resolve(DatasetSpec.from_config({**pins, **more}))
    steps = {
        'exists': (lambda r: r.method == 'HEAD', resolve),
        'open': (lambda r: r.method == 'GET', resolve),
        'branch': (lambda r: branch_log in r.path, lambda: resolve(deeplake_branch='dev')),
        'query': (is_data, lambda: resolve(deeplake_query='select * where number > 3')),
        'view': (is_data, lambda: resolve(deeplake_view_id='following')),
        'read': (is_data, None),
        'column': (is_data, None),
        'copy': (lambda r: True, None),
    }
    matches, act = steps[step]
    if act is None:
        handle = resolve()
        handle = pickle.loads(pickle.dumps(handle)) if step == 'copy' else handle
        act = lambda: handle.read('number' if step == 'column' else 'images', [1, 4])
    with server.fault(None, matches=matches) as fault:
        print('waiting', flush=True)
        start = time.monotonic()
        try:
            act()
            said = 'no error'
        except DeepLakeMMDetError as error:
            said = f'{type(error).__name__}: {error}'
        except KeyboardInterrupt:
            said = 'interrupted'
        print(f'{fault.struck > 0} {time.monotonic() - start:.2f} {said}', flush=True)

with S3Server() as server:
    try:
        main(sys.argv[1], server)
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 1
sys.stderr.flush()
os._exit(code)
"""
STEPS = ('exists', 'open', 'branch', 'query', 'view', 'read', 'column', 'copy')


@pytest.mark.parametrize('step', STEPS)
def test_no_step_waits_longer_than_its_deadline(step: str) -> None:
    ran = run_script(SCRIPT, step, '1.0', timeout=60)
    assert ran.returncode == 0, ran.stderr
    struck, seconds, said = ran.stdout.splitlines()[-1].split(' ', 2)
    assert struck == 'True', 'the server was never asked, so nothing was tested'
    assert said.startswith('DeadlineError: '), said
    assert 'the storage gave no answer in 1 seconds' in said
    assert 0.9 < float(seconds) < 3, 'one deadline for all tries'
    if step in ('read', 'column', 'copy'):
        assert 'row [1, 4] of s3://' in said


@pytest.mark.parametrize('step', ['open', 'query', 'read'])
def test_ctrl_c_ends_the_wait(step: str) -> None:
    command = [sys.executable, '-c', SCRIPT, step, '60']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        try:
            while child.stdout.readline() not in ('waiting\n', ''):
                pass
            time.sleep(0.5)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=50)
        finally:
            child.kill()
    struck, seconds, said = out.split(' ', 2)
    assert (struck, said) == ('True', 'interrupted\n'), err
    assert float(seconds) < 40, 'not by its deadline'


class Never:
    """A future that never completes."""

    cancelled = False

    def is_completed(self) -> bool:
        return False

    def cancel(self) -> None:
        self.cancelled = True


def test_a_wait_that_is_given_up_is_cancelled() -> None:
    future = Never()
    with pytest.raises(
        DeadlineError, match=r'Opening x: the storage gave no answer in 0.05 seconds. Check the network'
    ):
        wait(future, 'Opening x', 0.05)
    assert future.cancelled


def test_a_wait_that_is_interrupted_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    future = Never()
    monkeypatch.setattr(time, 'sleep', interrupt)
    with pytest.raises(KeyboardInterrupt):
        wait(future, 'Opening x', 10)
    assert future.cancelled


def test_an_answer_in_time_is_given() -> None:
    class Soon(Never):
        asked = 0

        def is_completed(self) -> bool:
            self.asked += 1
            return self.asked > 3

        def result(self) -> Any:
            return 'answer'

    future = Soon()
    assert wait(future, 'Opening x', 10) == wait(future, 'Opening x') == 'answer'
    assert not future.cancelled
