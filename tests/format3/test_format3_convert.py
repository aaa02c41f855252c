"""Format 3 copied into format 4: the copy means the same, row by row, or nothing is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import deeplake
import numpy as np
import pytest
from deeplake import types
from pycocotools import mask as coco_mask

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert import convert_v3, materialize
from deeplake_mmdet.convert.format3 import _columns
from deeplake_mmdet.convert.format3_columns import copied_column
from deeplake_mmdet.convert.row_views import row_view
from deeplake_mmdet.errors import ConversionError, SourceError
from deeplake_mmdet.source.format3.tensors import Tensor
from tests.format3.reading import differences, resolve, same
from tests.support.datasets import write_dataset

COPY = Callable[[str], Path]
PACKED = ('packed_png',)
# Numbers of the last commit that holds all views of main but one.
VIEWS = {'even': [0, 2, 4], 'shuffled': [1, 3, 5], 'repeated': [1, 4], 'one': [3], 'copy': [1, 5]}


def changed_commit(expected: dict[str, Any]) -> str:
    commits = expected['history']['commits'].items()
    return next(commit for commit, item in commits if item['message'] == 'rows 4 and 5, row 1 changed')


def left_at(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_kinds_of_columns_hold_what_they_held(unpacked: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    convert_v3(unpacked / 'columns', tmp_path / 'new', without=PACKED)
    wanted = json.loads(json.dumps(expected['columns']))
    values = wanted['values']
    del values['packed_png']
    values['json'] = [json.dumps(value) for value in values['json']]
    for value in values['number']:
        value['shape'], value['values'] = [], value['values'][0]
    lz4, bitmaps = values.pop('packed_lz4'), values.pop('binary_mask')
    copy = resolve(tmp_path / 'new')
    assert differences(copy, wanted) == []
    for text, bitmap in zip(copy.read('binary_mask', range(5)), bitmaps, strict=True):
        layers = [coco_mask.decode(rle) for rle in json.loads(text)]
        assert same(np.stack(layers, axis=-1).astype(bool) if layers else None, bitmap)
    pixels = [
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in copy.read('packed_lz4', range(4))
    ]
    assert [list(image.shape) for image in pixels] == [item['shape'] for item in lz4[:4]]
    before = resolve(unpacked / 'columns').read('packed_lz4', range(4))
    assert all(np.array_equal(image[..., ::-1], one) for image, one in zip(pixels, before, strict=True))


def test_types_and_metadata_say_what_the_htypes_said(unpacked: Path, tmp_path: Path) -> None:
    convert_v3(unpacked / 'columns', tmp_path / 'new', without=PACKED)
    copy = deeplake.open_read_only(str(tmp_path / 'new'))
    for mode in ('LTWH', 'LTRB', 'CCWH'):
        for unit in ('pixel', 'fractional'):
            kind = types.BoundingBox('float32', mode.lower(), unit)
            assert copy.schema[f'boxes_{mode}_{unit}'].dtype == kind
    assert copy.schema['ann/boxes'].dtype == types.BoundingBox('float64', 'ltrb', 'pixel')
    assert copy['ann/labels'].metadata['class_names'] == ['cat', 'dog']
    assert copy['segment_mask'].metadata['class_names'] == ['sky', 'sea']
    assert copy['keypoints'].metadata['keypoints'] == ['nose', 'tail']
    assert 'class_names' not in list(copy['labels_bare'].metadata.keys())
    kinds = {name: str(copy.schema[name].dtype.kind).rpartition('.')[2] for name in ('polygons', 'binary_mask', 'gray')}
    assert kinds == {'polygons': 'Polygon', 'binary_mask': 'Text', 'gray': 'Image'}
    assert copy['binary_mask'].metadata['format'] == 'coco_rle'
    assert len(copy.history) == 2, 'the creation, and one commit'


def test_saved_views_are_tags_on_the_same_rows(unpacked: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    report = convert_v3(f'{unpacked / "history"}@{changed_commit(expected)}', tmp_path / 'new')
    assert {name: report.views[name] for name in VIEWS} == {name: len(rows) for name, rows in VIEWS.items()}
    for name, rows in VIEWS.items():
        view = resolve(tmp_path / 'new', deeplake_view_id=name)
        assert [int(number) for number in view.read('number', view.rows)] == rows
        by_row = expected['history']['commits'][changed_commit(expected)]
        wanted = {
            key: {name: [items[row] for row in rows] for name, items in by_row[key].items()}
            for key in ('values', 'bytes')
        }
        wanted['values']['number'] = [
            {**value, 'shape': [], 'values': value['values'][0]} for value in wanted['values']['number']
        ]
        assert differences(view, {'rows': len(rows), **wanted}) == []


def test_a_view_whose_rows_have_changed_is_left_out_and_said(
    unpacked: Path,
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    report = convert_v3(f'{unpacked / "history"}@{changed_commit(expected)}', tmp_path / 'new')
    assert 'early' not in report.views, 'row 1 was changed since'
    assert 'on_dev' not in report.views
    remarks = '\n'.join(report.remarks)
    assert "view 'early' is left out: its rows (of commit 'first" in remarks
    assert "view 'shuffled' has its rows once each, in the order of the dataset" in remarks
    assert 'commits and branches: only this version is copied' in remarks
    on_dev = convert_v3(f'{unpacked / "history"}@dev', tmp_path / 'dev')
    assert on_dev.views == {'on_dev': 2, 'one': 1, 'early': 2}, 'rows that are the same in both versions'


def test_one_view_can_be_copied_alone(unpacked: Path, tmp_path: Path) -> None:
    report = convert_v3(f'{unpacked / "history"}@shuffled', tmp_path / 'new')
    copy = resolve(tmp_path / 'new')
    assert [int(number) for number in copy.read('number', copy.rows)] == [5, 1, 3]
    assert report.views == {'shuffled': 3}


def test_linked_images_are_stored_and_tiles_become_one_image(
    unpacked: Path,
    expected: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(unpacked)
    report = convert_v3('linked', tmp_path / 'linked')
    monkeypatch.chdir(tmp_path)
    stored = resolve(tmp_path / 'linked').read('images', [0, 1, 2])
    assert stored == [(unpacked / 'linked_files' / f'{row}.png').read_bytes() for row in range(3)]
    assert "tensor 'images' had links: the images themselves are stored" in report.remarks
    convert_v3(unpacked / 'tiled', tmp_path / 'tiled')
    tiled = resolve(tmp_path / 'tiled').read('images', [1])[0]
    assert cv2.imdecode(np.frombuffer(tiled, np.uint8), cv2.IMREAD_COLOR).shape == (60, 80, 3)


def test_what_has_no_counterpart_is_left_out_and_said(unpacked: Path, tmp_path: Path) -> None:
    report = convert_v3(unpacked / 'stuck', tmp_path / 'new', without=['links'])
    assert sorted(report.columns) == ['boxes', 'categories', 'images']
    assert "tensor 'links' is left out: as asked for" in report.remarks
    for name in ('lists', 'sequences'):
        assert f'tensor {name!r} is left out: sequences and lists' in '\n'.join(report.remarks)


def test_a_kind_that_format_4_does_not_have_is_named(unpacked: Path) -> None:
    source = resolve(unpacked / 'history').base()
    tensor = Tensor('number', 'number', {'htype': 'video', 'dtype': 'uint8'}, np.zeros((0, 2), np.uint64), 0)
    assert copied_column(tensor, source) == "the htype 'video', for which there is no column type"


def adapted(path: Path, htype: str, *values: Any) -> list[Any]:
    """Samples as Deep Lake 4 reads them, in the form that the column of a copy takes."""
    name = 'json' if htype == 'json' else 'ann/labels'
    tensor = Tensor(name, name, {'htype': htype, 'dtype': 'uint32'}, np.zeros((0, 2), np.uint64), 0)
    column = copied_column(tensor, resolve(path).base())
    assert not isinstance(column, str)
    return [column.adapt(value) for value in values]


def test_a_json_list_keeps_its_numbers_texts_and_documents(unpacked: Path) -> None:
    document = resolve(unpacked / 'columns').read('json', [1])[0]
    numbers = [np.array(1.0), np.array(2.5), np.array(True), None, 'one', [np.array(-3.0)], document]
    texts = adapted(unpacked / 'columns', 'json', numbers, np.array(3.0), np.array(False), 'text', document, None)
    assert texts == ['[1, 2.5, true, null, "one", [-3], {"row": 1}]', '3', 'false', '"text"', '{"row": 1}', '']
    with pytest.raises(
        ConversionError, match=r'below 2\*\*53 in the lists of a json tensor, but got 9007199254740992.0'
    ):
        adapted(unpacked / 'columns', 'json', [np.array(2.0**53)])


def test_labels_of_two_dimensions_become_one_a_box(unpacked: Path) -> None:
    (labels,) = adapted(unpacked / 'columns', 'class_label', np.array([[2], [0], [1]], np.uint32))
    assert (labels.dtype, labels.tolist()) == (np.uint32, [2, 0, 1])


@pytest.mark.parametrize(
    ('name', 'htype', 'wanted'),
    [('ann/labels', 'class_label', 'uint32'), ('gray', 'image', 'uint8'), ('boxes_bare', 'bbox', 'float32')],
)
def test_a_tensor_that_never_got_a_sample_has_the_dtype_of_its_htype(
    unpacked: Path, name: str, htype: str, wanted: str
) -> None:
    tensor = Tensor(name, name, {'htype': htype, 'dtype': None}, np.zeros((0, 2), np.uint64), 0)
    column = copied_column(tensor, resolve(unpacked / 'columns').base())
    assert f'dtype={wanted}' in str(column.type)


def test_polygons_that_are_rounded_are_said_to_be_so(copied: COPY, tmp_path: Path) -> None:
    path = copied('columns')
    others = [name for name in resolve(path).tensors if name != 'polygons']
    said = "tensor 'polygons' had polygons of float64, which format 4 rounds to float32"
    assert said not in convert_v3(path, tmp_path / 'single', without=others).remarks
    for meta in path.glob('**/polygons/tensor_meta.json'):
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {'dtype': 'float64'}))
    source = resolve(path)
    assert source.tensors['polygons'].meta['dtype'] == 'float64'
    assert said in _columns(source, others)[1]


def test_rows_of_a_view_are_found_whatever_letters_a_name_has(tmp_path: Path) -> None:
    dataset = deeplake.create(str(tmp_path / 'new'))
    dataset.add_column('boîte/ß', types.Text())
    dataset.append({'boîte/ß': ['a', 'b', 'c']})
    dataset.commit()
    view = row_view(np.array([0, 2]), ['boîte/ß'])
    assert list(dataset.query(view.query)['boîte/ß'][:]) == ['a', 'c']


def test_a_source_that_cannot_be_read_leaves_nothing(copied: COPY, tmp_path: Path) -> None:
    (tmp_path / 'to').mkdir()
    with pytest.raises(SourceError, match=r"'packed_png' .*takes apart wrongly"):
        convert_v3(copied('columns'), tmp_path / 'to' / 'new')
    path = copied('history')
    chunk = next((path / 'boxes' / 'chunks').iterdir())
    chunk.write_bytes(chunk.read_bytes()[:-8])
    with pytest.raises(SourceError, match=r"of tensor 'boxes' is cut"):
        convert_v3(f'{path}@first', tmp_path / 'to' / 'new')
    assert left_at(tmp_path / 'to') == []


def test_a_destination_that_is_taken_is_refused_unless_it_may_be_replaced(unpacked: Path, tmp_path: Path) -> None:
    convert_v3(unpacked / 'tiled', tmp_path / 'new')
    with pytest.raises(ConversionError, match=r'a dataset is there'):
        convert_v3(unpacked / 'history', tmp_path / 'new')
    assert len(resolve(tmp_path / 'new')) == 2
    convert_v3(unpacked / 'history', tmp_path / 'new', overwrite=True)
    assert len(resolve(tmp_path / 'new')) == 6


def test_wrong_sources_and_names_are_refused(unpacked: Path, tmp_path: Path) -> None:
    write_dataset(str(tmp_path / 'four'), 3)
    with pytest.raises(ConversionError, match=r'expected a dataset of Deep Lake format 3, but got .* of format 4'):
        convert_v3(tmp_path / 'four', tmp_path / 'new')
    with pytest.raises(
        ConversionError, match=r"without=. expected names of tensors, but got \['imagse'\]. The tensors"
    ):
        convert_v3(unpacked / 'history', tmp_path / 'new', without=['imagse'])
    with pytest.raises(ConversionError, match=r'expected tensors to copy, but got none'):
        convert_v3(unpacked / 'history', tmp_path / 'new', without=['images', 'boxes', 'categories', 'number'])


def test_copying_with_links_is_for_format_4_and_says_where_format_3_goes(unpacked: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r'materialize.dataset=. .* of format 3. .*deeplake-mmdet convert v3'):
        materialize({'deeplake_path': str(unpacked / 'history')}, tmp_path / 'new')


def test_the_command_copies_and_reports(unpacked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['convert', 'v3', f'{unpacked / "history"}@dev', str(tmp_path / 'new'), '--without', 'number']) == 0
    out = capsys.readouterr().out
    assert "view 'on_dev'" in out
    assert 'note' in out
    assert f"deeplake_path='{tmp_path / 'new'}', deeplake_view_id='on_dev'" in out
    assert main(['convert', 'v3', str(unpacked / 'tiled'), str(tmp_path / 'plain')]) == 0
    assert f"dataset=dict(deeplake_path='{tmp_path / 'plain'}'))" in capsys.readouterr().out


def test_the_command_reports_an_error_in_one_line(
    unpacked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['convert', 'v3', str(unpacked / 'none'), str(tmp_path / 'new')]) == 1
    assert capsys.readouterr().err.startswith('SourceNotFoundError: DeepLakeDataset(deeplake_path=) found no Deep Lake')
