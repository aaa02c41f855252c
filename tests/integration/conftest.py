"""One dataset in both forms: COCO files, and a Deep Lake dataset converted from them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

import deeplake_mmdet
from deeplake_mmdet.convert import convert_coco, convert_voc

from .coco_files import write_coco_files

BCCD = Path(__file__).parents[3] / 'shared' / 'data' / 'bccd'
BCCD_CLASSES = ('Platelets', 'RBC', 'WBC')
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]


@dataclass(frozen=True)
class Pair:
    """The same data as files and as a Deep Lake dataset."""

    ann_file: str
    image_folder: str
    deeplake_path: str
    classes: tuple[str, ...]
    view: str | None = None

    def coco(self, **kwargs):
        from mmdet.datasets import CocoDataset

        return CocoDataset(**{**self.coco_config(), **kwargs})

    def deeplake(self, **kwargs):
        return deeplake_mmdet.DeepLakeDataset(**{**self.deeplake_config(), **kwargs})

    def coco_config(self) -> dict:
        return dict(
            ann_file=self.ann_file, data_prefix=dict(img=self.image_folder), metainfo=dict(classes=self.classes)
        )

    def deeplake_config(self) -> dict:
        return dict(deeplake_path=self.deeplake_path, deeplake_view_id=self.view, metainfo=dict(classes=self.classes))


@pytest.fixture(scope='session', autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture(scope='session')
def pair(tmp_path_factory) -> Pair:
    """A COCO fixture with every oddity, in both forms."""
    folder = tmp_path_factory.mktemp('coco')
    ann_file = write_coco_files(folder)
    destination = folder / 'deeplake'
    convert_coco(ann_file, destination, images=folder / 'images')
    classes = tuple(category['name'] for category in json.loads(ann_file.read_text())['categories'])
    return Pair(str(ann_file), str(folder / 'images'), str(destination), classes)


@pytest.fixture(scope='session')
def bccd(tmp_path_factory) -> Pair:
    """The trainval split of BCCD, as COCO files (written here, from the XML) and as a Deep Lake dataset."""
    if not BCCD.is_dir():
        pytest.skip('the BCCD photographs (shared/data/bccd) are not beside the repository')
    folder = tmp_path_factory.mktemp('bccd')
    convert_voc(BCCD, folder / 'deeplake')
    ann_file = folder / 'trainval.json'
    ann_file.write_text(json.dumps(_bccd_json()))
    return Pair(str(ann_file), str(BCCD / 'JPEGImages'), str(folder / 'deeplake'), BCCD_CLASSES, 'trainval')


def _bccd_json() -> dict:
    """COCO JSON of the splits train and val, in this order; VOC counts pixels from one."""
    splits = [(BCCD / 'ImageSets' / 'Main' / f'{split}.txt').read_text().split() for split in ('train', 'val')]
    images, annotations = [], []
    for number, name in enumerate(splits[0] + splits[1]):
        root = ET.parse(BCCD / 'Annotations' / f'{name}.xml').getroot()
        width, height = (int(root.find(f'size/{key}').text) for key in ('width', 'height'))
        images.append({'id': number, 'file_name': f'{name}.jpg', 'width': width, 'height': height})
        for item in root.iter('object'):
            x1, y1, x2, y2 = (int(item.find(f'bndbox/{k}').text) - 1 for k in ('xmin', 'ymin', 'xmax', 'ymax'))
            annotations.append(
                {
                    'id': len(annotations) + 1,  # pycocotools takes 0 for "no match"
                    'image_id': number,
                    'category_id': BCCD_CLASSES.index(item.find('name').text),
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': 0,
                }
            )
    categories = [{'id': i, 'name': name} for i, name in enumerate(BCCD_CLASSES)]
    return {'images': images, 'annotations': annotations, 'categories': categories}
