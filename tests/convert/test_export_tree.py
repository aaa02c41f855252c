"""Where an export goes and what it selects, whatever its format: nothing is lost, and nothing half done is left."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deeplake import types

from deeplake_mmdet.convert import export_coco, export_voc, export_yolo
from deeplake_mmdet.convert.export import tree as tree_module
from deeplake_mmdet.convert.export.leftovers import clear_leftovers
from deeplake_mmdet.convert.export.tree import ExportTree
from deeplake_mmdet.errors import ConversionError, ImageReadError
from tests.support.datasets import png

EXPORTS = pytest.mark.parametrize('export', [export_coco, export_voc, export_yolo])


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


def ids(folder: Path, split: str) -> list[int]:
    """The ids of the images of an export to COCO: their row numbers, as the dataset has no ids."""
    return [image['id'] for image in json.loads((folder / f'annotations/instances_{split}.json').read_text())['images']]


@EXPORTS
def test_an_export_lists_exactly_the_files_that_it_wrote(export, make_dataset, tmp_path):
    export(make_dataset(), tmp_path / 'e', name='train')
    listed = json.loads((tmp_path / 'e/.deeplake-export.json').read_text())['files']
    assert sorted([*listed, '.deeplake-export.json']) == sorted(files_in(tmp_path / 'e'))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['dataset', 'e']


@EXPORTS
def test_images_are_written_byte_for_byte(export, make_dataset, tmp_path):
    export(make_dataset(), tmp_path / 'e', name='train')
    found = {path.stem: path.read_bytes() for path in (tmp_path / 'e').rglob('*.png')}
    assert found == {f'train_{row:06}': png(row) for row in range(8)}


@EXPORTS
def test_an_export_is_replaced_only_when_asked_and_only_by_a_whole_one(export, make_dataset, tmp_path):
    export(make_dataset(), tmp_path / 'e', name='train')
    before = files_in(tmp_path / 'e')
    with pytest.raises(ConversionError, match=r"a free path, but got '.*e': an export is there\. .*--overwrite"):
        export(make_dataset('other', 3), tmp_path / 'e', name='train')
    bad = make_dataset('bad', 3, types={'images': types.Image(sample_compression='png')}, values=_broken_last())
    with pytest.raises(ImageReadError, match=r'row 2, is of no known image format'):
        export(bad, tmp_path / 'e', name='train', overwrite=True)
    assert files_in(tmp_path / 'e') == before
    export(tmp_path / 'other', tmp_path / 'e', name='train', overwrite=True)
    assert sum(name.endswith('.png') for name in files_in(tmp_path / 'e')) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bad', 'dataset', 'e', 'other']


def _broken_last():
    return {'images': [png(0), png(1), b'broken']}


@pytest.mark.parametrize('overwrite', [False, True])
def test_a_folder_with_anything_else_in_it_is_never_replaced(overwrite, make_dataset, tmp_path):
    path = make_dataset()
    export_yolo(path, tmp_path / 'e')
    (tmp_path / 'e/labels/main.cache').write_text('of a training')
    (tmp_path / 'e/notes').mkdir()
    (tmp_path / 'e/notes/link').symlink_to(tmp_path)
    message = r"it holds 'labels/main\.cache' and 1 more, which no export wrote\. .* or move them away"
    with pytest.raises(ConversionError, match=message):
        export_yolo(path, tmp_path / 'e', overwrite=overwrite)
    assert (tmp_path / 'e/labels/main.cache').read_text() == 'of a training'


def test_a_file_that_comes_during_an_export_is_not_lost(make_dataset, tmp_path):
    path = make_dataset()
    export_coco(path, tmp_path / 'e')

    def meddle(done, total):
        (tmp_path / 'e/thesis.tex').write_text('years of work')

    with pytest.raises(ConversionError, match=r"it holds 'thesis\.tex', which no export wrote"):
        export_coco(path, tmp_path / 'e', overwrite=True, progress=meddle)
    assert (tmp_path / 'e/thesis.tex').read_text() == 'years of work'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['dataset', 'e']


def test_an_empty_folder_is_a_free_path_and_a_file_is_none(make_dataset, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').write_text('x')
    path = make_dataset()
    export_coco(path, tmp_path / 'empty')
    assert ids(tmp_path / 'empty', 'main') == list(range(8))
    with pytest.raises(ConversionError, match=r"a free path, but got '.*file': a file is there"):
        export_coco(tmp_path / 'nothing', tmp_path / 'file', overwrite=True)  # found before the dataset is looked for
    with pytest.raises(ConversionError, match=r"a folder that can be written, but got '.*file/below'"):
        export_coco(path, tmp_path / 'file/below')


@pytest.mark.parametrize('dst', ['s3://bucket/x', '', 'dataset', 'dataset/below', '.'])
def test_a_destination_that_is_no_place_for_files_is_refused(dst, make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = make_dataset()
    before = files_in(tmp_path)
    with pytest.raises(ConversionError, match=r'export\(dst=\) expected a (local folder|folder of its own), but got'):
        export_coco(path, dst, overwrite=True)
    assert files_in(tmp_path) == before


NAMES = ['/etc/cron.d/x', '../x.png', 'a/../../x.png', '..\\x.png', 'C:x.png', '~/../x.png']


@EXPORTS
@pytest.mark.parametrize('name', NAMES)
def test_nothing_outside_the_destination_is_written(export, name, make_dataset, tmp_path):
    path = make_dataset('d', 2, types={'file_name': types.Text()}, values={'file_name': ['a.png', name]})
    message = r"split 'main', row 1 expected a file name relative to .*Nothing outside the destination is written"
    with pytest.raises(ConversionError, match=message):
        export(path, tmp_path / 'e')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['d']


@pytest.mark.parametrize('second', ['a.png', './a.png', 'a.png/b.png'])
def test_two_images_of_one_name_are_refused(second, make_dataset, tmp_path):
    path = make_dataset('d', 2, types={'file_name': types.Text()}, values={'file_name': ['a.png', second]})
    with pytest.raises(ConversionError, match=r"row 1 expected a file name of its own, but got '.*a\.png"):
        export_coco(path, tmp_path / 'e')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['d']


def test_one_image_of_two_ids_is_written_once(make_dataset, tmp_path):
    more = dict(types={'file_name': types.Text()}, values={'file_name': ['a.png'] * 2, 'images': [png(0)] * 2})
    export_coco(make_dataset('d', 2, **more), tmp_path / 'e')
    assert ids(tmp_path / 'e', 'main') == [0, 1] and (tmp_path / 'e/main/a.png').read_bytes() == png(0)


@EXPORTS
def test_a_full_disk_leaves_nothing_and_is_said(export, make_dataset, tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file, self.room = file, 300

        def write(self, data):
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

    opened = open
    monkeypatch.setattr(tree_module, 'open', lambda *args, **more: Full(opened(*args, **more)), raising=False)
    with pytest.raises(
        ConversionError, match=r'expected to write all files, but got: No space left on device.*MiB are f'
    ):
        export(make_dataset(), tmp_path / 'e')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['dataset']


def test_an_interrupted_export_leaves_nothing(make_dataset, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_coco(make_dataset(), tmp_path / 'e', progress=interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['dataset']


def leave(folder: Path, name: str) -> None:
    """What an export that was killed leaves beside its destination ``e``."""
    (folder / name).mkdir()
    (folder / name / 'a.txt').write_text(name)


def test_what_a_killed_export_left_is_cleared_by_the_next_one_to_the_same_place(tmp_path):
    for name in ('.e.partial-17', '.e.replaced-18', '.other.partial-17', '.e.partial-x', 'e'):
        leave(tmp_path, name)
    (tmp_path / 'e/a.txt').unlink()
    write_text(tmp_path / 'e', 'new')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.e.partial-x', '.other.partial-17', 'e']
    assert (tmp_path / 'e/a.txt').read_text() == 'new'


def test_what_a_living_export_writes_is_not_cleared_whatever_its_number(tmp_path):
    with ExportTree(tmp_path / 'e') as tree:
        leave(tmp_path, '.e.replaced-17')
        os.rename(tree._folder.path, tmp_path / '.e.partial-17')  # as one of another machine has it
        clear_leftovers(tmp_path / 'e')
        assert sorted(path.name for path in tmp_path.iterdir()) == ['.e.partial-17', '.e.replaced-17']
    clear_leftovers(tmp_path / 'e')
    assert [path.name for path in tmp_path.iterdir()] == ['e'], 'put back, since nothing came in its place'


def test_an_export_that_is_killed_leaves_one_folder_until_the_next(make_dataset, tmp_path):
    make_dataset()
    script = (
        'import os, signal, sys; from deeplake_mmdet.convert import export_coco\n'
        'export_coco("dataset", "e", progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))'
    )
    ended = subprocess.run([sys.executable, '-c', script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len([path for path in tmp_path.iterdir() if path.name.startswith('.e.partial-')]) == 1
    export_coco(tmp_path / 'dataset', tmp_path / 'e')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['dataset', 'e']


def test_a_destination_behind_a_link_is_replaced_where_it_is(make_dataset, tmp_path):
    export_coco(make_dataset(), tmp_path / 'real')
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    export_coco(make_dataset('other', 2), tmp_path / 'link', overwrite=True)
    assert ids(tmp_path / 'real', 'main') == [0, 1] and (tmp_path / 'link').is_symlink()


def test_a_failed_move_puts_the_earlier_export_back(tmp_path, monkeypatch):
    rename = os.rename

    def deny(old, new):
        if 'partial' in str(old):
            raise PermissionError(errno.EACCES, 'Permission denied')
        rename(old, new)

    write_text(tmp_path / 'e', 'old')
    monkeypatch.setattr(os, 'rename', deny)
    with pytest.raises(ConversionError, match='Permission denied'):
        write_text(tmp_path / 'e', 'new')
    assert (tmp_path / 'e/a.txt').read_text() == 'old'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['e']


def write_text(folder, text):
    with ExportTree(folder, overwrite=True) as tree:
        with tree.open('a.txt') as file:
            file.write(text)
        tree.finish()
