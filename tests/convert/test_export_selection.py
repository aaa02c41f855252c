"""Which rows an export writes, from where, and what it says of them, whatever its format."""

from __future__ import annotations

import json
from pathlib import Path

import deeplake
import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert import export_coco, export_voc, export_yolo
from deeplake_mmdet.errors import AnnotationError, ConversionError, ImageReadError, RevisionNotFoundError
from tests.support.datasets import append_rows, png, write_dataset

EXPORTS = pytest.mark.parametrize('export', [export_coco, export_voc, export_yolo])


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


@pytest.fixture
def versions(make_dataset) -> str:
    """Rows 0 to 3 at the first commit and 4 to 5 added, 6 to 7 on a branch, and a view of the odd rows of the first."""
    path = make_dataset('d', 4)
    dataset = deeplake.open(path)
    dataset.query('select * where number % 2 = 1').tag('odd')
    append_rows(dataset, [4, 5])
    dataset.branch('more')
    append_rows(dataset.branches['more'].open(), [6, 7])
    return path


@pytest.mark.parametrize(
    ('keys', 'name', 'numbers'),
    [
        ({}, 'main', [0, 1, 2, 3, 4, 5]),
        ({'deeplake_branch': 'more'}, 'more', [0, 1, 2, 3, 4, 5, 6, 7]),
        ({'deeplake_view_id': 'odd'}, 'odd', [1, 3]),
        ({'deeplake_query': 'select * where number > 2 order by number desc'}, 'main', [5, 4, 3]),
        ({'deeplake_view_id': 'odd', 'deeplake_query': 'select * where number > 2'}, 'odd', [3]),
        ({'deeplake_commit_id': 1}, 'main', [0, 1, 2, 3]),
    ],
)
def test_what_is_selected_is_what_is_exported(keys, name, numbers, versions, tmp_path):
    if 'deeplake_commit_id' in keys:
        history = deeplake.open_read_only(versions).history
        keys = {'deeplake_commit_id': [version.id for version in history][-1 - keys['deeplake_commit_id']]}
    config = {'deeplake_path': versions} | keys
    report = export_yolo(config, tmp_path / 'e')
    found = [path.read_bytes() for path in sorted((tmp_path / f'e/images/{name}').iterdir())]
    assert sorted(found) == sorted(map(png, numbers)) and report.images == {name: len(numbers)}
    assert name in report.sources and versions in report.sources[name]
    export_coco(config, tmp_path / 'coco')
    entries = json.loads((tmp_path / f'coco/annotations/instances_{name}.json').read_text())['images']
    assert [(tmp_path / 'coco' / name / entry['file_name']).read_bytes() for entry in entries] == list(
        map(png, numbers)
    )


def test_a_name_in_the_path_is_enough(versions, tmp_path):
    assert export_coco(f'{versions}@odd', tmp_path / 'a').images == {'odd': 2}
    assert export_coco(f'{versions}@more', tmp_path / 'b').images == {'more': 8}
    assert export_coco(f'{versions}@more', tmp_path / 'c', name='train').images == {'train': 8}


def test_several_views_become_splits_of_one_tree(versions, tmp_path):
    deeplake.open(versions).query('select * where number < 2').tag('first')
    report = export_coco(versions, tmp_path / 'e', splits=['odd', 'first'])
    assert report.images == {'odd': 2, 'first': 2}
    assert {name for name in files_in(tmp_path / 'e') if name.endswith('.json')} == {
        '.deeplake-export.json',
        'annotations/instances_odd.json',
        'annotations/instances_first.json',
    }
    assert list(report.sources) == ['odd', 'first']


