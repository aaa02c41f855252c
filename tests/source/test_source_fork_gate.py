"""Forks wait until no thread is inside Deep Lake; without that they crash or freeze the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest
from tests.support.children import run_script

from deeplake_mmdet.source import fork_gate
from deeplake_mmdet.source.fork_gate import reading

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


def fork_after(delay: float) -> float:
    """Fork, after a while; gives the seconds that the fork itself took."""
    time.sleep(delay)
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
    assert fork_after(0) > 0.3
    thread.join()


def test_a_fork_does_not_wait_for_its_own_thread() -> None:
    with reading(), reading():
        assert fork_after(0) < 5
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
    from contextlib import ExitStack

    release = threading.Event()
    with ExitStack() as own:
        for _ in range(depth):
            own.enter_context(reading())
        pid = os.fork()
        if pid == 0:
            good = fork_gate._readers == depth
            own.close()
            os._exit(0 if good and fork_gate._readers == 0 else 1)
    release.set()
    assert os.waitpid(pid, 0)[1] == 0


def test_a_read_that_fails_leaves_the_gate_open() -> None:
    with pytest.raises(KeyError), reading():
        raise KeyError
    assert fork_gate._readers == 0
