"""Many processes and one file: one makes it, all map it, and none waits for the dead."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.annotations.cache import entry, lock
from deeplake_mmdet.errors import SourceError
from tests.support.cached import assert_same, files, folder, is_cached, read, read_and_report, read_anew, the_file
from tests.support.children import ROOT, in_child
from tests.support.tiny import write_tiny

MIB = 2**20
# Reads annotations, and stops in the middle of it.
STUCK = """
import sys, time
from deeplake_mmdet.annotations.cache import cached
from tests.support.cached import read
def build(*args, **kwargs):
    print('building', flush=True)
    time.sleep(600)
cached.build_index = build
read(sys.argv[1])
"""

# Says so before it waits.
WAITS = """
from deeplake_mmdet.annotations.cache.lock import FileLock
acquire = FileLock.acquire
def waiting(*args):
    print('waiting', flush=True)
    return acquire(*args)
FileLock.acquire = waiting
"""


@pytest.fixture
def path(tmp_path):
    return write_tiny(tmp_path / 'ds')


@pytest.fixture
def stuck(path):
    """A process that holds the lock for ever."""
    with subprocess.Popen([sys.executable, '-c', STUCK, path], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == 'building\n'
        yield process
        process.kill()


def started(target: Any, count: int, *args: Any) -> list[tuple[Any, Any]]:
    """Forked children, each with the end of a pipe to it."""
    found = []
    for _ in range(count):
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context('fork').Process(target=target, args=(theirs, *args))
        child.start()
        found.append((child, ours))
    return found


def test_of_processes_that_start_at_once_one_reads_the_annotations(path):
    children = started(read_and_report, 5, path)
    answers = [ours.recv() for _, ours in children if ours.poll(60)]
    for child, _ in children:
        child.join(10)
    assert sorted(count for count, _, _ in answers) == [0, 0, 0, 0, 1]
    assert {(cached, digest) for _, cached, digest in answers} == {(True, read_anew(path)[0].digest)}
    assert len(files()) == 1
    assert files('.partial') == []


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_a_builder_that_is_killed_is_followed_by_the_next_one(path, stuck, number):
    stuck.send_signal(number)
    index, remarks = read(path)
    assert is_cached(index)
    assert len(remarks) == 1


def test_a_builder_that_is_killed_while_it_writes_leaves_nothing_that_counts(path, monkeypatch):
    def killed(layout: Any, file: Any) -> None:
        file.write(layout.beginning * 2)
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr('deeplake_mmdet.annotations.cache.layout.Layout.write', killed)
        assert in_child('fork', read_and_report, path) == 'exit code -9'
    assert len(files('.partial')) == 1
    assert files() == []
    index, _ = read(path)
    assert_same(index, read_anew(path)[0])
    assert is_cached(index)
    assert files('.partial') == []


def test_a_builder_that_is_stuck_is_waited_for_and_then_done_without(path, stuck, monkeypatch):
    monkeypatch.setattr(entry, '_PATIENCE_S', 0.2)
    index, remarks = read(path)
    assert not is_cached(index)
    assert remarks[0].endswith(f'another process has been making {folder()}/{lock_of(path)}.index for 0 seconds.')
    assert_same(index, read_anew(path)[0])


def lock_of(path: str) -> str:
    (lock,) = files('.lock')
    return lock.stem


def test_a_process_that_waits_can_be_interrupted(path, stuck):
    command = [sys.executable, '-c', f'{WAITS}{STUCK}', path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as waiting:
        assert waiting.stdout.readline() == 'waiting\n'
        waiting.send_signal(signal.SIGINT)
        said, errors = waiting.communicate(timeout=100)
    assert 'KeyboardInterrupt' in errors
    assert said == ''


def test_a_lock_is_not_taken_on_a_file_that_was_removed_meanwhile(tmp_path, monkeypatch):
    original = lock.try_lock

    def removed_before(descriptor):
        (tmp_path / 'lock').unlink()
        monkeypatch.setattr(lock, 'try_lock', original)
        return original(descriptor)

    monkeypatch.setattr(lock, 'try_lock', removed_before)
    first, second = (lock.FileLock(tmp_path / 'lock') for _ in range(2))
    assert first.acquire(1)
    assert not second.acquire(0.01)
    first.release()
    assert second.acquire(1)
    second.release()


def private_and_all(index: Any, file_of_it: Path) -> tuple[int, int]:
    """Bytes of a process's own and in all, of the pages of the cached index, every one of which is read before."""
    for value in vars(index).values():
        if isinstance(value, np.ndarray):
            value.max()
    found, counts = {'Private_Clean': 0, 'Private_Dirty': 0, 'Rss': 0}, False
    with open('/proc/self/smaps') as file:
        for line in file:
            name = line.partition(':')[0]
            if line[0] in '0123456789abcdef':
                counts = line.endswith(f'{file_of_it}\n')
            elif counts and name in found:
                found[name] += int(line.split()[1]) * 1024
    return found['Private_Clean'] + found['Private_Dirty'], found['Rss']


