"""`show` draws what is annotated where it is annotated, and says what it drew."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.cli import show
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import AnnotationError, ConfigError
from deeplake_mmdet.inspection.show import drawn, show_rows
from deeplake_mmdet.inspection.stats import Statistics
from deeplake_mmdet.inspection.stats_figure import save_figure
from deeplake_mmdet.inspection.terminal import as_text
from tests.support.datasets import encode, write_dataset

HEIGHT, WIDTH, SCALE = 400, 420, 3


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Three gray images: one with two boxes, the second a crowd region with a mask; one empty; one damaged."""
    gray = encode(np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    boxes = [np.array([[30, 40, 100, 80], [200, 100, 150, 200]], 'float32'), np.zeros((0, 4), 'float32')]
    labels = [np.array([1, 0], 'uint32'), np.zeros(0, 'uint32')]
    ring = [[220, 120, 330, 120, 330, 280, 220, 280]]
    path = str(tmp_path / 'ds')
    write_dataset(
        path,
        3,
        types={'iscrowd': types.Array('uint8', 1), 'masks': types.Text(), 'file_name': types.Text()}
        | {'height': 'int32', 'width': 'int32'},
        values={
            'images': [gray, gray, b'no image'],
            'boxes': [*boxes, boxes[1]],
            'categories': [*labels, labels[1]],
            'iscrowd': [np.array([0, 1], 'uint8'), np.zeros(0, 'uint8'), np.zeros(0, 'uint8')],
            'masks': [json.dumps([None, ring]), '[]', '[]'],
            'file_name': ['a.png', 'b.png', 'c.png'],
            'height': np.full(3, HEIGHT, 'int32'),
            'width': np.full(3, WIDTH, 'int32'),
        },
        metadata={'masks': {'format': 'coco_segmentation'}},
    )
    return path


def _changed(picture: np.ndarray) -> np.ndarray:
    """Where a picture is not gray any more, at the scale of the image."""
    return cv2.resize((np.ptp(picture.astype(int), axis=2) > 25).astype(np.uint8), (WIDTH, HEIGHT)) > 0


def test_a_box_is_drawn_on_its_border_and_a_mask_inside_its_ring(path):
    dataset = AnnotatedDataset({'deeplake_path': path})
    picture, _ = drawn(dataset, 0)
    assert max(picture.shape) == 3 * WIDTH
    changed = _changed(picture)
    assert changed[40:120, 30].all()  # the left side of the first box
    assert changed[119:121, 40:120].any(axis=0).all()  # its bottom
    assert not changed[60:110, 50:120].any()  # nothing inside: it has no mask
    assert changed[125:275, 225:325].all()  # the mask of the second
    assert not changed[285:295, 225:325].any()  # between the ring and the box
    without, _ = drawn(dataset, 0, masks=False)
    assert not _changed(without)[140:275, 225:325].any()


def test_crowd_regions_are_dashed(path):
    changed = _changed(drawn(AnnotatedDataset({'deeplake_path': path}), 0, masks=False)[0])
    side = changed[150:290, 199:201].any(axis=1)
    assert side.any()
    assert not side.all()


def test_every_object_is_said_with_its_number_class_box_and_flag(path):
    _, lines = drawn(AnnotatedDataset({'deeplake_path': path}), 0)
    assert lines[0] == 'row 0: a.png, id 0, 420x400, 2 objects'
    assert re.match(r'\s+0  dog \s+x y w h: 30 40 100 80, area 8000', lines[1])
    assert re.match(r'\s+1  cat, crowd \s+x y w h: 200 100 150 200, area 30000', lines[2])


def test_an_image_that_cannot_be_read_is_said_and_its_boxes_still_drawn(path):
    picture, lines = drawn(AnnotatedDataset({'deeplake_path': path}), 2)
    assert 'its image cannot be drawn' in lines[1]
    assert picture.shape[:2] == (HEIGHT * SCALE, WIDTH * SCALE)


def test_files_are_named_by_row_and_negative_rows_count_from_the_end(path, tmp_path):
    files = show_rows({'deeplake_path': path}, [1, -3], tmp_path / 'out')
    assert [file.name for file in files] == ['row_000001.jpg', 'row_000000.jpg']
    assert all(cv2.imread(str(file)) is not None for file in files)


def test_rows_count_within_the_query(path, capsys, tmp_path):
    config = {'deeplake_path': path, 'deeplake_query': "select * where file_name == 'b.png'"}
    show_rows(config, [0], tmp_path / 'one.png')
    assert 'row 0: b.png' in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r'show\(rows=\) expected row numbers from 0 to 0, but got 1'):
        show_rows(config, [1], tmp_path)


