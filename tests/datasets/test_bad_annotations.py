"""Annotations that contradict themselves are refused, with the row named."""

from __future__ import annotations

import numpy as np
import pytest
from deeplake import types

from deeplake_mmdet import DeepLakeDataset
from deeplake_mmdet.errors import AnnotationError, ColumnError, ConfigError, EmptyDatasetError
from tests.support.tiny import SIZE, write_tiny

TWO = [[2, 3, 10, 12], [20, 5, 15, 30]]


def test_boxes_and_labels_of_different_number_name_the_row(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[TWO, TWO, TWO], labels=[[0, 1], [0], [1, 1]])
    with pytest.raises(AnnotationError, match=r"Row 1: .*'categories'.*'boxes', but got 1 and 2"):
        DeepLakeDataset(deeplake_path=path)


def test_the_row_that_is_named_is_that_of_the_dataset_and_not_that_of_the_query(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[TWO, TWO, TWO, TWO], labels=[[0, 1], [1, 1], [1, 1], [0]])
    with pytest.raises(AnnotationError, match='Row 3: '):
        DeepLakeDataset(deeplake_path=path, deeplake_query='select * where ROW_NUMBER() > 1')


def test_a_box_that_is_not_a_number_names_the_row(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[TWO, [[1, 2, np.nan, 4]], TWO])
    with pytest.raises(AnnotationError, match=r"Column 'boxes', row 1: expected finite numbers.*nan"):
        DeepLakeDataset(deeplake_path=path)


def test_a_label_without_a_name_names_the_row(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[TWO, TWO, TWO], labels=[[0, 1], [0, 1], [5, 0]])
    with pytest.raises(AnnotationError, match=r"Column 'categories', row 2: expected a label of 0 to 1, but got 5"):
        DeepLakeDataset(deeplake_path=path)


def test_missing_class_names_are_asked_for(tmp_path):
    path = write_tiny(tmp_path / 'ds', class_names=None)
    with pytest.raises(ConfigError, match=r'metainfo=dict\(classes='):
        DeepLakeDataset(deeplake_path=path)
    dataset = DeepLakeDataset(deeplake_path=path, metainfo=dict(classes=['a', 'b']))
    assert dataset.metainfo['classes'] == ('a', 'b')
    assert dataset.get_cat_ids(0) == [0, 1]


def test_a_class_that_the_dataset_does_not_have_shows_both_lists(tmp_path):
    path = write_tiny(tmp_path / 'ds')
    with pytest.raises(ConfigError, match=r"names \['cow'\].*\['cow', 'cat'\].*\['cat', 'dog'\]"):
        DeepLakeDataset(deeplake_path=path, metainfo=dict(classes=('cow', 'cat')))


@pytest.mark.parametrize(('stored', 'wanted'), [(['cat', 'cat'], None), (['cat', 'dog'], ('dog', 'dog'))])
def test_repeated_class_names_are_refused(tmp_path, stored, wanted):
    path = write_tiny(tmp_path / 'ds', class_names=stored)
    metainfo = dict(classes=wanted) if wanted else None
    with pytest.raises(ConfigError, match='more than once'):
        DeepLakeDataset(deeplake_path=path, metainfo=metainfo)


def test_a_declared_format_that_another_one_beats_is_refused_with_the_fitting_ones(tmp_path):
    corners = [[[5, 5, 30, 38], [20, 8, 35, 39]]] * 4
    path = write_tiny(tmp_path / 'ds', boxes=corners, box_format=('ltwh', 'pixel'))
    with pytest.raises(AnnotationError, match=r"implausible.*row 0.*mode='LTRB', type='pixel'"):
        DeepLakeDataset(deeplake_path=path)


def test_fractions_read_as_pixels_are_refused(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[[[0.1, 0.2, 0.5, 0.4]]] * 4)
    with pytest.raises(AnnotationError, match=r"no coordinate exceeds 1 pixel.*type='fractional'"):
        DeepLakeDataset(deeplake_path=path)


def test_negative_sizes_are_refused_even_if_no_reading_fits(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[[[10, 10, -5, 6]], TWO])
    with pytest.raises(AnnotationError, match='1 of 3 boxes have a negative size'):
        DeepLakeDataset(deeplake_path=path)


