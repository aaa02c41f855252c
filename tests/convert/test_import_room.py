"""When an import commits for the sake of room: on the disk, and in memory."""

from __future__ import annotations

import numpy as np
import pytest

from deeplake_mmdet.convert import convert_coco, materialize, storage
from deeplake_mmdet.convert.storage import SPARE_BYTES, ImportStoppedError, Room, nbytes_of
from deeplake_mmdet.convert.unfinished import UnfinishedImport

MIB = 2**20


class Place:
    """Stands in for a destination: a disk of a given size, or a storage that tells none."""

    path, owner = 'data/mine', 'convert'

    def __init__(self, free: int | None = None) -> None:
        self.free = free

    def free_bytes(self) -> int | None:
        return self.free


def commits(sizes: list[int], room: Room) -> list[int]:
    """How much each commit keeps when batches of these sizes are written."""
    kept, pending = [], 0
    for size in sizes:
        room.take(size)
        pending += size
        if room.is_short:
            kept.append(pending)
            pending = 0
            room.settle()
    return kept


@pytest.mark.parametrize('size', [MIB, 30 * MIB, 64 * MIB, 300 * MIB])
def test_what_is_not_committed_stays_below_a_quarter_of_a_gigabyte_at_first(size):
    kept = commits([size] * (4096 * MIB // size), Room(Place()))
    assert all(256 * MIB <= pending < 256 * MIB + size for pending in kept)
    assert sum(kept) > 4096 * MIB - 256 * MIB - size


def test_commits_stay_few_and_bounded_however_much_is_imported():
    kept = commits([64 * MIB] * 2**15, Room(Place()))  # 2 TiB
    assert max(kept) <= 2048 * MIB + 64 * MIB
    assert kept == sorted(kept)
    assert len(kept) < 1200


def test_a_small_import_commits_once():
    assert commits([MIB] * 200, Room(Place())) == []


def test_a_disk_that_gets_full_makes_a_commit_due_before_it_is():
    room = Room(Place(100 * MIB))
    room.take(10 * MIB)
    assert not room.is_short
    room.take(70 * MIB)
    assert room.is_short
    with pytest.raises(ImportStoppedError, match=r"expected room for 104 MB more at 'data/mine', but got a full disk"):
        room.take(20 * MIB)
    with pytest.raises(ImportStoppedError, match='100 MB are free'):
        storage.check_room(Place(100 * MIB), 100 * MIB - SPARE_BYTES + 1)


@pytest.mark.parametrize(
    ('value', 'size'),
    [(None, 0), (b'abc', 3), ('abc', 3), (np.int64(1), 8), (np.zeros((2, 3), np.float32), 24), (7, 0)],
)
def test_the_bytes_of_a_value_are_counted(value, size):
    assert nbytes_of(value) == size
    assert nbytes_of([value, [value]]) == 2 * size


@pytest.fixture
def noted(monkeypatch):
    """The rows that each commit keeps, of batches of one row and of commits after so few bytes."""
    found = []
    commit = UnfinishedImport.commit

    def note(self, checkpoint):
        found.append(checkpoint.rows)
        commit(self, checkpoint)

    monkeypatch.setattr(UnfinishedImport, 'commit', note)
    monkeypatch.setattr('deeplake_mmdet.convert.writer.BATCH_ROWS', 1)
    monkeypatch.setattr(storage, '_LEAST_BYTES', 1)
    return found


def test_an_import_commits_when_enough_is_pending_and_loses_no_row(coco, tmp_path, noted, rows):
    path, folder, document = coco()
    convert_coco(path, tmp_path / 'out', images=folder, checkpoint_s=1e9)
    count = len(document['images'])
    assert noted == [*range(count + 1), count]
    stored = rows(tmp_path / 'out')
    assert [row['file_name'] for row in stored] == [image['file_name'] for image in document['images']]
    assert all(row['images'] == (folder / row['file_name']).read_bytes() for row in stored)


def test_a_copy_commits_when_enough_is_pending_and_loses_no_row(coco, tmp_path, noted, rows):
    path, folder, document = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    noted.clear()
    materialize({'deeplake_path': str(tmp_path / 'out')}, tmp_path / 'copy')
    assert noted[: len(document['images']) + 1] == [*range(len(document['images']) + 1)]
    copied = rows(tmp_path / 'copy')
    assert [row['images'] for row in copied] == [row['images'] for row in rows(tmp_path / 'out')]
