"""`DeepLakeDataset` over format 3 gives the samples that it gives over the format-4 copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.convert import convert_v3
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

PIPELINE = [
    dict(type='mmcv.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.Resize', scale=(40, 32), keep_ratio=True),
    dict(type='mmdet.PackDetInputs'),
]
TENSORS = {'img': 'images', 'gt_bboxes': 'ann/boxes', 'gt_labels': 'ann/labels', 'gt_masks': 'binary_mask'}


@pytest.fixture(scope='module')
def copies(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('copies')
    for name in ('history@dev', 'columns'):
        convert_v3(
            unpacked / name, folder / name.partition('@')[0], without=['packed_png'] if name == 'columns' else []
        )
    return folder


def infos(dataset: DeepLakeDataset) -> list[dict[str, Any]]:
    """All samples, without the paths, which name the dataset."""
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [{key: value for key, value in sample.items() if key != 'img_path'} for sample in samples]


def test_annotations_and_bytes_are_those_of_the_copy(unpacked: Path, copies: Path) -> None:
    old = DeepLakeDataset(str(unpacked / 'history'), deeplake_branch='dev')
    new = DeepLakeDataset(str(copies / 'history'))
    assert infos(old) == infos(new)
    assert sum(len(info['instances']) for info in infos(old)) == 6
    assert [old.images.get(row) for row in range(6)] == [new.images.get(row) for row in range(6)]
    assert old.metainfo['classes'] == new.metainfo['classes'] == ('cat', 'dog')


def test_views_are_those_of_the_copy(unpacked: Path, copies: Path) -> None:
    for view in ('on_dev', 'one'):
        old = DeepLakeDataset(str(unpacked / 'history'), deeplake_view_id=view)
        new = DeepLakeDataset(str(copies / 'history'), deeplake_view_id=view)
        drop = ('img_id',)  # row numbers, which those of a view are not in both formats
        assert [{k: v for k, v in info.items() if k not in drop} for info in infos(old)] == [
            {k: v for k, v in info.items() if k not in drop} for info in infos(new)
        ]


@pytest.mark.parametrize('masks', ['binary_mask', 'polygons'])
def test_a_pipeline_with_masks_gives_the_same_batch(unpacked: Path, copies: Path, masks: str) -> None:
    tensors = {**TENSORS, 'gt_masks': masks}
    old, new = (
        DeepLakeDataset(str(path), deeplake_tensors=tensors, pipeline=PIPELINE)
        for path in (unpacked / 'columns', copies / 'columns')
    )
    for one, other in zip(old.__getitems__([0, 1, 2, 3, 4]), new.__getitems__([0, 1, 2, 3, 4]), strict=True):
        assert bool((one['inputs'] == other['inputs']).all())
        mine, theirs = one['data_samples'].gt_instances, other['data_samples'].gt_instances
        assert np.array_equal(mine.bboxes.numpy(), theirs.bboxes.numpy())
        assert np.array_equal(mine.masks.to_ndarray(), theirs.masks.to_ndarray())
        assert mine.labels.tolist() == theirs.labels.tolist()


def test_what_was_read_names_format_commit_and_view(unpacked: Path, expected: dict[str, Any]) -> None:
    view = DeepLakeDataset(str(unpacked / 'history'), deeplake_view_id='even').metainfo['deeplake']
    assert (view['format'], view['branch'], view['view_id'], view['rows']) == ('3', 'main', 'even', '3')
    assert view['commit_id'] == expected['history']['views']['even']['commit']
    assert len(view['digest']) == 32


def test_worker_processes_give_the_same_samples(unpacked: Path) -> None:
    from torch.utils.data import DataLoader

    pipeline = [PIPELINE[0], dict(type='mmdet.LoadAnnotations', with_bbox=True), PIPELINE[3]]
    dataset = DeepLakeDataset(str(unpacked / 'history'), deeplake_view_id='shuffled', pipeline=pipeline)
    here = [dataset[i]['inputs'] for i in range(len(dataset))]
    loader = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=list)
    there = [sample['inputs'] for batch in loader for sample in batch]
    assert len(here) == len(there) == 3
    assert all(bool((one == other).all()) for one, other in zip(here, there, strict=True))
