"""Exports of datasets of format 3 equal those of their copies in format 4, and show what `DeepLakeDataset` shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.convert import convert_v3, export_coco, export_voc, export_yolo
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('export', [export_coco, export_voc, export_yolo])
def test_an_export_equals_that_of_the_copy(export: Callable[..., Any], unpacked: Path, tmp_path: Path) -> None:
    convert_v3(unpacked / 'history@dev', tmp_path / 'copy')
    export({'deeplake_path': str(unpacked / 'history'), 'deeplake_branch': 'dev'}, tmp_path / 'old', name='train')
    export(tmp_path / 'copy', tmp_path / 'new', name='train')
    assert content(tmp_path / 'old') == content(tmp_path / 'new')
    assert any(name.endswith(('.png', '.jpg')) for name in content(tmp_path / 'old'))


def test_a_view_is_exported_as_it_is_read(unpacked: Path, tmp_path: Path) -> None:
    ours = DeepLakeDataset(str(unpacked / 'history'), deeplake_view_id='on_dev')
    export_coco(f'{unpacked}/history@on_dev', tmp_path / 'e')
    document = json.loads((tmp_path / 'e/annotations/instances_on_dev.json').read_text())
    boxes = [entry['bbox'] for entry in document['annotations']]
    assert boxes == ours.index.xywh(slice(None)).tolist() and len(document['images']) == len(ours)
    files = [tmp_path / 'e/on_dev' / entry['file_name'] for entry in document['images']]
    assert [file.read_bytes() for file in files] == [ours.images.get(row) for row in ours.index.rows.tolist()]


@pytest.mark.parametrize('column', ['whole_polygons', 'byte_masks'])
def test_masks_are_those_that_are_read(column: str, unpacked: Path, tmp_path: Path) -> None:
    config = {'deeplake_path': str(unpacked / 'masks'), 'deeplake_tensors': {'gt_masks': column}}
    export_coco(config, tmp_path / 'e', images=False)
    document = json.loads((tmp_path / 'e/annotations/instances_main.json').read_text())
    ours = DeepLakeDataset(**config)
    masks = [mask for image in range(len(ours.index)) for mask in ours.masks.of(image)]
    assert [entry.get('segmentation') for entry in document['annotations']] == masks and len(masks) > 3
    report = export_yolo(config, tmp_path / 'y', polygons=True, name='train')
    assert report.objects.total() == len(masks)
