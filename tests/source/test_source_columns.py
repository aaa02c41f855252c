"""Columns: each role's column is the one that was named, or the only one of its type; never a guess between two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet.config.box_format import ALL_FORMATS, BoxFormat
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ColumnError
from deeplake_mmdet.source.columns import ColumnMap, MaskColumn, map_columns
from deeplake_mmdet.source.handle import SourceHandle
from tests.support.datasets import columns, pixels, png, rows


def mapped(path: str, tensors: dict[str, str] | None = None, **pins: Any) -> ColumnMap:
    handle = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path, **pins}))
    return map_columns(handle.base(), handle.selection(), tensors or {})


def test_columns_are_found_by_type(make_dataset: Callable[..., str]) -> None:
    found = mapped(make_dataset())
    assert dict(found.names) == {'img': 'images', 'gt_bboxes': 'boxes', 'gt_labels': 'categories'}
    assert found.class_names == ('cat', 'dog')
    assert found.category_ids is None
    assert (found.image.name, found.image.compression, found.image.extension) == ('images', 'png', 'png')


def test_columns_are_found_by_type_whatever_they_are_called(make_dataset: Callable[..., str]) -> None:
    kinds, values = columns(), rows(range(3))
    path = make_dataset(
        count=3,
        drop=tuple(kinds),
        types={f'x_{name}': kind for name, kind in kinds.items()},
        values={f'x_{name}': value for name, value in values.items()},
    )
    assert dict(mapped(path).names) == {'img': 'x_images', 'gt_bboxes': 'x_boxes', 'gt_labels': 'x_categories'}


def test_two_candidates_are_listed_and_naming_one_settles_it(make_dataset: Callable[..., str]) -> None:
    path = make_dataset(
        types={'thumbs': types.Image(sample_compression='png')}, values={'thumbs': [png(n, 4, 4) for n in range(8)]}
    )
    with pytest.raises(ColumnError, match=r"tensors.img=\) is needed: 2 columns are of type Image: 'images', 'thumbs'"):
        mapped(path)
    assert mapped(path, {'img': 'thumbs'})['img'] == 'thumbs'


@pytest.mark.parametrize(
    ('dropped', 'kind'), [('images', 'Image'), ('boxes', 'BoundingBox'), ('categories', 'ClassLabel')]
)
def test_a_missing_column_lists_the_columns_and_their_types(
    make_dataset: Callable[..., str], dropped: str, kind: str
) -> None:
    with pytest.raises(ColumnError, match=rf"no column is of type {kind}. The columns are .*'number' \(Generic\)"):
        mapped(make_dataset(drop=(dropped,)))


def test_a_named_column_that_does_not_exist_lists_the_columns_and_the_closest(make_dataset: Callable[..., str]) -> None:
    with pytest.raises(
        ColumnError, match=r"'imagse', which does not exist. .*'images' \(Image\).*Did you mean 'images'"
    ):
        mapped(make_dataset(), {'img': 'imagse'})


def test_plain_arrays_play_a_role_when_they_are_named(make_dataset: Callable[..., str]) -> None:
    given = {name: values for name, values in rows(range(8)).items() if name in ('boxes', 'categories')}
    path = make_dataset(
        drop=tuple(columns()),
        types={
            'images': types.Array('uint8', 3),
            'boxes': types.Array('float32', 2),
            'categories': types.Array('uint32', 1),
        },
        values={'images': [pixels(n) for n in range(8)], **given},
        classes=None,
    )
    with pytest.raises(ColumnError, match='no column is of type Image'):
        mapped(path)
    found = mapped(path, {'img': 'images', 'gt_bboxes': 'boxes', 'gt_labels': 'categories'})
    assert found.image.compression is None
    assert (found.box_format, found.class_names) == (None, None)


@pytest.mark.parametrize('form', ALL_FORMATS, ids=str)
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'int32'])
def test_the_declared_box_format_is_read_back(make_dataset: Callable[..., str], form: BoxFormat, dtype: str) -> None:
    kind = types.BoundingBox(dtype, form.mode.lower(), form.type)
    path = make_dataset(count=0, types={'boxes': kind})
    assert mapped(path).box_format == form


def test_boxes_that_may_be_missing_keep_their_declared_format(make_dataset: Callable[..., str]) -> None:
    kind = types.Nullable(types.BoundingBox('float32', 'ltrb', 'pixel'))
    values = [None if n % 2 else np.zeros((1, 4), 'float32') for n in range(8)]
    found = mapped(make_dataset(types={'boxes': kind}, values={'boxes': values}))
    assert (found['gt_bboxes'], found.box_format) == ('boxes', BoxFormat('LTRB', 'pixel'))


def test_coordinates_in_the_metadata_of_the_column_declare_the_format(make_dataset: Callable[..., str]) -> None:
    path = make_dataset(
        types={'boxes': types.Array('float32', 2)},
        metadata={'boxes': {'coords': {'mode': 'CCWH', 'type': 'fractional'}}},
    )
    assert mapped(path, {'gt_bboxes': 'boxes'}).box_format == BoxFormat('CCWH', 'fractional')


def test_the_declared_format_survives_views_and_queries(make_dataset: Callable[..., str]) -> None:
    import deeplake

    path = make_dataset(types={'boxes': types.BoundingBox('float32', 'ltrb', 'pixel')})
    deeplake.open(path).query('select * where number > 2').tag('view')
    for pins in ({'deeplake_view_id': 'view'}, {'deeplake_query': 'select images, boxes, categories where number > 2'}):
        found = mapped(path, **pins)
        assert (found.box_format, found.class_names) == (BoxFormat('LTRB', 'pixel'), ('cat', 'dog'))


def test_optional_columns_are_found_by_the_names_that_converters_give(make_dataset: Callable[..., str]) -> None:
    extra = {
        'iscrowd': types.Array('uint8', 1),
        'areas': types.Array('float64', 1),
        'img_id': 'int64',
        'height': 'int32',
        'width': 'int32',
        'masks': types.Text(),
    }
    path = make_dataset(count=0, types=extra, metadata={'masks': {'format': 'coco_segmentation'}})
    found = dict(mapped(path).names)
    assert found == {
        'img': 'images',
        'gt_bboxes': 'boxes',
        'gt_labels': 'categories',
        'gt_iscrowd': 'iscrowd',
        'gt_areas': 'areas',
        'img_id': 'img_id',
        'height': 'height',
        'width': 'width',
        'gt_masks': 'masks',
    }


def test_a_mask_column_of_an_unknown_form_is_left_alone(make_dataset: Callable[..., str]) -> None:
    assert mapped(make_dataset(count=0, types={'masks': types.Text()})).get('gt_masks') is None


@pytest.mark.parametrize('stated', [['coco_segmentation'], 3, 'other'])
def test_a_format_that_is_none_of_masks_is_left_alone(make_dataset: Callable[..., str], stated: Any) -> None:
    path = make_dataset(count=0, types={'masks': types.Text()}, metadata={'masks': {'format': stated}})
    assert mapped(path).masks is None


@pytest.mark.parametrize(
    ('kind', 'stated', 'wanted'),
    [
        (types.Text(), 'coco_segmentation', 'coco_segmentation'),
        (types.Nullable(types.Text()), 'coco_rle', 'coco_rle'),
        (types.Polygon(), None, 'Polygon'),
        (types.Nullable(types.Polygon()), None, 'Polygon'),
        (types.BinaryMask('lz4'), None, 'BinaryMask'),
        (types.Nullable(types.BinaryMask('lz4')), None, 'BinaryMask'),
    ],
)
def test_the_only_column_of_masks_is_found_whatever_it_is_called(
    make_dataset: Callable[..., str], kind: Any, stated: str | None, wanted: str
) -> None:
    metadata = {'outlines': {'format': stated}} if stated else {}
    found = mapped(make_dataset(count=0, types={'outlines': kind}, metadata=metadata))
    assert found.masks == MaskColumn('outlines', wanted)
    assert found['gt_masks'] == 'outlines'


def test_of_two_columns_of_masks_only_one_called_so_is_taken(make_dataset: Callable[..., str]) -> None:
    assert mapped(make_dataset(count=0, types={'a': types.Polygon(), 'b': types.BinaryMask()})).masks is None
    found = mapped(make_dataset('named', 0, types={'a': types.Polygon(), 'masks': types.BinaryMask()}))
    assert found.masks == MaskColumn('masks', 'BinaryMask')


def test_original_category_ids_are_read_from_the_metadata(make_dataset: Callable[..., str]) -> None:
    path = make_dataset(count=0, metadata={'categories': {'category_ids': [3, 17]}})
    assert mapped(path).category_ids == (3, 17)


def test_images_behind_links_are_taken_only_where_none_are_stored(make_dataset: Callable[..., str]) -> None:
    link = types.Link(types.Image(sample_compression='jpeg'))
    linked = make_dataset('linked', count=0, drop=('images',), types={'linked': link})
    assert (mapped(linked).image.name, mapped(linked).image.is_link) == ('linked', True)
    both = make_dataset('both', count=0, types={'linked': link})
    assert (mapped(both).image.name, mapped(both).image.is_link) == ('images', False)
    two = make_dataset('two', count=0, drop=('images',), types={'linked': link, 'more': link})
    with pytest.raises(ColumnError, match=r"2 columns are of type Link: 'linked', 'more'. Name one"):
        mapped(two)


def test_a_column_of_links_says_what_its_credentials_are_called(make_dataset: Callable[..., str]) -> None:
    link = {'images': types.Link(types.Image())}
    path = make_dataset('named', count=0, types=link, metadata={'images': {'link_creds': 'fleet'}})
    assert mapped(path).image.link_creds == 'fleet'
    assert mapped(make_dataset('unnamed', count=0, types=link)).image.link_creds is None
