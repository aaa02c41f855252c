"""An evaluation as a file: the same when it is read again, and refused when it is damaged."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.report.archive import FILE, Report, load, save
from deeplake_mmdet.report.gallery import GalleryImage
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.subject import Subject
from tests.report.test_report_outcome import curves
from tests.support.evaluations import random_evaluation

SUBJECT = Subject('rtmdet.py', 'validation', '2024-01-31 12:00 +0000', 4, 240, 'epoch_4.pth')
IMAGE = GalleryImage(7, 'seven', 'ä/7.jpg', {'missed': '2 cat'}, {'right': 1, 'missed': 2}, True, b'\xff\xd8pixels')


def report_of(**options: Any) -> Report:
    return Report(SUBJECT, random_evaluation(0, **options), [IMAGE, replace(IMAGE, row=8, jpeg=b'other')])


def assert_same(one: Any, other: Any, without: tuple[str, ...] = ()) -> None:
    """Compare two dataclasses of arrays and plain values."""
    for field in fields(one):
        if field.name not in without:
            np.testing.assert_equal(getattr(other, field.name), getattr(one, field.name), err_msg=field.name)


@pytest.mark.parametrize('options', [{}, {'images': 0}, {'objects': 0}, {'classes': ('犬', '<b>')}])
def test_what_is_read_is_what_was_written(tmp_path, options):
    report = report_of(**options)
    again = load(save(report, tmp_path))
    assert again.subject == report.subject
    assert again.gallery == report.gallery
    assert_same(report.evaluation.truth, again.evaluation.truth, ('segmentations',))
    assert_same(report.evaluation.detections, again.evaluation.detections)
    assert_same(report.evaluation, again.evaluation, ('truth', 'detections'))
    for name in ('offsets', 'labels', 'boxes', 'scores'):
        assert getattr(again.evaluation.detections, name).dtype == getattr(report.evaluation.detections, name).dtype


def test_masks_that_are_read_again_match_as_before(tmp_path):
    report = report_of(masks=True)
    report = replace(report, evaluation=replace(report.evaluation, curves={'segm': curves(0.5)}))
    again = load(save(report, tmp_path))
    assert_same(report.evaluation.detections, again.evaluation.detections)
    before, after = (Outcome.of(one.evaluation).matching for one in (report, again))
    assert_same(before, after)


def test_masks_are_left_out_where_boxes_are_compared(tmp_path):
    report = report_of(masks=True)
    both = {'bbox': curves(0.5), 'segm': curves(0.5)}
    again = load(save(replace(report, evaluation=replace(report.evaluation, curves=both)), tmp_path)).evaluation
    assert again.truth.segmentations is None and again.detections.counts is None
    assert set(again.curves) == {'bbox', 'segm'}
    assert_same(report.evaluation.detections, again.detections, ('counts',))


def test_of_the_curves_those_are_kept_that_are_drawn(tmp_path):
    report = report_of()
    whole = curves(0.5, 0.75)
    report = replace(report, evaluation=replace(report.evaluation, curves={'bbox': whole}))
    kept = load(save(report, tmp_path)).evaluation.curves['bbox']
    assert kept.precision.tolist() == whole.precision[..., :1, -1:].tolist()
    assert kept.max_dets == (100,)
    assert kept.iou_thrs.tolist() == [0.5, 0.75]


def test_image_ids_of_either_kind_and_numbers_of_numpy_are_kept(tmp_path):
    report = report_of(images=2)
    truth = replace(report.evaluation.truth, img_ids=['a', 'b'])
    values = {'mAP': np.float32(0.5), 'none': float('nan')}
    found: Detections = replace(report.evaluation.detections, img_ids=['a', 'b'])
    evaluation = replace(report.evaluation, truth=truth, detections=found, values=values)
    again = load(save(replace(report, evaluation=evaluation), tmp_path)).evaluation
    assert again.truth.img_ids == ['a', 'b']
    np.testing.assert_equal(again.values, {'mAP': 0.5, 'none': float('nan')})


def test_the_file_holds_no_pickle_and_nothing_unfinished_is_left(tmp_path):
    path = save(report_of(masks=True), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    with np.load(path, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)


def test_a_write_that_fails_leaves_the_file_before_it(tmp_path, monkeypatch):
    save(report_of(), tmp_path)
    before = (tmp_path / FILE).read_bytes()

    def fail(file: Any, **arrays: Any) -> None:
        file.write(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(np, 'savez_compressed', fail)
    with pytest.raises(OSError, match='no space left'):
        save(report_of(), tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize('keep', [0, 100, -2000])
def test_a_damaged_file_is_refused_by_name(tmp_path, keep):
    path = save(report_of(), tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r'evaluation\.npz expected an evaluation, but it is damaged'):
        load(path)


def test_a_file_that_lacks_something_is_refused(tmp_path):
    path = save(report_of(), tmp_path)
    with np.load(path) as arrays:
        np.savez(tmp_path / 'less.npz', **{name: arrays[name] for name in arrays if name != 'truth_rows'})
    with pytest.raises(ConfigError, match=r'less\.npz expected an evaluation, but it is damaged: .*truth_rows'):
        load(tmp_path / 'less.npz')


def test_the_file_of_another_version_is_refused(tmp_path):
    path = save(report_of(), tmp_path)
    with np.load(path) as arrays:
        contents = dict(arrays)
    words = json.loads(contents['words'].tobytes()) | {'format': 99}
    contents['words'] = np.frombuffer(json.dumps(words).encode(), np.uint8)
    np.savez(tmp_path / 'other.npz', **contents)
    with pytest.raises(ConfigError, match=r'other\.npz expected format 1, but got 99: another version'):
        load(tmp_path / 'other.npz')


def test_the_file_is_compressed(tmp_path):
    path = save(report_of(images=50), tmp_path)
    with zipfile.ZipFile(path) as parts:
        assert {part.compress_type for part in parts.infolist()} == {zipfile.ZIP_DEFLATED}
