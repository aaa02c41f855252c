"""A file that is not as it was written is noticed, replaced, and never believed."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from deeplake_mmdet.annotations.cache import entry, stamp
from deeplake_mmdet.annotations.cache.index_file import check
from deeplake_mmdet.annotations.cache.layout import DamagedError, Layout, read_header
from deeplake_mmdet.annotations.cache.mapped import MappedFile
from tests.support.cached import assert_same, files, is_cached, read, read_anew, the_file
from tests.support.tiny import write_tiny


def flip(file, place):
    """Change one bit, and let the file look as old as it was."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[place] ^= 16
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def place_of(file, name):
    """Where an array of a file begins."""
    return read_header(file.read_bytes())[1][name][2]


DAMAGES = {
    'cut by a byte': lambda file: os.truncate(file, file.stat().st_size - 1),
    'cut to half': lambda file: os.truncate(file, file.stat().st_size // 2),
    'emptied': lambda file: os.truncate(file, 0),
    'a byte too long': lambda file: file.write_bytes(file.read_bytes() + b'\0'),
    'zeroed': lambda file: file.write_bytes(bytes(file.stat().st_size)),
    'another kind of file': lambda file: file.write_bytes(b'{"annotations": []}'),
    'a bit of its magic': lambda file: flip(file, 0),
    'a bit of its length': lambda file: flip(file, 12),
    'a bit of its words': lambda file: flip(file, 100),
    **{
        f'a bit of {name}': lambda file, name=name: flip(file, place_of(file, name))
        for name in ('rows', 'sizes', 'offsets', 'boxes', 'labels', 'areas', 'crowd', 'usable', 'class_counts')
    },
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_file_is_replaced_and_said(tmp_path, damage):
    path = write_tiny(tmp_path / 'ds')
    before = the_file_of(path)
    DAMAGES[damage](before)
    index, remarks = read(path)
    assert_same(index, read_anew(path)[0])
    assert [remark for remark in remarks if f'{before} is damaged and made anew' in remark]
    assert is_cached(index)
    assert not [remark for remark in read(path)[1] if 'damaged' in remark]


def the_file_of(path):
    read(path)
    return the_file()


def test_a_damaged_file_is_removed_also_where_none_can_take_its_place(tmp_path, monkeypatch):
    path = write_tiny(tmp_path / 'ds')
    flip(the_file_of(path), place_of(the_file(), 'boxes'))
    monkeypatch.setenv('DEEPLAKE_MMDET_CACHE_SIZE', '1')
    index, remarks = read(path)
    assert_same(index, read_anew(path)[0])
    assert len(remarks) == 2
    assert files() == []


def test_every_byte_of_a_file_counts(tmp_path):
    file = the_file_of(write_tiny(tmp_path / 'ds', boxes=[[[1, 2, 3, 4]]]))
    check(MappedFile(file))
    content, arrays = file.read_bytes(), read_header(file.read_bytes())[1]
    places = [place + i for dtype, shape, place in arrays.values() for i in range(dtype.itemsize * math.prod(shape))]
    for place in [*range(32 + int.from_bytes(content[8:16], 'little')), *sorted(places)]:
        flip(file, place)
        with pytest.raises(DamagedError):
            check(MappedFile(file))
        flip(file, place)
    assert file.read_bytes() == content
    check(MappedFile(file))


def test_a_file_is_checked_once_and_again_after_a_change_or_a_restart(tmp_path, monkeypatch):
    path = write_tiny(tmp_path / 'ds')
    checks = []
    original = entry.check
    monkeypatch.setattr(entry, 'check', lambda file: checks.append(1) or original(file))
    for _ in range(3):
        read(path)
    assert checks == []  # whoever wrote it knows what it wrote
    os.utime(the_file())
    for _ in range(3):
        read(path)
    assert checks == [1]
    monkeypatch.setattr(stamp, '_boot', lambda: 'the next one')
    for _ in range(3):
        read(path)
    assert checks == [1, 1]
    monkeypatch.setattr(stamp, '_boot', lambda: '')  # not known: nobody remembers
    for _ in range(2):
        read(path)
    assert checks == [1, 1, 1, 1]


def test_two_machines_that_share_a_folder_check_once_each(tmp_path, monkeypatch):
    path = write_tiny(tmp_path / 'ds')
    checks = []
    original = entry.check
    monkeypatch.setattr(entry, 'check', lambda file: checks.append(1) or original(file))
    for boot in ('one', 'other', 'one', 'other'):
        monkeypatch.setattr(stamp, '_boot', lambda boot=boot: boot)
        read(path)
    assert checks == [1]


def test_the_file_of_another_key_is_not_taken(tmp_path):
    path = write_tiny(tmp_path / 'ds')
    read(path, ('cat',))
    other = the_file()
    content = other.read_bytes()
    other.unlink()
    read(path)
    the_file().write_bytes(content)
    index, remarks = read(path)
    assert [remark for remark in remarks if 'damaged and made anew: it was made for another key' in remark]
    assert_same(index, read_anew(path)[0])


@pytest.mark.parametrize('how', ['of another user', 'writable by others', 'a link'])
def test_a_file_that_another_user_could_have_written_is_not_taken(tmp_path, monkeypatch, how):
    path = write_tiny(tmp_path / 'ds')
    file = the_file_of(path)
    if how == 'of another user':
        monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
    elif how == 'writable by others':
        file.chmod(0o662)
    else:
        file.rename(tmp_path / 'elsewhere')
        file.symlink_to(tmp_path / 'elsewhere')
    index, remarks = read(path)
    assert is_cached(index) == (how != 'of another user')
    assert [remark for remark in remarks if str(file) in remark and 'cannot be used' in remark] or 'user' in how
    assert_same(index, read_anew(path)[0])


def test_a_file_and_its_folder_are_the_users_alone(tmp_path):
    file = the_file_of(write_tiny(tmp_path / 'ds'))
    assert file.parent.stat().st_mode & 0o777 == 0o700
    for one in (file, file.with_suffix('.lock')):
        assert one.stat().st_mode & 0o777 == 0o600


def test_no_secret_and_no_path_of_the_dataset_is_in_a_file(tmp_path):
    secret = 'sEcReTpRoBe0123456789'
    path = write_tiny(tmp_path / 'dataset_of_mine')
    read(path, deeplake_credentials={'creds': {'aws_secret_access_key': secret}})
    for file in (*files(''), *files('.lock')):
        assert secret.encode() not in file.read_bytes()
        assert b'dataset_of_mine' not in file.read_bytes()


def test_arrays_come_back_from_the_bytes_of_a_layout(tmp_path):
    same = np.arange(5)
    arrays = {'a': same, 'b': same, 'c': np.zeros((0, 4), np.float32), 'd': np.ones((2, 3), bool).T}
    layout = Layout.of(arrays, {'word': 1})
    with open(tmp_path / 'file', 'wb') as file:
        layout.write(file)
    data = (tmp_path / 'file').read_bytes()
    words, found = read_header(data)
    assert words == {'word': 1}
    assert len(data) == layout.size
    assert found['a'] == found['b']
    for name, (dtype, shape, place) in found.items():
        assert place % 64 == 0
        assert np.array_equal(np.ndarray(shape, dtype, data, place), arrays[name])
    with pytest.raises(DamagedError, match='its header was changed'):
        read_header(b'\1' + data[1:])
    with pytest.raises(DamagedError, match=f'it has {len(data) - 1} bytes instead of {len(data)}'):
        read_header(data[:-1])
