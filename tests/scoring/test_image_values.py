"""Values are numbered as the row's own annotations and as the detections that are kept, whatever took no part."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.scoring.columns import COLUMNS, COUNT, ERRORS, NUMBER, column
from deeplake_mmdet.scoring.image_table import ImageTable
from deeplake_mmdet.scoring.values import Part, Scored, part_of
from tests.support.street import name_of, objects_of, write_street

CLASSES = ('bicycle', 'person', 'car')  # no bus, and in another order than the dataset's


@pytest.fixture(scope='module')
def street(tmp_path_factory):
    path, document = write_street(tmp_path_factory.mktemp('street') / 'data', 12)
    return DeepLakeDataset(deeplake_path=path, metainfo=dict(classes=CLASSES), test_mode=True), objects_of(document)


def found(dataset, image, boxes, labels, scores) -> Detections:
    instances = dict(bboxes=np.float32(boxes).reshape(-1, 4), labels=np.int64(labels), scores=np.float32(scores))
    return Detections.of_sample(dict(img_id=int(dataset.index.img_ids[image]), pred_instances=instances))


def perfect(dataset, objects, image) -> Scored:
    """Every object of the run's classes is found, in reverse, between two detections of low score."""
    own = [item for item in reversed(objects[image]) if name_of(item) in CLASSES]
    boxes = [[x, y, x + w, y + h] for x, y, w, h in (item['bbox'] for item in own)]
    labels = [CLASSES.index(name_of(item)) for item in own]
    detections = found(
        dataset, image, [[0, 0, 3, 3], *boxes, [1, 1, 4, 4]], [0, *labels, 0], [0.1, *[0.9] * len(own), 0.2]
    )
    learned = [item for item in objects[image] if name_of(item) in CLASSES and not item['iscrowd']]
    losses = np.arange(len(learned), dtype=np.float32)
    return Scored(image, {'loss': float(image), 'loss_cls': math.nan if image == 3 else 1.0}, losses, detections)


@pytest.fixture(scope='module')
def part(street) -> Part:
    dataset, objects = street
    scored = [perfect(dataset, objects, image) for image in reversed(range(12))]
    return part_of(dataset, scored, iou_thr=0.5, score_thr=0.3, masks=False)


def of_row(part: Part, row: int) -> dict:
    place = part.places.tolist().index(row)
    return {name: values[place] for name, values in part.values.items()}


def test_every_row_has_a_value_in_every_column_of_the_kind_that_the_column_says(part):
    assert sorted(part.places.tolist()) == list(range(12))
    assert set(COLUMNS) - {'masks'} <= set(part.values)
    for name, values in part.values.items():
        assert len(values) == 12
        if column(name).kind == NUMBER:
            assert all(value is None or isinstance(value, float) for value in values)
        elif column(name).kind == COUNT:
            assert all(isinstance(value, int) for value in values)


def test_objects_are_numbered_as_in_the_row_and_detections_as_they_are_kept(street, part):
    _, objects = street
    for row, items in enumerate(objects):
        values = of_row(part, row)
        assert len(values['object_error']) == len(values['object_loss']) == len(items)
        assert (values['scores'] >= 0.3).all()
        for k, item in enumerate(items):
            finder = values['object_prediction'][k]
            if name_of(item) not in CLASSES:
                assert (ERRORS[values['object_error'][k]], finder) == ('not counted', -1)
                continue
            x, y, w, h = item['bbox']
            assert values['boxes'][finder] == pytest.approx([x, y, x + w, y + h], abs=1e-3)
            assert values['prediction_object'][finder] == k
            assert CLASSES[values['labels'][finder]] == name_of(item)
            assert ERRORS[values['object_error'][k]] == ('not counted' if item['iscrowd'] else 'correct')


def test_losses_of_objects_stand_beside_the_objects_that_the_detector_learns(street, part):
    _, objects = street
    for row, items in enumerate(objects):
        learned = iter(range(len(items)))
        expected = [
            math.nan if item['iscrowd'] or name_of(item) not in CLASSES else float(next(learned)) for item in items
        ]
        np.testing.assert_array_equal(of_row(part, row)['object_loss'], np.float32(expected))


def test_a_loss_that_is_no_number_is_none(part):
    assert of_row(part, 3)['loss_cls'] is None
    assert of_row(part, 4)['loss_cls'] == 1.0


def test_the_table_ranks_by_what_is_bad_and_leaves_out_what_is_missing(part, tmp_path, street):
    table = ImageTable([part])
    assert table.places.tolist() == list(range(12))
    assert table.worst('loss', 3).tolist() == [11, 10, 9]
    assert len(table.worst('loss_cls', 99)) == 11
    least = table.worst('iou', 12)
    assert (np.diff(table.numbers['iou'][least]) >= 0).all()
    with pytest.raises(ConfigError, match=r"rank by among loss, loss_cls, .*but got 'lost'"):
        table.worst('lost', 3)


def test_the_file_has_one_line_an_image_with_the_row_and_nothing_where_nothing_is(part, tmp_path, street):
    dataset, _ = street
    ImageTable([part]).write_csv(str(tmp_path / 'a.csv'), dataset.index.rows, dataset.index.img_ids.tolist())
    with (tmp_path / 'a.csv').open() as file:
        lines = list(csv.DictReader(file))
    assert [line['row'] for line in lines] == [str(row) for row in range(12)]
    assert lines[4]['img_id'] == '43'
    assert (lines[3]['loss_cls'], lines[3]['loss'], lines[3]['fp']) == ('', '3', '0')
    with pytest.raises(ConfigError, match=r'--out is .*cannot be written: Is a directory'):
        ImageTable([part]).write_csv(str(tmp_path), dataset.index.rows, [])