def report_pages(connection: Any, index: Any, rows: Any, file_of_it: Path) -> None:
    """In a child: what it holds of an index that it was given."""
    connection.send((index.digest, private_and_all(index, file_of_it), index.rows is rows, type(index.boxes).__name__))
    connection.recv()


@pytest.mark.skipif(not os.path.exists('/proc/self/smaps'), reason='only Linux tells')
@pytest.mark.parametrize('method', ['fork', 'spawn', 'forkserver'])
def test_processes_share_the_pages_of_one_file(tmp_path, method):
    path = write_tiny(tmp_path / 'ds', boxes=[np.tile([[1, 1, 5, 5]], (400, 1))] * 100)
    index, _ = read(path)
    size = the_file().stat().st_size
    assert size > MIB
    assert private_and_all(index, the_file())[1] >= size - 4096
    ours, theirs = multiprocessing.Pipe()
    given = (theirs, index, index.rows, the_file())
    child = multiprocessing.get_context(method).Process(target=report_pages, args=given)
    child.start()
    try:
        assert ours.poll(200)
        digest, (private, everything), is_one, kind = ours.recv()
        assert digest == index.digest
        assert everything >= size - 4096
        assert private == private_and_all(index, the_file())[0] == 0
        assert is_one
        assert kind == 'MappedArray'
    finally:
        ours.send(None)
        child.join(20)


def test_a_child_that_is_started_gets_the_place_of_the_numbers_and_others_the_numbers(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[np.tile([[1, 1, 5, 5]], (400, 1))] * 10)
    index, _ = read(path)
    assert len(pickle.dumps(index)) > index.boxes.nbytes
    before = pickle.dumps(index)
    del index
    the_file().unlink()
    assert_same(pickle.loads(before), read_anew(path)[0])


def test_a_file_that_is_gone_when_a_child_looks_for_it_is_an_error(path, monkeypatch):
    from deeplake_mmdet.annotations.cache import mapped

    index, _ = read(path)
    monkeypatch.setattr(mapped, 'get_spawning_popen', lambda: True)
    shipped = pickle.dumps(index)
    assert len(shipped) < 4000
    assert_same(pickle.loads(shipped), index)
    os.utime(the_file())
    with pytest.raises(SourceError, match='share with the one that started it, cannot be used: it was changed'):
        pickle.loads(shipped)
    the_file().unlink()
    with pytest.raises(SourceError, match=r'No such file or directory.*DEEPLAKE_MMDET_CACHE=off'):
        pickle.loads(shipped)


def test_a_copy_of_an_index_takes_no_memory_and_nobody_can_write_to_it(path):
    index, _ = read(path)
    copied = copy.deepcopy(index)
    assert copied.boxes is index.boxes
    with pytest.raises(ValueError, match='read-only'):
        copied.boxes[0] = 0
    changed = copy.deepcopy(index.boxes + 1)
    changed[0] = 0
    assert type(pickle.loads(pickle.dumps(index.boxes[1:]))) is np.ndarray


def test_an_index_lives_on_when_its_file_is_removed(path):
    index, _ = read(path)
    the_file().unlink()
    assert_same(index, read_anew(path)[0])
    assert is_cached(read(path)[0])
