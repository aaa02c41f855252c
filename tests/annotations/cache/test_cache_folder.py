"""The cache's folder: where it is, how much it holds, and that a run never depends on it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.annotations.cache import cached, lock
from deeplake_mmdet.annotations.cache import folder as folder_module
from deeplake_mmdet.annotations.cache.folder import cache_folder, size_limit
from deeplake_mmdet.errors import ConfigError
from tests.support.cached import assert_same, files, folder, is_cached, read, read_anew, the_file
from tests.support.children import in_child
from tests.support.tiny import write_tiny


@pytest.fixture
def path(tmp_path):
    return write_tiny(tmp_path / 'ds')


def test_the_folder_is_in_the_users_cache_unless_another_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_folder() == folder()
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE', '~/mine')
    assert cache_folder() == tmp_path / 'mine' / 'index'
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE', ' OFF ')
    assert cache_folder() is None
    monkeypatch.delenv('DEEPLAKE_MMDET_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', '/var/caches')
    assert cache_folder() == Path('/var/caches/deeplake_mmdet/index')
    for name in ('not/absolute', ''):
        monkeypatch.setenv('XDG_CACHE_HOME', name)
        assert cache_folder() == tmp_path / '.cache' / 'deeplake_mmdet' / 'index'


MOUNTS = """\
rootfs / rootfs rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local\\040disk xfs rw 0 0
user@host: /mnt/far fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ('path', 'network'),
    [
        ('/data/me/.cache', False),
        ('/home/me/.cache', True),
        ('/home/local disk/.cache', False),
        ('/homes/me/.cache', False),
        ('/mnt/far', True),
    ],
)
def test_where_the_users_cache_is_on_a_network_a_local_folder_takes_its_place(tmp_path, monkeypatch, path, network):
    (tmp_path / 'mounts').write_text(MOUNTS)
    monkeypatch.setattr(folder_module, '_MOUNTS', str(tmp_path / 'mounts'))
    monkeypatch.delenv('DEEPLAKE_MMDET_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', path)
    monkeypatch.setattr(folder_module.tempfile, 'tempdir', '/here')
    local = Path(f'/here/deeplake_mmdet-index-{os.getuid()}')
    assert cache_folder() == (local if network else Path(path, 'deeplake_mmdet', 'index'))


@pytest.mark.parametrize(
    ('given', 'size'),
    [('', 10**10), ('7', 7), ('50GB', 50 * 10**9), ('1.5 kib', 1536), ('2T', 2 * 10**12), ('3 mb', 3 * 10**6)],
)
def test_sizes_are_understood(monkeypatch, given, size):
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE_SIZE', given)
    assert size_limit() == size


@pytest.mark.parametrize('given', ['much', '-1', '5 XB', '1,5GB'])
def test_what_is_no_size_is_an_error_at_once(path, monkeypatch, given):
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE_SIZE', given)
    with pytest.raises(ConfigError, match=f"DEEPLAKE_MMDET_CACHE_SIZE expected a size such as 50GB, but got '{given}'"):
        read(path)


def without_a_cache(path: str, why: str) -> None:
    """Annotations are right, and one line says why they are not cached."""
    index, remarks = read(path)
    assert not is_cached(index)
    assert len(remarks) == 1
    assert remarks[0].startswith('The annotations are not cached, so that every process reads them by itself: ')
    assert why in remarks[0]
    assert_same(index, read_anew(path)[0])
    assert files('.partial') == []


