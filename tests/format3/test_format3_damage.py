"""Damage, locks, old releases and samples that never answer: each is a clear error, in bounded time."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.source import handle as handle_module
from deeplake_mmdet.source.format3 import stuck as stuck_module
from deeplake_mmdet.source.format3.chunks import parse_header
from deeplake_mmdet.source.format3.packed import is_whole
from deeplake_mmdet.source.format3.tensors import parse_chunk_index
from deeplake_mmdet.source.waiting import DeadlineError
from tests.format3.reading import resolve

COPY = Callable[[str], Path]


def chunk_of(path: Path, tensor: str) -> Path:
    """The largest chunk of a tensor in the first commit."""
    return max(path.glob(f'{tensor}/chunks/*'), key=lambda file: file.stat().st_size)


def cut(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


def locked(path: Path, seconds: float) -> Path:
    """A lock as Deep Lake 3 writes it: machine, end, process."""
    path.write_bytes(bytes(6) + struct.pack('d', time.time() + seconds) + bytes(4))
    return path


@pytest.mark.parametrize('tensor', ['boxes', 'categories', 'images', 'number'])
@pytest.mark.parametrize('share', [0.95, 0.5, 0.1, 0.0])
def test_a_cut_chunk_is_found_before_it_is_read(copied: COPY, tensor: str, share: float) -> None:
    path = copied('history')
    cut(chunk_of(path, tensor), share)
    handle = resolve(path, deeplake_commit_id='first')
    with pytest.raises(
        SourceError, match=rf"damaged: its file '{tensor}/chunks/\w+' of tensor '{tensor}' (is cut|has)"
    ):
        handle.read_column(tensor, 0, len(handle))
    with pytest.raises(SourceError, match=rf"Reading column '{tensor}', row 0 of .*damaged"):
        handle.read(tensor, [0])


@pytest.mark.parametrize('tensor', ['ann/packed_labels', 'binary_mask', 'polygons', 'text'])
def test_a_cut_chunk_of_any_kind_is_found(copied: COPY, tensor: str) -> None:
    path = copied('columns')
    cut(chunk_of(path, tensor), 0.9)
    handle = resolve(path)
    with pytest.raises(SourceError, match=rf"of tensor '{tensor}' is cut"):
        handle.read_column(tensor, 0, len(handle))


def test_images_that_end_in_zeros_because_their_chunk_is_cut_are_found(copied: COPY) -> None:
    from deeplake_mmdet.source.columns import ImageColumn
    from deeplake_mmdet.source.images import ImageReader

    path = copied('columns')
    whole = ImageReader(resolve(path), ImageColumn('packed_lz4', None)).encoded([0, 1, 2, 3])
    assert all(isinstance(image, bytes) for image in whole)
    cut(chunk_of(path, 'packed_lz4'), 0.9)
    with pytest.raises(SourceError, match=r"of tensor 'packed_lz4' is cut"):
        ImageReader(resolve(path), ImageColumn('packed_lz4', None)).encoded([0, 1, 2, 3])


def test_a_cut_tile_is_found(copied: COPY) -> None:
    path = copied('tiled')
    cut(chunk_of(path, 'images'), 0.9)
    with pytest.raises(SourceError, match=r"of tensor 'images' is cut"):
        resolve(path).read('images', [0])


def test_a_missing_chunk_is_named(copied: COPY) -> None:
    path = copied('history')
    chunk_of(path, 'boxes').unlink()
    handle = resolve(path, deeplake_commit_id='first')
    with pytest.raises(SourceError, match=r"of tensor 'boxes' is missing"):
        handle.read('boxes', [0])
    assert len(handle.read('categories', [0])) == 1, 'other tensors are not looked at'


def test_images_packed_into_one_picture_are_refused(unpacked: Path) -> None:
    with pytest.raises(SourceError, match=r"'packed_png' .*chunk_compression='png'.*takes apart wrongly"):
        resolve(unpacked / 'columns').read('packed_png', [0])


def test_a_sample_in_several_packed_chunks_is_refused_before_anything_is_read(copied: COPY) -> None:
    path = copied('tiled')
    meta = path / 'images' / 'tensor_meta.json'
    changed = {'sample_compression': None, 'chunk_compression': 'lz4'}
    meta.write_text(json.dumps(json.loads(meta.read_text()) | changed))
    with pytest.raises(SourceError, match=r"'images' .*chunk_compression='lz4'.* row 1 is cut into several chunks"):
        resolve(path).read('images', [0])
    assert len(resolve(path).read('boxes', [0])) == 1, 'other tensors are not looked at'


@pytest.mark.parametrize(('tensor', 'compression'), [('polygons', 'lz4'), ('matrix', 'webp')])
def test_a_compression_that_gives_other_numbers_or_none_is_refused(copied: COPY, tensor: str, compression: str) -> None:
    path = copied('columns')
    for meta in path.glob(f'**/{tensor}/tensor_meta.json'):
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {'sample_compression': compression}))
    with pytest.raises(SourceError, match=rf"'{tensor}' .*sample_compression='{compression}', which .*other numbers"):
        resolve(path).read(tensor, [1])


def test_binary_masks_as_png_are_refused_because_deep_lake_4_crashes_at_them(copied: COPY) -> None:
    path = copied('columns')
    for meta in path.glob('**/binary_mask/tensor_meta.json'):
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {'sample_compression': 'png'}))
    with pytest.raises(SourceError, match=r"'binary_mask' .*sample_compression='png', at which .*it reads lz4\."):
        resolve(path)


def test_a_version_is_read_though_the_first_one_had_a_tensor_that_cannot_be(copied: COPY) -> None:
    path = copied('history')
    meta = path / 'images' / 'tensor_meta.json'
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {'sample_compression': 'webp'}))
    assert len(resolve(path, deeplake_branch='dev').read('boxes', [0])) == 1
    with pytest.raises(SourceError, match=r"'images' .*sample_compression='webp', at which"):
        resolve(path, deeplake_commit_id='first')


@pytest.mark.parametrize('compression', ['webp', 'bmp', 'tiff'])
def test_a_compression_at_which_deep_lake_4_crashes_is_refused(copied: COPY, compression: str) -> None:
    path = copied('tiled') / 'images' / 'tensor_meta.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'sample_compression': compression}))
    with pytest.raises(
        SourceError, match=rf"'images' .*sample_compression='{compression}', at which .*crashes; it reads"
    ):
        resolve(path.parents[1])


@pytest.mark.parametrize('how', ['missing', 'half', 'garbage', 'empty'])
@pytest.mark.parametrize(
    'file', ['version_control_info.json', 'boxes/tensor_meta.json', 'boxes/chunks_index/unsharded']
)
def test_a_damaged_description_is_named(copied: COPY, file: str, how: str) -> None:
    path = copied('history')
    content = (path / file).read_bytes()
    changed = {'half': content[: len(content) // 2], 'garbage': b'\x80garbage' * 5, 'empty': b''}
    if how == 'missing':
        (path / file).unlink()
    else:
        (path / file).write_bytes(changed[how])
    with pytest.raises(SourceError, match=rf"is damaged: its file '{file}' (is missing|holds|lists)"):
        resolve(path, deeplake_commit_id='first')


@pytest.mark.parametrize('how', ['half', 'garbage', 'empty'])
def test_a_damaged_description_of_the_dataset_is_named(copied: COPY, how: str) -> None:
    path = copied('history') / 'dataset_meta.json'
    content = path.read_bytes()
    path.write_bytes({'half': content[: len(content) // 2], 'garbage': b'\x80garbage' * 5, 'empty': b''}[how])
    with pytest.raises(SourceError, match=r"is damaged: its file 'dataset_meta.json' holds no JSON object"):
        resolve(path.parent)


def test_damaged_views_are_named(copied: COPY) -> None:
    path = copied('history')
    cut(path / 'queries.json', 0.5)
    with pytest.raises(SourceError, match=r"its file 'queries.json' lists no views"):
        resolve(path, deeplake_view_id='even')
    assert len(resolve(path)) == 6, 'who asks for no view needs none'


def test_a_version_that_lacks_its_parent_is_damage(copied: COPY) -> None:
    path = copied('history') / 'version_control_info.json'
    document = json.loads(path.read_text())
    lost = next(commit for commit, item in document['commits'].items() if item['children'] and item['parent'])
    del document['commits'][lost]
    path.write_text(json.dumps(document))
    with pytest.raises(SourceError, match=rf'lacks the versions .*{lost}'):
        resolve(path.parent)


def test_a_dataset_without_its_versions_is_damaged(tmp_path: Path) -> None:
    (tmp_path / 'dataset_meta.json').write_text('{"version": "3.9.52"}')
    with pytest.raises(
        SourceError, match=r"format 3 at .* is damaged: its file 'version_control_info.json' is missing"
    ):
        resolve(tmp_path)


@pytest.mark.parametrize('version', ['1.3.0', '2.0.8', '2.3.4'])
def test_data_of_an_older_release_than_can_be_read_says_how_to_copy_it(copied: COPY, version: str) -> None:
    path = copied('tiled')
    meta = json.loads((path / 'dataset_meta.json').read_text())
    (path / 'dataset_meta.json').write_text(json.dumps(meta | {'version': version}))
    with pytest.raises(SourceError, match=rf'release {version}, which is older than can be read: 2.3.5 .*deepcopy'):
        resolve(path)


@pytest.mark.parametrize(
    ('version', 'match'), [('4.0.0', 'says that release 4.0.0'), ('x', "the version 'x'"), (None, 'version None')]
)
def test_a_release_that_wrote_no_format_3_is_not_believed(copied: COPY, version: str | None, match: str) -> None:
    path = copied('tiled')
    meta = json.loads((path / 'dataset_meta.json').read_text())
    (path / 'dataset_meta.json').write_text(json.dumps(meta | {'version': version}))
    with pytest.raises(SourceError, match=match):
        resolve(path)


@pytest.mark.parametrize('seconds', [200, None])
def test_a_head_that_somebody_is_writing_is_refused_and_what_is_committed_is_read(
    copied: COPY, seconds: float | None
) -> None:
    path = copied('history')
    head = json.loads((path / 'version_control_info.json').read_text())['branches']['main']
    lock = path / 'versions' / head / 'dataset_lock.lock'
    if seconds is None:
        lock.write_bytes(b'?')
    else:
        locked(lock, seconds)
    with pytest.raises(
        SourceError, match=r"is locked \('versions/.*deeplake_commit_id='\w+'.*delete the file"
    ) as caught:
        resolve(path)
    pinned = str(caught.value).split("deeplake_commit_id='")[1].split("'")[0]
    assert len(resolve(path, deeplake_commit_id=pinned)) == 5
    assert len(resolve(path, deeplake_branch='dev')) == 6, 'another branch is not locked'


def test_a_lock_of_the_whole_dataset_holds_for_every_head_and_is_said_elsewhere(copied: COPY) -> None:
    path = copied('history')
    locked(path / 'dataset_lock.lock', 200)
    for pins in ({}, {'deeplake_branch': 'dev'}):
        with pytest.raises(SourceError, match=r"is locked \('dataset_lock.lock'\): a program with Deep Lake 3"):
            resolve(path, **pins)
    for pins in ({'deeplake_commit_id': 'first'}, {'deeplake_view_id': 'even'}):
        assert 'is locked by a writer (dataset_lock.lock)' in resolve(path, **pins).remarks[0]


def test_a_lock_that_ran_out_is_said_and_holds_nobody_up(copied: COPY) -> None:
    path = copied('tiled')
    locked(path / 'dataset_lock.lock', -5)
    assert 'ignored dataset_lock.lock, a lock of Deep Lake 3 that ran out' in resolve(path).remarks[0]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short deadlines."""
    for module, name in ((handle_module, 'READ_DEADLINE_S'), (stuck_module, '_PROBE_S')):
        assert hasattr(module, name)
        monkeypatch.setattr(module, name, 0.5)