def test_undeclared_boxes_are_read_as_ltwh_pixels_and_the_log_says_so(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('deeplake_mmdet.datasets.deeplake_dataset.print_log', lambda line, **kwargs: lines.append(line))
    path = write_tiny(tmp_path / 'ds', box_format=(None, None))
    dataset = DeepLakeDataset(deeplake_path=path)
    assert dataset.get_data_info(0)['instances'][0]['bbox'] == [2, 3, 12, 15]
    assert any("'boxes' declares no box format: reading LTWH pixel boxes" in line for line in lines)


def test_the_config_says_how_undeclared_boxes_are_read(tmp_path):
    corners = [[[5, 5, 30, 38], [20, 8, 35, 39]]] * 4
    path = write_tiny(tmp_path / 'ds', boxes=corners, box_format=(None, None))
    dataset = DeepLakeDataset(deeplake_path=path, deeplake_bbox_format=dict(mode='LTRB', type='pixel'))
    assert dataset.get_data_info(0)['instances'][1]['bbox'] == [20, 8, 35, 39]


def test_a_config_that_contradicts_the_declared_format_is_refused(tmp_path):
    path = write_tiny(tmp_path / 'ds', box_format=('ltrb', 'pixel'), boxes=[[[5, 5, 30, 38]]] * 2)
    with pytest.raises(ColumnError, match=r'says CCWH pixel.*declares LTRB pixel'):
        DeepLakeDataset(deeplake_path=path, deeplake_bbox_format=dict(mode='CCWH'))


def test_image_ids_that_are_no_whole_numbers_are_refused(tmp_path):
    ids = ('float64', np.array([1.0, 2.5, 3.0]))
    path = write_tiny(tmp_path / 'ds', boxes=[TWO] * 3, extra={'img_id': ids})
    with pytest.raises(AnnotationError, match=r"'img_id', row 1: expected a whole number .* but got 2.5.*img_id="):
        DeepLakeDataset(deeplake_path=path)


def test_repeated_image_ids_are_refused(tmp_path):
    ids = ('int64', np.array([7, 8, 7], np.int64))
    path = write_tiny(tmp_path / 'ds', boxes=[TWO] * 3, extra={'img_id': ids})
    with pytest.raises(AnnotationError, match=r"'img_id'.*got 7 in the rows \[0, 2\]"):
        DeepLakeDataset(deeplake_path=path)


def test_a_dataset_whose_filters_remove_all_says_which_removed_how_many(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=[TWO, [], []])
    with pytest.raises(EmptyDatasetError, match=r'no sample is left of 3 images: min_size removed 3\b'):
        DeepLakeDataset(deeplake_path=path, filter_cfg=dict(min_size=SIZE + 1, filter_empty_gt=True))
    with pytest.raises(EmptyDatasetError, match=r'filter_empty_gt removed 3.*classes asked for are \[.dog.\]'):
        path = write_tiny(tmp_path / 'cats', boxes=[TWO[:1]] * 3)
        DeepLakeDataset(deeplake_path=path, metainfo=dict(classes=('dog',)), filter_cfg=dict(filter_empty_gt=True))


def test_an_unknown_filter_is_refused(tmp_path):
    path = write_tiny(tmp_path / 'ds')
    with pytest.raises(ConfigError, match=r'filter_empty_gt, min_size, bbox_min_size, but got \[.filter_emtpy_gt.\]'):
        DeepLakeDataset(deeplake_path=path, filter_cfg=dict(filter_emtpy_gt=True))


def test_crowd_difficult_and_ignored_objects_act_as_in_mmdetection(tmp_path):
    flags = {
        name: (types.Array('uint8', 1), [np.array(values, np.uint8)] * 2)
        for name, values in (('iscrowd', [1, 0, 0, 0]), ('difficult', [0, 1, 0, 0]), ('ignore', [0, 0, 1, 0]))
    }
    path = write_tiny(tmp_path / 'ds', boxes=[TWO + TWO] * 2, extra=flags)
    instances = DeepLakeDataset(deeplake_path=path).get_data_info(0)['instances']
    assert [instance['ignore_flag'] for instance in instances] == [1, 1, 0]


@pytest.mark.parametrize('shape', [(0, 4), (0,)])
@pytest.mark.parametrize('empty', [0, 1, 2, None])
def test_rows_without_boxes_may_stand_anywhere(tmp_path, shape, empty):
    boxes = [np.array(TWO, np.float32) if i != empty and empty is not None else np.zeros(shape) for i in range(3)]
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds', boxes=boxes))
    counts = [len(dataset.get_data_info(i)['instances']) for i in range(3)]
    assert counts == [0 if empty is None or i == empty else 2 for i in range(3)]


def test_areas_that_are_no_numbers_are_refused(tmp_path):
    areas = (types.Array('float64', 1), [np.array([1.0, np.nan])] * 2)
    path = write_tiny(tmp_path / 'ds', boxes=[TWO, TWO], extra={'areas': areas})
    with pytest.raises(AnnotationError, match=r"'areas', row 0: .*the area \[nan\]"):
        DeepLakeDataset(deeplake_path=path)


def test_a_column_of_one_number_an_image_is_not_taken_for_one_an_object(tmp_path):
    extra = {'area': ('float64', np.zeros(2)), 'ignore': ('int64', np.ones(2, np.int64))}
    path = write_tiny(tmp_path / 'ds', boxes=[TWO[:1], TWO[:1]], extra=extra)
    dataset = DeepLakeDataset(deeplake_path=path)
    assert [len(dataset.get_data_info(i)['instances']) for i in range(2)] == [1, 1]
    with pytest.raises(ColumnError, match=r"gt_areas=\) names the column 'area'.*one an object"):
        DeepLakeDataset(deeplake_path=path, deeplake_tensors=dict(gt_areas='area'))


def test_an_empty_name_leaves_an_optional_role_without_column(tmp_path):
    areas = (types.Array('float64', 1), [np.zeros(2)] * 2)
    path = write_tiny(tmp_path / 'ds', boxes=[TWO, TWO], extra={'areas': areas})
    assert not DeepLakeDataset(deeplake_path=path).get_data_info(0)['instances']
    dataset = DeepLakeDataset(deeplake_path=path, deeplake_tensors=dict(gt_areas=''))
    assert len(dataset.get_data_info(0)['instances']) == 2


def test_fractional_boxes_use_the_sizes_of_images_whose_headers_deep_lake_cannot_read(tmp_path):
    import cv2

    jpeg = cv2.imencode('.jpg', np.zeros((50, 80, 3), np.uint8))[1].tobytes()  # in a column of PNG images
    path = write_tiny(
        tmp_path / 'ds',
        boxes=[[[0.25, 0.5, 0.5, 0.25]]] * 3,
        images=[jpeg] * 3,
        box_format=('ltwh', 'fractional'),
        sizes=False,
    )
    info = DeepLakeDataset(deeplake_path=path).get_data_info(1)
    assert (info['height'], info['width']) == (50, 80)
    assert info['instances'][0]['bbox'] == [20, 25, 60, 37.5]


def test_a_declared_format_is_believed_though_a_few_boxes_leave_their_image(tmp_path):
    boxes = [[[12, 12, 9, 9]], [[14, 14, 8, 8]], [[30, 10, 15, 9]]] + [[[10, 10, 12, 12]]] * 30
    path = write_tiny(tmp_path / 'ds', boxes=boxes)
    dataset = DeepLakeDataset(deeplake_path=path)
    assert dataset.get_data_info(2)['instances'][0]['bbox'] == [30, 10, 45, 19]
    mostly_out = write_tiny(tmp_path / 'out', boxes=[[[30, 30, 18, 18]]] * 3)
    with pytest.raises(AnnotationError, match='What would fit'):
        DeepLakeDataset(deeplake_path=mostly_out)
    stated = DeepLakeDataset(deeplake_path=mostly_out, deeplake_bbox_format=dict(mode='LTWH'))
    assert stated.get_data_info(0)['instances'][0]['bbox'] == [30, 30, 48, 48]


def test_masks_that_are_asked_for_and_missing_are_explained(tmp_path):
    load = dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)
    path = write_tiny(tmp_path / 'ds', extra={'masks': (types.Text(), ['[]'] * 6)})
    with pytest.raises(ColumnError, match=r'with_mask=True\) asks for masks.*gt_masks'):
        DeepLakeDataset(deeplake_path=path, pipeline=[load])[0]
    with pytest.raises(ColumnError, match=r"'masks'.*format='coco_segmentation'"):
        DeepLakeDataset(deeplake_path=path, deeplake_tensors=dict(gt_masks='masks'))


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (dict(indices=[0, 99]), IndexError, 'below the 6 samples, but got 99'),
        (dict(indices=[0.7, 1.9]), TypeError, 'whole numbers'),
        (dict(metainfo=dict(classes=2)), ConfigError, 'sequence of names, but got 2'),
        (dict(metainfo=dict(classes=())), ConfigError, 'sequence of names'),
        (dict(metainfo=dict(CLASSES=('dog',))), ConfigError, "MMDetection 2. Write 'classes'"),
        (dict(filter_cg=dict(min_size=3)), ConfigError, "Did you mean 'filter_cfg'"),
        (dict(ann_file='x.json'), ConfigError, '_delete_=True'),
    ],
)
def test_other_wrong_arguments_are_explained(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), **changes)