def test_a_folder_that_cannot_be_made_is_done_without(path, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE', str(tmp_path / 'file'))
    without_a_cache(path, 'Not a directory')


def test_a_folder_that_others_may_write_to_is_done_without(path):
    folder().mkdir(parents=True)
    folder().chmod(0o777)
    without_a_cache(path, f'other users may write to {folder()}')


def failing(error: int) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(error, os.strerror(error))

    return fail


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write to everything')
def test_a_read_only_folder_is_done_without(path):
    folder().mkdir(parents=True, mode=0o500)
    without_a_cache(path, 'Permission denied')


def test_a_read_only_file_system_is_done_without(path, monkeypatch):
    monkeypatch.setattr(lock.FileLock, 'acquire', failing(30))
    without_a_cache(path, 'Read-only file system')


def test_a_file_system_without_locks_is_done_without(path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, 'flock', failing(37))
    without_a_cache(path, 'No locks available')


def test_an_index_on_a_read_only_file_system_is_checked_and_used(path, monkeypatch):
    read(path)
    os.utime(the_file())  # nobody checked it as it is now
    monkeypatch.setattr(lock.FileLock, 'acquire', failing(30))
    index, remarks = read(path)
    assert is_cached(index)
    assert remarks == [f'The annotations are cached: {the_file()}.']


def test_a_full_disk_is_done_without(path, monkeypatch):
    def write(layout: Any, file: Any) -> None:
        file.write(layout.beginning)
        file.flush()
        failing(28)()

    monkeypatch.setattr('deeplake_mmdet.annotations.cache.layout.Layout.write', write)
    without_a_cache(path, 'No space left on device')


def read_with_small_files(connection: Any, path: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    index, remarks = read(path)
    connection.send((index.digest, remarks, files('.partial'), files()))


def test_a_limit_on_the_size_of_files_is_done_without(path):
    digest, remarks, partial, whole = in_child('fork', read_with_small_files, path)
    assert digest == read_anew(path)[0].digest
    assert 'File too large' in remarks[0]
    assert partial == whole == []


def test_a_disk_is_never_filled_to_the_brim(path, monkeypatch):
    usage = folder_module.shutil.disk_usage('/')
    monkeypatch.setattr(folder_module.shutil, 'disk_usage', lambda where: usage._replace(free=2000))
    without_a_cache(path, 'are too much for the 0.002 MB that are free')


def test_an_index_above_the_limit_is_done_without_and_removes_nothing(tmp_path, path, monkeypatch):
    read(path)
    large = write_tiny(tmp_path / 'large', boxes=[[[1, 1, 5, 5]] * 50] * 6)
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE_SIZE', '5 kB')
    without_a_cache(large, 'which DEEPLAKE_MMDET_CACHE_SIZE limits to 0.005 MB')
    assert is_cached(read(path)[0])


def sized(count: int) -> str:
    """A limit for so many of the small indexes."""
    return str(count * (the_file().stat().st_size + 500))


def test_what_was_used_longest_ago_makes_room(tmp_path, path, monkeypatch):
    read(path)
    first = the_file()
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE_SIZE', sized(2))
    read(path, ('cat',))
    (second,) = set(files()) - {first}
    for file, seconds in ((first, 100), (second, 200)):
        os.utime(file.with_suffix('.lock'), (seconds, seconds))
    read(path)  # the first one is used again
    read(path, ('dog',))
    assert first in files()
    assert second not in files()
    assert len(files()) == 2
    read(path, ('dog', 'cat'))
    assert len(files('.lock')) <= 3, 'the locks of removed files go as well'


def test_an_index_in_use_is_never_removed(path, monkeypatch):
    used, _ = read(path)
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE_SIZE', sized(1))
    index, remarks = read(path, ('cat',))
    assert not is_cached(index)
    assert 'do not fit into' in remarks[0]
    assert_same(used, read_anew(path)[0])
    before = the_file()
    del used, index
    assert is_cached(read(path, ('cat',))[0])
    assert before not in files()


def test_what_a_dead_process_left_is_removed(path):
    folder().mkdir(parents=True, mode=0o700)
    for name in ('abc.partial', 'abc.lock', 'notes.txt'):
        (folder() / name).touch()
    read(path)
    assert sorted(file.suffix for file in folder().iterdir()) == ['.index', '.lock', '.txt']


def test_an_annotation_error_leaves_the_lock_free(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cached, 'build_index', failing(5))
        with pytest.raises(OSError, match='Input/output error'):
            read(path)
    assert is_cached(read(path)[0])
