"""The keys of a dataset: every mistake is named with its remedy, and all of them at once."""

from __future__ import annotations

from typing import Any

import pytest

from deeplake_mmdet.config.box_format import ALL_FORMATS, BoxFormat
from deeplake_mmdet.config.dataset_spec import DATASET_KEYS, FILE_KEYS, DatasetSpec
from deeplake_mmdet.errors import ConfigError


def spec(**config: Any) -> DatasetSpec:
    return DatasetSpec.from_config({'deeplake_path': 'data/x', **config})


@pytest.mark.parametrize(
    ('written', 'meant'),
    [
        ('deeplake_comit_id', 'deeplake_commit_id'),
        ('deeplake_commit', 'deeplake_commit_id'),
        ('deeplake_view', 'deeplake_view_id'),
        ('deeplake_querry', 'deeplake_query'),
        ('deeplake_tensor', 'deeplake_tensors'),
        ('on_errors', 'on_error'),
        ('deeplake_box_format', 'deeplake_bbox_format'),
    ],
)
def test_a_misspelt_key_suggests_the_right_one(written: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key '{written}'. Did you mean '{meant}'"):
        spec(**{written: 'x'})


def test_a_misspelt_key_is_refused_even_without_a_value() -> None:
    with pytest.raises(ConfigError, match='deeplake_comit_id'):
        spec(deeplake_comit_id=None)


def test_a_key_like_none_lists_them_all() -> None:
    with pytest.raises(ConfigError) as caught:
        spec(zzz=1)
    assert all(key in str(caught.value) for key in DATASET_KEYS)


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        DatasetSpec.from_config(
            {
                'deeplake_comit_id': 'a',
                'deeplake_credentials': {'username': 'u', 'password': 'p'},
                'deeplake_tensors': {'gt_boxes': 'b'},
                'deeplake_bbox_format': {'mode': 'XYZ'},
                'deeplake_view_id': 3,
                'deeplake_dataloader_type': 'rust',
                'on_error': 'ignore',
                'ann_file': 'a.json',
            }
        )
    text = str(caught.value)
    for part in (
        'deeplake_path=',
        "'deeplake_commit_id'",
        'username/password',
        "Did you mean 'gt_bboxes'",
        "mode='XYZ'",
        'deeplake_view_id=) expected a string, but got 3 of type int',
        "expected one of 'auto', 'python', 'c++', but got 'rust'",
        "expected one of 'raise', 'skip', but got 'ignore'",
        "ann_file=) expected no value, but got 'a.json'",
    ):
        assert part in text
    assert len(text.splitlines()) == 9


def test_empty_strings_and_none_mean_not_given() -> None:
    nothing = dict.fromkeys([key for key in DATASET_KEYS if key != 'deeplake_path'], '')
    assert spec(**nothing) == spec(**dict.fromkeys(nothing)) == spec()


@pytest.mark.parametrize('empty', ['', None, {}, {'img': ''}])
@pytest.mark.parametrize('key', FILE_KEYS)
def test_file_keys_without_a_value_are_no_mistake(key: str, empty: Any) -> None:
    assert spec(**{key: empty}) == spec()


@pytest.mark.parametrize('key', FILE_KEYS)
def test_file_keys_with_a_value_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf'DeepLakeDataset\({key}=\) expected no value.*_delete_=True'):
        spec(**{key: {'img': 'train2017/'} if key == 'data_prefix' else 'x'})


def test_storage_arguments_are_refused_without_showing_what_they_hold() -> None:
    with pytest.raises(ConfigError, match='but got a dict') as caught:
        spec(backend_args={'access_key': 'sEcReTpRoBe'})
    assert 'sEcReTpRoBe' not in str(caught.value)


def test_an_unknown_role_lists_the_roles() -> None:
    with pytest.raises(ConfigError, match=r"unknown role 'zz'. The roles are img, gt_bboxes, gt_labels, gt_masks"):
        spec(deeplake_tensors={'zz': 'boxes'})


@pytest.mark.parametrize('value', ['images', ['images'], {'img': 3}])
def test_tensors_that_are_no_dict_of_names_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r'deeplake_tensors=\) expected a dict of role to column name'):
        spec(deeplake_tensors=value)


@pytest.mark.parametrize('form', ALL_FORMATS, ids=str)
def test_a_box_format_is_read_in_any_case_of_letters(form: BoxFormat) -> None:
    assert spec(deeplake_bbox_format={'mode': form.mode.lower(), 'type': form.type.upper()}).bbox_format == form


def test_a_box_format_without_a_type_is_in_pixels() -> None:
    assert spec(deeplake_bbox_format={'mode': 'CCWH'}).bbox_format == BoxFormat('CCWH', 'pixel')


@pytest.mark.parametrize(
    'value',
    [
        'LTWH',
        {},
        {'type': 'pixel'},
        {'mode': 'XYXY'},
        {'mode': 'LTWH', 'type': 'relative'},
        {'mode': 'LTWH', 'unit': 'pixel'},
    ],
)
def test_a_wrong_box_format_lists_the_modes_and_types(value: Any) -> None:
    with pytest.raises(ConfigError, match=r'LTWH, LTRB, CCWH.*pixel, fractional'):
        spec(deeplake_bbox_format=value)


@pytest.mark.parametrize('quote', ['"', "'"])
def test_a_query_may_name_the_dataset_itself(quote: str) -> None:
    query = f'select * from {quote}s3://b/cars@dev{quote} where number > 3'
    for path in (None, 's3://b/cars@dev'):
        spec = DatasetSpec.from_config({'deeplake_path': path, 'deeplake_query': query})
        assert (spec.location.uri, spec.location.ref) == ('s3://b/cars', 'dev')
        assert spec.query == 'select * where number > 3'


def test_a_query_that_names_another_dataset_than_the_path_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"names \['s3://b/bikes'\], but deeplake_path is 's3://b/cars'. Leave out one"
    ):
        DatasetSpec.from_config({'deeplake_path': 's3://b/cars', 'deeplake_query': 'select * from "s3://b/bikes"'})
