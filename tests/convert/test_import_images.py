"""Image files of an import: read in order and within bounds, recognised, measured, and what is wrong with them said."""

from __future__ import annotations

import io
import struct
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplake_mmdet.convert import convert_coco, convert_voc, image_reading, images
from deeplake_mmdet.convert.image_header import ends_early, header_size, kind_of_image
from deeplake_mmdet.convert.image_reading import ImageReading
from deeplake_mmdet.convert.images import decoded_size, look_at, look_at_file, safe_path
from deeplake_mmdet.convert.in_order import in_order
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.links import LinkReader


def encoded(suffix, height=21, width=34, **options):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix, **options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {'exif': exif}


TURNED_BY_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PICTURES = {
    'jpeg': encoded('JPEG'),
    'progressive': encoded('JPEG', progressive=True),
    'with a comment': encoded('JPEG', comment=b'x' * 3000),
    'with an icc profile': encoded('JPEG', icc_profile=b'p' * 70_000),
    **{f'turned {n}': encoded('JPEG', **turned(n)) for n in (1, 3, 6, 8)},
    'png': encoded('PNG'),
    **{f'{suffix} turned {n}': encoded(suffix, **turned(n)) for suffix in ('PNG', 'TIFF', 'WEBP') for n in (1, 3, 6)},
    **{f'{suffix} turned by xmp': encoded(suffix, xmp=TURNED_BY_XMP) for suffix in ('JPEG', 'WEBP')},
    'webp': encoded('WEBP'),
    'bmp': encoded('BMP'),
    'tiff': encoded('TIFF'),
}


@pytest.mark.parametrize('name', PICTURES)
def test_the_size_in_the_header_is_the_size_that_training_decodes(name):
    data = PICTURES[name]
    assert look_at(data, name, 'test').size_hw == decoded_size(data, name, 'test')
    assert header_size(data) or 'turned' in name, 'nothing but a turned image is decoded'
    assert kind_of_image(data) is not None and not ends_early(data)


@pytest.mark.parametrize('name', PICTURES)
def test_the_size_of_a_linked_file_is_the_size_that_training_decodes(name, tmp_path):
    (tmp_path / 'image').write_bytes(PICTURES[name])
    assert look_at_file(str(tmp_path / 'image'), 'test').size_hw == decoded_size(PICTURES[name], name, 'test')


@pytest.mark.parametrize('name', ['jpeg', 'progressive', 'png'])
def test_an_image_that_was_cut_off_is_noticed(name):
    assert ends_early(PICTURES[name][:-200]) and not ends_early(PICTURES[name] + b'\0' * 500)


@pytest.mark.parametrize('data', [b'', b'\xff\xd8\xff', b'\xff\xd8\xff\xe0\x00\x10JF', b'\x89PNG\r\n\x1a\n cut', b'BM'])
def test_a_header_that_makes_no_sense_tells_no_size(data):
    assert header_size(data) is None


@pytest.mark.parametrize('workers', [1, 4])
def test_results_come_in_order_whatever_finishes_first(workers):
    def work(number):
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number

    assert list(in_order(work, ((1, n) for n in range(50)), workers=workers, budget=7)) == list(range(50))


def test_no_more_than_the_budget_is_under_way_and_what_exceeds_it_runs_alone():
    held, most, lock = [0], [0], threading.Lock()
    costs = [3, 1, 9, 2, 2, 2, 30, 1, 1, 8, 5] * 5

    def work(cost):
        with lock:
            held[0] += cost
            most[0] = max(most[0], held[0])
        return cost

    taken = []
    for cost in in_order(work, ((cost, cost) for cost in costs), workers=8, budget=10):
        taken.append(cost)
        with lock:
            held[0] -= cost
    assert taken == costs and most[0] <= 30
    assert most[0] == 30, 'the largest ran, but beside nothing'


def test_an_error_stops_the_work_that_is_not_begun():
    begun = []

    def work(number):
        begun.append(number)
        if number == 2:
            raise ValueError('third')
        return number

    with pytest.raises(ValueError, match='third'):
        list(in_order(work, ((1, n) for n in range(1000)), workers=1, budget=4))
    assert len(begun) <= 7