def test_a_folder_may_be_below_the_home_of_the_user(path, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert show_rows({'deeplake_path': path}, [0], '~/pictures') == [tmp_path / 'pictures/row_000000.jpg']
    save_figure(Statistics.of({'deeplake_path': path}), '~/stats.png')
    assert (tmp_path / 'stats.png').is_file()
    assert not (tmp_path / '~').exists()


def test_boxes_that_training_refuses_are_drawn_and_counted_as_they_are_declared(tmp_path, capsys):
    boxes = [np.array([[8, 8, 5, 5]], 'float32')] * 4
    path = str(tmp_path / 'ds')
    types_ = {'boxes': types.BoundingBox('float32', 'ltwh', 'pixel'), 'height': 'int32', 'width': 'int32'}
    sizes = {'height': np.full(4, 10, 'int32'), 'width': np.full(4, 10, 'int32')}
    labels = [np.array([0], 'uint32')] * 4
    write_dataset(path, 4, types=types_, values={'boxes': boxes, 'categories': labels, **sizes})
    with pytest.raises(AnnotationError, match='4 leave their image'):
        AnnotatedDataset({'deeplake_path': path})
    show_rows({'deeplake_path': path}, [0], tmp_path / 'a.png')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('note: ') and '4 leave their image' in lines[0]
    assert 'x y w h: 8 8 5 5' in lines[2]
    found = Statistics.of({'deeplake_path': path})
    assert found.to_json()['quantiles']['side of a box']['max'] == 5
    assert '4 leave their image' in found.table().splitlines()[1]


def test_a_class_name_of_two_lines_is_drawn_and_said_on_one(tmp_path, capsys):
    path = str(tmp_path / 'ds')
    write_dataset(path, 4, classes=['stop\nsign', 'b\tc', 'd'])
    show_rows({'deeplake_path': path}, [0, 1, 2, 3], tmp_path / 'pictures')
    assert 'stop sign' in capsys.readouterr().out
    assert 'stop sign' in Statistics.of({'deeplake_path': path}).table()


@pytest.mark.parametrize(('rows', 'out'), [([0, 1], 'a.png'), ([0], 'a.txt')])
def test_a_file_that_cannot_hold_the_pictures_is_refused(path, tmp_path, rows, out):
    with pytest.raises(ConfigError, match=r'show\(out=\) expected a folder'):
        show_rows({'deeplake_path': path}, rows, tmp_path / out)


def test_a_folder_that_cannot_be_made_is_refused(path, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='cannot make the folder'):
        show_rows({'deeplake_path': path}, [0], tmp_path / 'file' / 'below')


def test_the_terminal_gets_two_rows_of_pixels_a_line():
    picture = np.zeros((4, 2, 3), np.uint8)
    picture[0, 0] = (1, 2, 3)  # BGR
    lines = as_text(picture, columns=2).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith('\x1b[38;2;3;2;1m\x1b[48;2;0;0;0m▀')
    assert all(line.count('▀') == 2 and line.endswith('\x1b[0m') for line in lines)


def test_the_verb_asks_for_a_path_where_there_is_no_terminal(path):
    command = [sys.executable, '-m', 'deeplake_mmdet', 'show', path, '0']
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, 'TERM': 'dumb'})
    assert done.returncode == 1
    assert 'show expected --out PATH' in done.stderr


def test_the_verb_takes_rows_before_and_after_options(path, tmp_path, capsys):
    assert show.main([path, '0', '--out', str(tmp_path / 'x'), '1', '--no-masks']) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / 'x' / 'row_000001.jpg')
