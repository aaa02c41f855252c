"""One import at a time to one place; a disk that is full; and what else stands in the way of writing a dataset."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import deeplake
import numpy as np
import pytest

from deeplake_mmdet.convert import (
    DatasetWriter,
    convert_coco,
    convert_voc,
    convert_yolo,
    make_demo,
    materialize,
    storage,
    writer,
)
from deeplake_mmdet.convert.clock import Clock
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.lock import ImportLock
from deeplake_mmdet.convert.schema import Column
from deeplake_mmdet.convert.storage import ImportStoppedError, mend_counters
from deeplake_mmdet.errors import ConversionError
from tests.support.children import ROOT
from tests.support.importing import contents, start

HOLD = (
    'import sys, time; from pathlib import Path; from deeplake_mmdet.convert.lock import ImportLock; '
    'ImportLock(Path(sys.argv[1]), "x"); print("held", flush=True); time.sleep(60)'
)


def test_a_lock_is_held_by_one_at_a_time_and_leaves_no_file(tmp_path):
    lock = ImportLock(tmp_path / 'lock', 'here')
    with pytest.raises(ConversionError, match=rf"expected 'there' for itself.*the process {os.getpid()} is writing to"):
        ImportLock(tmp_path / 'lock', 'there')
    lock.release()
    assert not list(tmp_path.iterdir())
    ImportLock(tmp_path / 'lock', 'there').release()


def test_the_lock_of_a_process_that_was_killed_stops_nobody(tmp_path):
    path = tmp_path / 'lock'
    child = subprocess.Popen([sys.executable, '-c', HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == 'held\n'
    with pytest.raises(ConversionError, match=rf'the process {child.pid} is writing to'):
        ImportLock(path, 'there')
    child.kill()
    child.wait()
    assert path.read_text() == f'{child.pid}\n'
    ImportLock(path, 'there').release()


def test_two_imports_to_one_place_do_not_meet(coco, tmp_path):
    path, folder, _ = coco()

    def begin_another(done, total):
        if done == 2:
            with pytest.raises(ConversionError, match=f'the process {os.getpid()} is writing to'):
                convert_coco(path, tmp_path / 'out', images=folder)

    assert convert_coco(path, tmp_path / 'out', images=folder, progress=begin_another).rows == 5


def test_folders_on_the_way_are_made_and_removed_again_after_an_error(coco, tmp_path):
    path, folder, _ = coco()
    with pytest.raises(ConversionError):
        convert_coco(path, tmp_path / 'a/b/out', images=folder, strict=True)
    assert not (tmp_path / 'a').exists()
    convert_coco(path, tmp_path / 'a/b/out', images=folder)
    assert sorted(item.name for item in (tmp_path / 'a/b').iterdir()) == ['out']


def test_a_dataset_that_is_there_is_kept_and_both_ways_on_are_named(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    with pytest.raises(
        ConversionError, match=r'a dataset is there.*--overwrite \(overwrite=True\).*--append \(append='
    ):
        convert_coco(path, tmp_path / 'out', images=folder)


def test_a_copy_is_not_told_of_options_that_only_imports_have(coco, tmp_path, monkeypatch):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    convert_coco(path, tmp_path / 'copy', images=folder)
    with pytest.raises(ConversionError) as raised:
        materialize({'deeplake_path': str(tmp_path / 'out')}, tmp_path / 'copy')
    assert str(raised.value).startswith('materialize(dst=) expected a free path')
    assert str(raised.value).endswith(
        ': a dataset is there. Choose another path, or pass --overwrite (overwrite=True) to replace it.'
    )
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=1000))
    with pytest.raises(ImportStoppedError, match=r'^materialize\(dst=\) expected room'):
        materialize({'deeplake_path': str(tmp_path / 'out')}, tmp_path / 'other')


def test_a_file_url_is_written_as_the_folder_that_it_names(coco, tmp_path, monkeypatch):
    path, folder, _ = coco()
    convert_coco(path, f'file://{tmp_path}/out', images=folder)
    with pytest.raises(ConversionError, match='a dataset is there'):
        convert_coco(path, tmp_path / 'out', images=folder)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=1000))
    with pytest.raises(ImportStoppedError, match='got a full disk'):
        convert_coco(path, f'file://{tmp_path}/out', images=folder, overwrite=True)


def test_what_others_put_into_the_folder_of_a_dataset_is_not_replaced(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    convert_coco(path, tmp_path / 'out', images=folder, overwrite=True)
    for name in ('notes.txt', 'work_dirs/a.pth'):
        (tmp_path / 'out' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'out' / name).write_text('mine')
        with pytest.raises(ConversionError, match=f"'{name.partition('/')[0]}' is there too, which would be lost"):
            convert_coco(path, tmp_path / 'out', images=folder, overwrite=True)
        (tmp_path / 'out' / name).unlink()
        assert (tmp_path / 'out' / name).parent.is_dir()


def test_no_dataset_is_made_in_the_folder_of_another_one(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    with pytest.raises(ConversionError, match=r"out/a/b': it is in that of the dataset '.*out'\. Choose another path"):
        convert_coco(path, tmp_path / 'out/a/b', images=folder)
    (tmp_path / 'out/inner').mkdir()
    (tmp_path / 'out/inner/_deeplake_log').mkdir()
    with pytest.raises(ConversionError, match="'inner' is there too"):
        convert_coco(path, tmp_path / 'out', images=folder, overwrite=True)


def test_an_empty_destination_is_not_the_folder_that_a_program_is_in(coco, tmp_path, monkeypatch):
    path, folder, _ = coco()
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    with pytest.raises(ConversionError, match="expected a local folder or a URL, but got ''"):
        convert_coco(path, '', images=folder)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'on_eror': 'skip'}, r"convert\(on_eror=\) is no option of an import\. Did you mean 'on_error'\?"),
        ({'zzz': 1}, r"is no option of an import\. Choose from \['overwrite'"),
        ({'on_error': 'ignore'}, r"\(on_error=\) expected 'raise' or 'skip', but got 'ignore'"),
        ({'zero_area': 'no'}, r"\(zero_area=\) expected 'keep' or 'drop'"),
        ({'sizes': 'any'}, r"\(sizes=\) expected 'annotated' or 'measured'"),
        ({'workers': 0}, r'\(workers=\) expected a positive int, but got 0'),
        ({'overwrite': True, 'append': True}, r'expected one of them, but got both'),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options, message, coco, tmp_path):
    path, folder, _ = coco()
    with pytest.raises(ConversionError, match=message):
        convert_coco(path, tmp_path / 'out', images=folder, **options)
    assert not list(tmp_path.glob('*out*'))


@pytest.fixture
def many_checkpoints(monkeypatch):
    monkeypatch.setattr(writer, 'BATCH_ROWS', 1)
    monkeypatch.setattr(Clock, 'is_due', lambda clock: True)


def test_a_full_disk_stops_an_import_which_goes_on_when_there_is_room(coco, tmp_path, monkeypatch, many_checkpoints):
    path, folder, _ = coco()
    usage = shutil.disk_usage(tmp_path)
    free = [storage.SPARE_BYTES + 2**20] * 8 + [1000] * 20
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=free.pop(0)))
    message = (
        r"MB more at '.*out', but got a full disk: 0 MB are free\. Make room.*images are kept: run the same command"
    )
    with pytest.raises(ImportStoppedError, match=message):
        convert_coco(path, tmp_path / 'out', images=folder)
    assert not (tmp_path / 'out').exists()
    monkeypatch.undo()
    report = convert_coco(path, tmp_path / 'out', images=folder)
    assert report.resumed_at and report.rows == 5


def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(coco, tmp_path, monkeypatch):
    path, folder, _ = coco()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=1000))
    with pytest.raises(ImportStoppedError, match='got a full disk'):
        convert_coco(path, tmp_path / 'out', images=folder)
    assert sorted(item.name for item in tmp_path.iterdir()) == ['images', path.name]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB, where one can be mounted."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip('only root can mount a small disk')
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


@pytest.fixture
def large_images(tmp_path):
    """A COCO file of 40 images of 0.8 MB each."""
    images = [{'id': i, 'file_name': f'{i}.bmp', 'height': 512, 'width': 512} for i in range(40)]
    chance = np.random.default_rng(0)
    for image in images:
        cv2.imwrite(str(tmp_path / image['file_name']), chance.integers(0, 255, (512, 512, 3), np.uint8))
    path = tmp_path / 'all.json'
    path.write_text(json.dumps({'images': images, 'annotations': [], 'categories': [{'id': 1, 'name': 'a'}]}))
    return path


@pytest.mark.parametrize('checkpoint_s', [0.0, 30.0])
def test_a_small_disk_that_fills_up_keeps_what_fits_and_the_rest_follows(
    checkpoint_s, small_disk, large_images, tmp_path
):
    first = start(large_images, tmp_path, str(small_disk / 'out'), checkpoint_s=checkpoint_s)
    complaint = first.communicate(timeout=120)[1]
    assert first.returncode == 1 and 'a full disk' in complaint and 'images are kept' in complaint, complaint
    assert not (small_disk / 'out').exists()
    subprocess.run(['mount', '-o', 'remount,size=100m', small_disk], check=True)
    again = start(large_images, tmp_path, str(small_disk / 'out'))
    said, complaint = again.communicate(timeout=120)
    assert again.returncode == 0 and json.loads(said.splitlines()[1])['first'] > 10, complaint
    found = contents(str(small_disk / 'out'))['rows']
    assert all(row['images'] == (tmp_path / f'{i}.bmp').read_bytes().hex() for i, row in enumerate(found))
    assert len(found) == 40


def test_what_a_quota_cuts_off_unseen_is_noticed(small_disk, large_images, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=2**40))
    with pytest.raises(ConversionError, match=r'to keep what is written, but got other bytes back|could not use'):
        convert_coco(large_images, small_disk / 'out', images=tmp_path)
    assert not (small_disk / 'out').exists()


def test_counters_that_a_full_disk_emptied_are_made_anew(tmp_path):
    with DatasetWriter(Destination(tmp_path / 'd'), [Column('number', 'int64', 'int64')]) as target:
        target.append({'number': np.int64(1)})
        target.finish('m', {})
    counters = {path: path.read_bytes() for path in (tmp_path / 'd').glob('_deeplake_log/*/next_base')}
    for path in counters:
        path.write_bytes(b'')
    dataset = deeplake.open(str(tmp_path / 'd'))
    with pytest.raises(RuntimeError, match='counter'):
        dataset.tag('t')
    mend_counters(tmp_path / 'd')
    dataset = deeplake.open(str(tmp_path / 'd'))
    dataset.append({'number': np.arange(3)})
    dataset.commit('more')
    dataset.tag('t')
    dataset = deeplake.open(str(tmp_path / 'd'))
    assert dataset['number'][:].tolist() == [1, 0, 1, 2]
    for path, before in counters.items():
        assert int.from_bytes(path.read_bytes(), 'little') >= int.from_bytes(before, 'little')


def test_other_writers_leave_nothing_that_looks_like_an_import_to_go_on_with(voc, tmp_path):
    with pytest.raises(ValueError), DatasetWriter(Destination(tmp_path / 'd'), [Column('number', 'int64', 'int64')]):
        raise ValueError
    assert not (tmp_path / '.d.unfinished').exists()
    make_demo(tmp_path / 'd', train=1, val=1)
    with pytest.raises(ConversionError, match='a dataset is there'):
        convert_voc(voc, tmp_path / 'd')


@pytest.mark.parametrize('large', [10, 300_000])
def test_metadata_of_any_length_leave_rows_views_and_other_metadata_alone(large, coco, tmp_path):
    def describe(document):
        document['info'] = {'description': 'x' * large}

    def other(document):
        describe(document)
        document['annotations'] = []
        for image in document['images']:
            image['id'] += 10**6

    path, folder, _ = coco(describe)
    convert_coco(path, tmp_path / 'out', images=folder)
    path, folder, _ = coco(other)
    convert_coco(path, tmp_path / 'out', images=folder, split='val', append=True)
    found = contents(str(tmp_path / 'out'))
    assert {name: len(ids) for name, ids in found['views'].items()} == {'train': 5, 'val': 5}
    assert len(found['rows']) == 10 and found['metadata']['source']['format'] == 'coco'
    assert json.loads(found['metadata']['coco:val'])['info']['description'] == 'x' * large
    assert found['branches'] == ['main']


def test_a_large_view_that_a_user_saves_later_costs_no_row(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder)
    deeplake.open(str(tmp_path / 'out')).query('select * where img_id > 0').tag('mine', ' ' * 100_000)
    assert len(contents(str(tmp_path / 'out'))['rows']) == 5
    assert set(contents(str(tmp_path / 'out'))['views']) >= {'train', 'mine'}


def test_a_destination_is_refused_before_annotations_are_read(coco, voc, tmp_path):
    make_demo(tmp_path / 'd', train=1, val=1)
    (tmp_path / 'broken.json').write_text('{')
    (tmp_path / 'data.yaml').write_text(':')
    (voc / 'Annotations/a.xml').write_text('<')
    for convert in (
        lambda **options: convert_coco(tmp_path / 'broken.json', tmp_path / 'd', images=tmp_path / 'images', **options),
        lambda **options: convert_voc(voc, tmp_path / 'd', **options),
        lambda **options: convert_yolo(tmp_path / 'data.yaml', tmp_path / 'd', **options),
    ):
        with pytest.raises(ConversionError, match='a dataset is there'):
            convert()
        with pytest.raises(ConversionError, match='is no option of an import'):
            convert(no_option=1)
        with pytest.raises(ConversionError, match=r'^(?!.*a dataset is there)'):
            convert(overwrite=True)


def test_the_user_is_told_which_file_stands_in_the_way(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConversionError, match=r'a free path, but got .*file.*no Deep Lake dataset'):
        Destination(Path(tmp_path / 'file'))
