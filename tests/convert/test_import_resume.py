"""An import that is killed, interrupted or stopped goes on when the same command runs again, and ends like others."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deeplake
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.convert import convert_coco, writer
from deeplake_mmdet.convert.clock import Clock
from deeplake_mmdet.convert.storage import ImportStoppedError
from deeplake_mmdet.errors import ConversionError, SourceNotFoundError
from deeplake_mmdet.source.handle import SourceHandle
from tests.convert.convert_files import write_image
from tests.support.importing import contents, start

IMAGES = 20


@dataclass
class Files:
    """A COCO file of many small images, and a folder for datasets."""

    ann_file: Path
    images: Path
    folder: Path

    def convert(self, dst: str = 'out', **options: Any) -> Any:
        """Imports in this process, with a checkpoint after each image."""
        return convert_coco(self.ann_file, self.folder / dst, images=self.images, **options)

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        document = json.loads(self.ann_file.read_text())
        change(document)
        self.ann_file.write_text(json.dumps(document))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(writer, 'BATCH_ROWS', 3)
    monkeypatch.setattr(Clock, 'is_due', lambda clock: True)
    images = [{'id': 100 + 3 * i, 'file_name': f'{i}.jpg', 'height': 20 + i % 5, 'width': 30} for i in range(IMAGES)]
    for image in images:
        write_image(tmp_path / 'images' / image['file_name'], image['height'], image['width'])
    annotations = [
        {
            'id': k,
            'image_id': images[k % IMAGES]['id'],
            'category_id': 1 + k % 2,
            'bbox': [1, 2, 1 + k % 7, 5],
            'area': 5.5 + k,
            'iscrowd': 0,
            'segmentation': [[1, 2, 2 + k % 7, 2, 2, 7]],
        }
        for k in range(50)
    ]
    categories = [{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'b', 'supercategory': 'c'}]
    path = tmp_path / 'train.json'
    path.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    (tmp_path / 'datasets').mkdir()
    return Files(path, tmp_path / 'images', tmp_path / 'datasets')


def stop_at(count: int, error: BaseException) -> Callable[[int, int], None]:
    """A progress function that raises when so many images are done."""

    def progress(done: int, total: int) -> None:
        if done == count:
            raise error

    return progress


def left(files: Files) -> list[str]:
    return sorted(item.name for item in files.folder.iterdir())


def stopped(files: Files, at: int = 7, dst: str = 'out', **options: Any) -> str:
    """Interrupts an import; gives what the interruption says."""
    with pytest.raises(KeyboardInterrupt) as error:
        files.convert(dst, progress=stop_at(at, KeyboardInterrupt()), **options)
    return str(error.value)


def killed_and_resumed(files: Files, die_at: str = '', after_s: float | None = None) -> tuple[int, dict[str, Any]]:
    """Kills an import, runs it again, and gives where it went on, and what the dataset holds."""
    dst = str(files.folder / 'out')
    first = start(files.ann_file, files.images, dst, die_at=die_at, pause_s=0.03 if after_s else 0)
    if after_s is not None:
        assert first.stdout is not None and first.stdout.readline() == 'ready\n'
        time.sleep(after_s)
        first.kill()
    first.communicate(timeout=120)
    again = start(files.ann_file, files.images, dst)
    said, complaint = again.communicate(timeout=120)
    if again.returncode:  # the first one had finished
        assert 'a dataset is there' in complaint, complaint
        return IMAGES, contents(dst)
    return json.loads(said.splitlines()[1])['first'], contents(dst)


@pytest.mark.parametrize('moment', ['add_column 3', 'append 3', 'commit 4+', 'merge', 'remove', 'rename', 'delete'])
def test_an_import_that_is_killed_ends_like_one_that_is_not(moment, files):
    files.convert('whole')
    first, found = killed_and_resumed(files, die_at=moment)
    assert found == contents(str(files.folder / 'whole'))
    assert first == IMAGES if moment in ('merge', 'remove', 'rename', 'delete') else first < IMAGES
    assert left(files) == ['out', 'whole']


@pytest.mark.slow
def test_twenty_kills_at_any_moment_end_like_none(files):
    whole = start(files.ann_file, files.images, str(files.folder / 'whole'), pause_s=0.03)
    assert whole.stdout is not None and whole.stdout.readline() == 'ready\n'
    begin = time.monotonic()
    whole.communicate(timeout=120)
    took, chance = time.monotonic() - begin, random.Random(5)
    expected, firsts = contents(str(files.folder / 'whole')), []
    for _ in range(20):
        first, found = killed_and_resumed(files, after_s=chance.uniform(0, took))
        assert found == expected
        assert left(files) == ['out', 'whole'] or first == IMAGES
        firsts.append(first)
        shutil.rmtree(files.folder / 'out')
    print(f'went on at {firsts} of {IMAGES}')


def test_an_interrupted_import_says_how_to_go_on_and_counts_everything_in_the_end(files):
    said = stopped(files)
    assert said == f'6 of {IMAGES} images are kept: run the same command again to go on.'
    assert left(files) == ['.out.unfinished']
    calls: list[tuple[int, int]] = []
    report = files.convert(progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (6, IMAGES) and calls[1] == (7, IMAGES) and len(calls) == IMAGES - 6 + 1
    whole = files.convert('whole')
    assert (report.resumed_at, whole.resumed_at) == (6, None)
    assert report.table() == whole.table() and report.boxes == {'a': 25, 'b': 25}
    assert left(files) == ['out', 'whole']


def test_an_import_that_is_interrupted_before_its_first_checkpoint_leaves_nothing(files, monkeypatch):
    monkeypatch.setattr(Clock, 'is_due', lambda clock: False)
    assert stopped(files) == ''
    assert left(files) == []


def test_checkpoints_become_one_commit(files):
    files.convert()
    history = deeplake.open_read_only(str(files.folder / 'out')).history
    assert [version.message for version in history] == ['Dataset created', 'Convert COCO file train.json']


@pytest.mark.parametrize(
    'change',
    [
        lambda files: files.change(lambda document: document['annotations'].pop()),
        lambda files: {'zero_area': 'drop'},
        lambda files: {'split': 'val'},
    ],
)
def test_another_import_to_the_same_place_is_refused_until_the_first_is_finished_or_given_up(change, files):
    stopped(files)
    options = change(files)
    options = options if isinstance(options, dict) else {}
    with pytest.raises(ConversionError, match=r'there is one of other files.*Finish it.*or give it up with --restart'):
        files.convert(**options)
    assert left(files) == ['.out.unfinished']
    report = files.convert(restart=True, **options)
    assert report.resumed_at is None and report.rows == IMAGES
    assert left(files) == ['out']


def test_overwrite_gives_another_unfinished_import_up_and_goes_on_with_the_same_one(files):
    files.convert(split='old')
    stopped(files, overwrite=True)
    assert files.convert(overwrite=True).resumed_at == 6
    stopped(files, overwrite=True)
    assert files.convert(overwrite=True, split='new').resumed_at is None


def test_the_old_dataset_is_there_until_the_new_one_is_complete(files):
    files.convert(split='old')
    stopped(files, overwrite=True)
    assert list(contents(str(files.folder / 'out'))['views']) == ['old']
    assert left(files) == ['.out.unfinished', 'out']


def test_a_dataset_that_was_set_aside_when_the_process_was_killed_is_put_back(files):
    files.convert()
    (files.folder / 'out').rename(files.folder / '.out.replaced')
    with pytest.raises(ConversionError, match='a dataset is there'):
        files.convert()
    assert left(files) == ['out']


def test_an_unfinished_dataset_is_not_found_under_its_name_and_the_message_says_why(files):
    stopped(files)
    spec = DatasetSpec.from_config({'deeplake_path': str(files.folder / 'out')})
    with pytest.raises(SourceNotFoundError, match=r'An import to it is unfinished: run the same command'):
        SourceHandle.resolve(spec)


def test_an_image_that_is_put_right_lets_the_import_go_on(files):
    good = (files.images / '9.jpg').read_bytes()
    (files.images / '9.jpg').write_bytes(good[:30])
    with pytest.raises(ImportStoppedError, match=rf"'.*9\.jpg' to be an image.* 9 of {IMAGES} images are kept"):
        files.convert()
    (files.images / '9.jpg').write_bytes(good)
    assert files.convert().resumed_at == 9
    files.convert('whole')
    assert contents(str(files.folder / 'out')) == contents(str(files.folder / 'whole'))


def test_images_that_were_left_out_stay_left_out_and_are_counted_once(files):
    (files.images / '2.jpg').unlink()
    (files.images / '12.jpg').write_bytes(b'<html>')
    stopped(files, at=8, on_error='skip')
    with pytest.raises(
        ConversionError, match=r"on_error=\) expected 'skip', as the run before.*1 images.*--on-error skip"
    ):
        files.convert()
    report = files.convert(on_error='skip')
    assert report.resumed_at == 7 and report.rows == IMAGES - 2 and report.views == {'train': IMAGES - 2}
    assert report.oddities == {
        'images that are missing, left out': ['2.jpg'],
        'images that cannot be read, left out': ['12.jpg'],
    }
    ids = [row['img_id'] for row in contents(str(files.folder / 'out'))['rows']]
    assert ids == [100 + 3 * i for i in range(IMAGES) if i not in (2, 12)]


def test_what_a_run_before_measured_needs_measuring_again(files):
    files.change(lambda document: document['images'][1].update(height=99))
    stopped(files, sizes='measured')
    with pytest.raises(
        ConversionError, match=r"sizes=\) expected 'measured', as the run before.*Pass --sizes measured"
    ):
        files.convert()
    assert files.convert(sizes='measured').oddities == {
        'images of another size than annotated, which was taken': ['1.jpg']
    }


def test_a_stricter_run_finds_what_the_run_before_let_pass_and_keeps_it(files):
    files.change(lambda document: document['annotations'][0].update(bbox=[1, 2, 0, 5]))
    stopped(files)
    with pytest.raises(
        ImportStoppedError, match=r'boxes of zero area: 0\.jpg: a, annotation 0.* 6 of 20 images are kept'
    ):
        files.convert(strict=True)
    assert files.convert().resumed_at == 6


def test_bad_annotations_leave_nothing_since_nobody_can_go_on_with_them(files):
    files.change(lambda document: document['annotations'][15].update(bbox=[1, 2, 0, 5]))
    with pytest.raises(ConversionError, match=r'boxes of zero area: 15\.jpg'):
        files.convert(strict=True)
    assert left(files) == []


def test_rows_that_somebody_else_added_are_noticed(files):
    stopped(files)
    dataset = deeplake.open(str(files.folder / '.out.unfinished'))
    branch = dataset.branches['unfinished-import'].open()
    branch.append(
        {column.name: [branch[column.name][0]] for column in branch.schema.columns if column.name != 'images'}
        | {'images': [branch['images'].get_bytes(0)]}
    )
    branch.commit('not ours')
    del branch, dataset
    with pytest.raises(ConversionError, match=r'one that holds 7 rows where it noted 6.*--restart'):
        files.convert()
    assert files.convert(restart=True).rows == IMAGES
