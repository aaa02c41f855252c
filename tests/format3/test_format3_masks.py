"""Masks of format 3 in every form, read as they are and in a copy: the pixels that Deep Lake 3.9.52 reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.convert import convert_v3
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.errors import AnnotationError
from tests.format3.reading import differences, resolve, same
from tests.support.masks import rasterise

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # inside pycocotools
POLYGONS, BITMAPS = ('whole_polygons', 'double_polygons'), ('byte_masks', 'layers')
HEIGHT, WIDTH = 16, 20


@pytest.fixture(scope='module')
def paths(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The dataset, and its copy in format 4."""
    copy = tmp_path_factory.mktemp('copy') / 'masks'
    convert_v3(unpacked / 'masks', copy)
    return {'format 3': unpacked / 'masks', 'copy': copy}


def dataset(path: Path, column: str, *, poly2mask: bool = True) -> DeepLakeDataset:
    load = dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=poly2mask)
    pipeline = [dict(type='mmcv.LoadImageFromFile'), load, dict(type='mmdet.PackDetInputs')]
    return DeepLakeDataset(str(path), deeplake_tensors=dict(gt_masks=column), pipeline=pipeline)


def test_masks_read_as_deep_lake_3_reads_them(unpacked: Path, expected: dict[str, Any]) -> None:
    assert differences(resolve(unpacked / 'masks'), expected['masks']) == []


@pytest.mark.parametrize('where', ['format 3', 'copy'])
@pytest.mark.parametrize('column', POLYGONS)
def test_polygons_of_every_dtype_are_rings(paths: dict[str, Path], expected: dict[str, Any], where: str, column: str):
    exact = where == 'format 3' or column == 'whole_polygons'
    for masks, polygons in zip(
        dataset(paths[where], column).all_masks(), expected['masks']['values'][column], strict=True
    ):
        assert all(len(mask) == 1 for mask in masks)
        wanted = [np.float64(points) if exact else np.float32(points) for points in polygons]
        assert [np.reshape(ring, (-1, 2)).tolist() for (ring,) in masks] == [points.tolist() for points in wanted]


@pytest.mark.parametrize('poly2mask', [True, False])
@pytest.mark.parametrize('where', ['format 3', 'copy'])
@pytest.mark.parametrize('column', BITMAPS)
def test_bitmaps_are_loaded_with_the_same_pixels(
    paths: dict[str, Path], unpacked: Path, where: str, column: str, poly2mask: bool
):
    stored = resolve(unpacked / 'masks').read(column, range(4))
    for sample, bitmaps in zip(dataset(paths[where], column, poly2mask=poly2mask), stored, strict=True):
        masks = sample['data_samples'].gt_instances.masks.to_ndarray().reshape(-1, HEIGHT, WIDTH)
        assert np.array_equal(masks.astype(bool), np.moveaxis(bitmaps, -1, 0) != 0)


@pytest.mark.parametrize('where', ['format 3', 'copy'])
def test_one_map_is_the_mask_of_a_single_object_only(paths: dict[str, Path], unpacked: Path, where: str) -> None:
    masks, stored = dataset(paths[where], 'one_mask'), resolve(unpacked / 'masks').read('one_mask', range(4))
    for row in (0, 3):
        (mask,) = masks.masks_of(row)
        assert np.array_equal(rasterise(mask, HEIGHT, WIDTH), stored[row])
    for row, boxes in ((1, 2), (2, 0)):
        with pytest.raises(AnnotationError, match=rf"Column 'one_mask', row {row}: expected a .*{boxes} "):
            masks.masks_of(row)


def test_a_copy_holds_bitmaps_as_run_lengths_of_the_same_pixels_and_says_so(
    paths: dict[str, Path], unpacked: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    copy = deeplake.open_read_only(str(paths['copy']))
    for column in ('byte_masks', 'one_mask'):
        assert copy[column].metadata['format'] == 'coco_rle'
        stored = resolve(unpacked / 'masks').read(column, range(4))
        for text, bitmaps in zip(copy[column][:], stored, strict=True):
            layers = [rasterise(rle, HEIGHT, WIDTH) for rle in json.loads(text)]
            assert len(layers) == (1 if bitmaps.ndim == 2 else bitmaps.shape[2])
            assert np.array_equal(np.dstack([np.zeros((HEIGHT, WIDTH, 0)), *layers]), np.atleast_3d(bitmaps) != 0)
    layers = expected['masks']['values']['layers']
    assert all(same(value, wanted) for value, wanted in zip(copy['layers'][:], layers, strict=True))
    remarks = convert_v3(unpacked / 'masks', tmp_path / 'again', without=['layers']).remarks
    assert "tensor 'byte_masks' had bitmaps: COCO run lengths of the same pixels are stored" in remarks
    assert sum('run lengths' in remark for remark in remarks) == 2