@pytest.mark.parametrize('tensor', ['links', 'sequences', 'lists'])
@pytest.mark.usefixtures('impatient')
def test_a_sample_that_never_answers_is_named_with_its_tensor(
    unpacked: Path, tensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(unpacked)
    handle = resolve(unpacked / 'stuck')
    start = time.monotonic()
    with pytest.raises(SourceError, match=rf"Reading column '{tensor}', row .*") as caught:
        handle.read(tensor, [1, 2])
    assert time.monotonic() - start < 10
    if tensor == 'links':
        assert isinstance(caught.value, DeadlineError)
        assert "never reads the sample of row 1 in tensor 'links' of format 3" in str(caught.value)
    assert len(handle.read('boxes', [0, 1, 2])) == 3, 'other tensors are read on'
    assert len(handle.read(tensor, [0, 2])) == 2


def test_a_dataset_with_such_samples_opens_and_gives_its_other_tensors(unpacked: Path) -> None:
    handle = resolve(unpacked / 'stuck')
    assert [len(boxes) for boxes in handle.read_column('boxes', 0, 3)] == [1, 1, 1]
    assert len(handle.read('images', [0, 1, 2])) == 3


def test_chunk_indices_of_all_releases_are_understood() -> None:
    entries = bytes.fromhex('2a000000010000002b00000004000000')
    assert parse_chunk_index(b'\x052.3.5' + entries).tolist() == [[42, 1], [43, 4]]
    assert parse_chunk_index(b'\x063.9.52\x04' + entries).tolist() == [[42, 1], [43, 4]]
    assert parse_chunk_index(b'\x063.9.52\x04' + entries[:-1]) is None
    assert parse_chunk_index(b'\x063.9.52\x07' + entries) is None
    assert parse_chunk_index(b'\x063.9.52\x04' + entries[8:] + entries[:8]) is None, 'rows go up'


def test_the_header_of_a_chunk_says_how_many_samples_and_bytes_follow() -> None:
    shapes = struct.pack('<ii', 1, 2) + struct.pack('<II', 1, 4)
    places = struct.pack('<I', 2) + struct.pack('<III', 4, 0, 1) + struct.pack('<III', 6, 8, 4)
    content = b'\x063.9.52' + shapes + places
    header = parse_header(content)
    assert (header.size, header.samples, header.data) == (len(content), 5, 8 + 6 * 3)
    assert parse_header(content[:-1]).size == -1
    assert parse_header(b'\x06abcdef' + shapes + places) is None


def test_a_block_of_lz4_is_whole_or_not() -> None:
    block = bytes([0x1F, 7, 1, 0, 5, 0x50]) + b'ABCDE'  # a literal, a match of 15 + 5 + 4, five literals
    whole = struct.pack('<I', 30) + block
    assert is_whole(whole, 30)
    assert is_whole(b'', 0)
    assert not is_whole(b'', 30)
    assert not is_whole(whole, 31)
    assert not any(is_whole(whole[:-n], 30) for n in range(1, len(whole)))
