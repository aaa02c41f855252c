"""Forks wait until no thread is inside Deep Lake; without that they crash or freeze the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source import fork_gate
from deeplake_mmdet.source.fork_gate import guard_forks, reading
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.children import in_child, report, run_script

CODE = """
import os, sys, threading, time
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source.handle import SourceHandle

def main():
    handle = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': sys.argv[1]}))
    expected = [handle.read('images', [row])[0] for row in range(8)]
    reads, wrong, done = [0] * 4, [], threading.Event()
    def read(thread):
        while not done.is_set():
            row = reads[thread] % 8
            if handle.read('images', [row])[0] != expected[row]:
                wrong.append(row)
            reads[thread] += 1
    threads = [threading.Thread(target=read, args=(thread,), daemon=True) for thread in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(int(sys.argv[2])):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if handle.read('images', [turn % 8])[0] == expected[turn % 8] else 1)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.001)
        else:
            os.kill(pid, 9)
            status = 'frozen'
        if status:
            wrong.append(f'child {turn}: {status}')
    before = list(reads)
    time.sleep(0.2)
    moved = [now > then for now, then in zip(reads, before)]
    done.set()
    for thread in threads:
        thread.join(10)
    print(wrong, moved, flush=True)

main()
"""


def forks(path: str, count: int) -> None:
    ran = run_script(CODE, path, str(count), timeout=280)
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ['[] [True, True, True, True]']), ran.stderr


def test_forks_while_threads_read_crash_nothing(make_dataset: Callable[..., str]) -> None:
    forks(make_dataset(), 40)


@pytest.mark.slow
def test_many_forks_while_threads_read_crash_nothing(make_dataset: Callable[..., str]) -> None:
    forks(make_dataset(), 1000)


@pytest.fixture(autouse=True)
def guarded() -> None:
    guard_forks()


def fork() -> float:
    """Fork; gives the seconds that it took."""
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return time.monotonic() - start


def test_a_fork_waits_for_a_reader_of_another_thread() -> None:
    inside = threading.Event()

    def read() -> None:
        with reading():
            inside.set()
            time.sleep(0.5)

    thread = threading.Thread(target=read)
    thread.start()
    inside.wait()
    assert fork() > 0.3
    thread.join()


def test_a_fork_does_not_wait_for_its_own_thread() -> None:
    with reading(), reading():
        assert fork() < 5
    assert fork_gate._readers == 0


def test_readers_do_not_exclude_each_other() -> None:
    together = threading.Barrier(3, timeout=10)

    def read() -> None:
        with reading():
            together.wait()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.broken


@pytest.mark.parametrize('depth', [0, 1, 2])
def test_a_child_begins_with_the_readers_of_its_own_thread_only(depth: int) -> None:
    with ExitStack() as own:
        for _ in range(depth):
            own.enter_context(reading())
        pid = os.fork()
        if pid == 0:
            good = fork_gate._readers == depth
            own.close()
            os._exit(0 if good and fork_gate._readers == 0 else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_gate_is_put_in_place_once_and_before_deep_lakes_own_preparation() -> None:
    guard_forks()
    guard_forks()
    assert os.fork is fork_gate._fork
    assert fork_gate._unguarded.__module__ == 'deeplake'


def test_a_fork_that_fails_leaves_the_gate_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise BlockingIOError

    monkeypatch.setattr(fork_gate, '_unguarded', fail)
    with pytest.raises(BlockingIOError):
        os.fork()
    monkeypatch.undo()
    assert fork_gate._forks == 0

    def read() -> None:
        with reading():
            pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive(), 'another thread cannot get in'


def test_a_read_that_fails_leaves_the_gate_open() -> None:
    with pytest.raises(KeyError), reading():
        raise KeyError
    assert fork_gate._readers == 0


CACHED = """
import os, sys
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source.handle import SourceHandle
SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': sys.argv[1]}))
try:
    os.fork()
except RuntimeError as error:
    print(error)
"""


def test_a_fork_with_deep_lakes_cache_on_disk_is_refused_and_spawning_works(make_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv('DEEPLAKE_FS_CACHE_PATH', str(tmp_path / 'cache'))
    path = make_dataset()
    done = run_script(CACHED, path)
    assert "mp_start_method='spawn'" in done.stdout
    handle = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path}))
    assert in_child('spawn', report, handle, 'images', [1])[0] is False