@pytest.mark.parametrize(
    ('dataset', 'options', 'error', 'message'),
    [
        ('{}', {'splits': ['nope']}, RevisionNotFoundError, r"names 'nope', which .* does not have"),
        ('{}', {'splits': ['odd', 'odd']}, ConversionError, r"names of different saved views, .*\['odd', 'odd'\]"),
        ('{}', {'splits': []}, ConversionError, r'names of different saved views'),
        ('{}', {'splits': ['odd'], 'name': 'x'}, ConversionError, r"without a view or a name beside them, .* and 'x'"),
        ('{}', {'name': '../x'}, ConversionError, r"a name of letters, .*, but got '\.\./x'\. Name it with --name"),
        ('{}', {'name': 'annotations'}, ConversionError, r"for the files of the split, but got 'annotations'"),
        ('{}', {'classes': ['cow']}, ValueError, r"names \['cow'\], which the dataset does not have"),
        ('{}', {'layout': 'x'}, ConversionError, r"layout=\) expected one of 'coco', 'fiftyone', but got 'x'"),
        ('{}/nothing', {}, FileNotFoundError, r'found no Deep Lake dataset at'),
    ],
)
def test_a_selection_that_cannot_be_is_refused(dataset, options, error, message, versions, tmp_path):
    with pytest.raises(error, match=message):
        export_coco(dataset.format(versions), tmp_path / 'e', **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['d']


@EXPORTS
def test_a_dataset_without_rows_is_a_tree_without_images(export, make_dataset, tmp_path):
    report = export(make_dataset(count=0), tmp_path / 'e', name='train')
    assert report.images == {'train': 0} and report.objects == {'cat': 0, 'dog': 0}
    found = files_in(tmp_path / 'e')
    assert found - {'.deeplake-export.json'} in (
        {'annotations/instances_train.json'},
        {'ImageSets/Main/train.txt'},
        {'data.yaml'},
    )
    if export is export_coco:
        document = json.loads((tmp_path / 'e/annotations/instances_train.json').read_text())
        assert document['images'] == document['annotations'] == [] and len(document['categories']) == 2


def test_progress_counts_the_rows_of_all_splits(versions, tmp_path):
    deeplake.open(versions).query('select * where number < 2').tag('first')
    seen = []
    export_coco(versions, tmp_path / 'e', splits=['odd', 'first'], progress=lambda *counts: seen.append(counts))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def weird(make_dataset, declared):
    """Boxes that make no sense as left, top, right and bottom."""
    boxes = types.BoundingBox('float32', 'ltrb', 'pixel') if declared else types.BoundingBox('float32')
    return make_dataset(
        'd',
        2,
        types={'boxes': boxes},
        values={'boxes': [np.array([[9, 9, 2, 3]], 'float32')] * 2, 'categories': [np.zeros(1, 'uint32')] * 2},
    )


def test_a_declared_box_format_is_believed_with_a_remark(make_dataset, tmp_path):
    report = export_coco(weird(make_dataset, declared=True), tmp_path / 'e')
    document = json.loads((tmp_path / 'e/annotations/instances_main.json').read_text())
    assert [entry['bbox'] for entry in document['annotations']] == [[9, 9, -7, -6]] * 2
    assert any('read as LTRB pixel' in remark and 'negative size' in remark for remark in report.remarks)
    deeplake.open(str(tmp_path / 'd')).query('select * where number = 0').tag('one')
    assert len(export_coco(tmp_path / 'd', tmp_path / 'f', splits=['one']).remarks) == 2
    report = export_yolo(tmp_path / 'd', tmp_path / 'y')
    assert report.noted == {'boxes of negative size, left out': 2} and report.objects.total() == 0


def test_a_box_format_that_nobody_declares_must_be_plausible(make_dataset, tmp_path):
    path = weird(make_dataset, declared=False)
    report = export_coco(path, tmp_path / 'e')
    assert any('declares no box format: reading LTWH pixel' in remark for remark in report.remarks)
    config = {'deeplake_path': path, 'deeplake_bbox_format': dict(mode='LTRB')}
    with pytest.raises(AnnotationError, match='implausible'):
        export_coco(config, tmp_path / 'f')


def test_the_command_prints_what_was_written(versions, tmp_path, capsys):
    assert main(['export', 'coco', f'{versions}@odd', str(tmp_path / 'e'), '--classes', 'dog']) == 0
    printed = capsys.readouterr().out
    for line in (
        f'{tmp_path}/e: written in ',
        "split 'odd'       2 images from ",
        '  dog             0',
        'of other classes  1, left out',
        f"To read it: type='CocoDataset', ann_file='{tmp_path}/e/annotations/instances_odd.json', ",
    ):
        assert line in printed, printed
    assert main(['export', 'voc', versions, str(tmp_path / 'v'), '--splits', 'odd', '--no-images']) == 0
    assert (
        main(['export', 'yolo', versions, str(tmp_path / 'y'), '--name', 'train', '--query', 'select * limit 1']) == 0
    )
    assert files_in(tmp_path / 'v') == {
        '.deeplake-export.json',
        'ImageSets/Main/odd.txt',
        'Annotations/odd_000000.xml',
        'Annotations/odd_000001.xml',
    }
    assert len(list((tmp_path / 'y/labels/train').iterdir())) == 1


def test_the_command_says_what_is_wrong_in_one_message(versions, tmp_path, capsys):
    assert main(['export', 'yolo', versions, str(tmp_path / 'e'), '--polygons']) == 1
    assert capsys.readouterr().err.startswith('ConversionError: export_yolo(polygons=) expected a column of masks')
    assert main(['export', 'coco', f'{versions}@od', str(tmp_path / 'e')]) == 1
    assert "'odd'" in capsys.readouterr().err


@EXPORTS
def test_images_behind_links_are_written_like_others(export, make_dataset, tmp_path):
    (tmp_path / 'files').mkdir()
    for row in range(3):
        (tmp_path / f'files/{row}.png').write_bytes(png(row))
    links = [str(tmp_path / f'files/{row}.png') for row in range(3)]
    path = make_dataset('d', 3, types={'images': types.Link(types.Image())}, values={'images': links})
    export(path, tmp_path / 'e', name='train')
    found = {file.name: file.read_bytes() for file in (tmp_path / 'e').rglob('*.png')}
    assert found == {f'train_{row:06}.png': png(row) for row in range(3)}
    (tmp_path / 'files/1.png').unlink()
    with pytest.raises(ImageReadError, match=r'row 1'):
        export(path, tmp_path / 'e', name='train', overwrite=True)
    assert len(list((tmp_path / 'e').rglob('*.png'))) == 3


def test_a_dataset_in_a_bucket_is_exported_with_credentials_that_are_written_nowhere(s3, tmp_path, capsys):
    write_dataset(s3.path, 3, creds=s3.creds)
    (tmp_path / 'creds.json').write_text(json.dumps({'creds': s3.creds}))
    arguments = ['export', 'coco', s3.path, str(tmp_path / 'e'), '--creds', str(tmp_path / 'creds.json')]
    assert main(arguments) == 0
    assert [(tmp_path / f'e/main/main_00000{row}.png').read_bytes() for row in range(3)] == list(map(png, range(3)))
    secret = s3.creds['aws_secret_access_key']
    assert secret not in capsys.readouterr().out
    assert not any(secret.encode() in path.read_bytes() for path in (tmp_path / 'e').rglob('*') if path.is_file())