def test_jobs_hold_few_bytes_and_huge_files_come_alone(monkeypatch, coco_source):
    monkeypatch.setattr(image_reading, '_JOB_BYTES', 1000)
    monkeypatch.setattr(image_reading, '_JOB_FILES', 3)
    nbytes = np.array([400, 400, 400, 5000, 10])
    reading = ImageReading(coco_source, nbytes, LinkReader(), link=False, measure=False, workers=1)
    jobs = [(cost, [position for position, _ in job]) for cost, job in reading._jobs(0)]
    assert jobs == [(800, [0, 1]), (400, [2]), (5000, [3]), (10, [4])]
    assert [image.position for image in reading.read(2)] == [2, 3, 4]


@pytest.fixture
def coco_source(coco):
    from deeplake_mmdet.convert.coco_source import CocoSource

    path, folder, _ = coco()
    with CocoSource(path, folder, 'train') as source:
        yield source


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, monkeypatch, coco_source):
    """Every image is let go before so many others are read that all would not fit."""
    alive, most = [0], [0]

    class Counted(bytes):
        def __new__(cls, data):
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            return super().__new__(cls, data)

        def __del__(self):
            alive[0] -= 1

    real = image_reading.read_file
    monkeypatch.setattr(image_reading, 'read_file', lambda path, owner: Counted(real(path, owner)))
    monkeypatch.setattr(image_reading, 'BUDGET_BYTES', 10_000)
    monkeypatch.setattr(image_reading, '_JOB_FILES', 1)
    monkeypatch.setattr(type(coco_source), '__len__', lambda source: 300)
    entry = coco_source.entry(0)
    monkeypatch.setattr(type(coco_source), 'entry', lambda source, position: entry)
    nbytes = np.full(300, 1000)
    reading = ImageReading(coco_source, nbytes, LinkReader(), link=False, measure=False, workers=4)
    assert sum(1 for _ in reading.read(0)) == 300
    assert most[0] <= 12


def missing(folder):
    (folder / 'a.jpg').unlink()
    (folder / 'unmeasured.png').unlink()


def html(folder):
    (folder / 'a.jpg').write_bytes(b'<html>')


def empty(folder):
    (folder / 'sub/crowd.jpg').write_bytes(b'')


def directory(folder):
    (folder / 'a.jpg').unlink()
    (folder / 'a.jpg').mkdir()


def larger(folder):
    data = (folder / 'sub/crowd.jpg').read_bytes()
    (folder / 'a.jpg').write_bytes(data)


FAULTS = {
    'missing': (missing, r"5 image files, but got 2 missing: '.*a\.jpg', '.*unmeasured\.png'\. Put the files", 3),
    'html': (html, r"a\.jpg' to be an image .*starts with b'<html>.*--on-error skip", 4),
    'empty': (empty, r"crowd\.jpg' to be an image .*starts with b''", 4),
    'directory': (directory, r'1 missing: .*a\.jpg', 4),
    'size': (larger, r"'a\.jpg' to be 60 x 40 pixels as annotated, but got 64 x 48\..*--sizes measured.*--on-error", 4),
}


@pytest.mark.parametrize('name', FAULTS)
def test_an_image_with_a_fault_ends_the_import_and_leaves_nothing(name, coco, tmp_path):
    fault, message, _ = FAULTS[name]
    path, folder, _ = coco()
    fault(folder)
    with pytest.raises(ConversionError, match=message):
        convert_coco(path, tmp_path / 'out', images=folder)
    assert not list(tmp_path.glob('*out*'))


@pytest.mark.parametrize('name', FAULTS)
def test_or_is_left_out_and_named(name, coco, rows, tmp_path):
    fault, _, count = FAULTS[name]
    path, folder, _ = coco()
    fault(folder)
    report = convert_coco(path, tmp_path / 'out', images=folder, on_error='skip')
    found = rows(tmp_path / 'out', 'train')
    left_out = {file for kind, files in report.oddities.items() if 'left out' in kind for file in files}
    assert len(found) == report.rows == report.views['train'] == count and len(left_out) == 5 - count
    assert {row['file_name'] for row in found}.isdisjoint(left_out)
    assert all(file in report.table() for file in left_out)


def test_the_size_of_the_image_is_taken_when_it_is_asked_for(coco, rows, tmp_path):
    path, folder, _ = coco()
    larger(folder)
    report = convert_coco(path, tmp_path / 'out', images=folder, sizes='measured', strict=False)
    row = rows(tmp_path / 'out')[0]
    assert (int(row['height']), int(row['width'])) == (48, 64)
    assert report.oddities['images of another size than annotated, which was taken'] == ['a.jpg']


def test_a_photograph_that_was_cut_off_is_refused_as_opencv_refuses_it(coco, tmp_path):
    path, folder, _ = coco()
    (folder / 'a.jpg').write_bytes((folder / 'a.jpg').read_bytes()[:-100])
    with pytest.raises(ConversionError, match=r"a\.jpg' to be an image, but got bytes that cannot be decoded"):
        convert_coco(path, tmp_path / 'out', images=folder)


def test_or_stored_as_it_is_and_named_where_opencv_makes_do(coco, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(images, 'decoded_size', lambda data, name, owner: (40, 60))
    path, folder, _ = coco()
    data = (folder / 'a.jpg').read_bytes()[:-100]
    (folder / 'a.jpg').write_bytes(data)
    report = convert_coco(path, tmp_path / 'out', images=folder)
    assert report.oddities['images whose end is missing'] == ['a.jpg'] and rows(tmp_path / 'out')[0]['images'] == data
    with pytest.raises(ConversionError, match=r'nothing odd, but got images whose end is missing: a\.jpg'):
        convert_coco(path, tmp_path / 'strict', images=folder, strict=True)


def test_an_import_of_which_nothing_is_left_is_an_error(coco, tmp_path):
    path, folder, document = coco()
    for image in document['images']:
        (folder / image['file_name']).unlink()
    with pytest.raises(ConversionError, match='an image that can be stored, but got none'):
        convert_coco(path, tmp_path / 'out', images=folder, on_error='skip')
    assert not list(tmp_path.glob('*out*'))


@pytest.mark.parametrize('linked', ['a.jpg', 'sub'])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(linked, coco, tmp_path):
    path, folder, _ = coco()
    (folder / linked).rename(tmp_path / 'elsewhere')
    (folder / linked).symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(ConversionError, match=r'a symbolic link leads out of it, to .*elsewhere.*Give the folder'):
        convert_coco(path, tmp_path / 'out', images=folder)


def test_links_inside_the_folder_and_a_folder_that_is_a_link_are_followed(coco, voc, tmp_path):
    path, folder, _ = coco()
    (folder / 'a.jpg').rename(folder / 'b.jpg')
    (folder / 'a.jpg').symlink_to('b.jpg')
    (tmp_path / 'link').symlink_to(folder)
    assert convert_coco(path, tmp_path / 'out', images=tmp_path / 'link').rows == 5
    (voc / 'JPEGImages').rename(tmp_path / 'photographs')
    (voc / 'JPEGImages').symlink_to(tmp_path / 'photographs')
    assert convert_voc(voc, tmp_path / 'voc_out').rows == 5


def test_a_voc_image_that_is_a_link_out_of_its_folder_is_not_followed(voc, tmp_path):
    (voc / 'JPEGImages/a.jpg').rename(tmp_path / 'a.jpg')
    (voc / 'JPEGImages/a.jpg').symlink_to(tmp_path / 'a.jpg')
    with pytest.raises(ConversionError, match=r'a symbolic link leads out of it'):
        convert_voc(voc, tmp_path / 'out')


@pytest.mark.parametrize('name', ['a.jpg', 'sub/a.jpg', 'a b.jpg', 'ä/é.png', '-x.jpg', 'a..b.jpg'])
def test_a_name_below_the_folder_is_taken(name, tmp_path):
    assert safe_path(tmp_path, name, 'test') == tmp_path / name


@pytest.mark.parametrize(
    'name', ['', ' ', '/a.jpg', '../a.jpg', 'a/../../b', 'C:/a.jpg', '\\\\host\\a', 'a\0b', None, 3]
)
def test_any_other_name_is_refused(name, tmp_path):
    with pytest.raises(ConversionError, match='relative to the folder of the images'):
        safe_path(tmp_path, name, 'test')


def test_all_16_bit_png_make_a_column_of_such_pixels(coco, tmp_path):
    import deeplake

    path, folder, document = coco()
    for image in document['images']:
        pixels = np.zeros((image.get('height', 40), image.get('width', 50)), np.uint16)
        Path(folder / image['file_name']).write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    convert_coco(path, tmp_path / 'out', images=folder)
    assert 'uint16' in str(deeplake.open_read_only(str(tmp_path / 'out')).schema['images'].dtype)


def test_png_header_without_size_is_left_to_the_decoder():
    broken = b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + b'IHDR' + bytes(13)
    assert header_size(broken) is None
