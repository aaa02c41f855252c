"""Images: what a column stores decodes to the pixels that the file gives, and what is no image is named."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
from deeplake import types
from PIL import Image

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.errors import ImageReadError
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.images import ImageReader, decodes, size_of, swaps_axes
from tests.support.datasets import encode, pixels, png, rows

FLAGS = ('color', 'grayscale', 'unchanged')
MAKE = Callable[..., str]


def reader(path: str, column: str = 'images') -> ImageReader:
    handle = SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': path}))
    return ImageReader(handle, map_columns(handle.base(), handle.selection(), {'img': column}).image)


def pil(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def turned(orientation: int, form: str = 'JPEG') -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return pil(Image.fromarray(pixels(0, 24, 40)), form, exif=exif)


def smooth(channels: int = 3) -> np.ndarray:
    """A picture that JPEG keeps close to, 24 x 40."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([y * 9, x * 6, (x + y) * 4, 255 - x * 5], -1).astype(np.uint8)[..., :channels]


def deep(channels: int) -> np.ndarray:
    shape = (24, 40, channels) if channels > 1 else (24, 40)
    return np.random.default_rng(5).integers(0, 65536, shape, np.uint16)


ENCODED = {
    'rgb.jpg': encode(smooth(), '.jpg'),
    'gray.jpg': encode(smooth(1)[..., 0], '.jpg'),
    'cmyk.jpg': pil(Image.fromarray(smooth()).convert('CMYK'), 'JPEG'),
    'progressive.jpg': pil(Image.fromarray(smooth()), 'JPEG', progressive=True),
    'padded.jpg': encode(smooth(), '.jpg') + bytes(100),
    'rgb.png': encode(pixels(1, 24, 40)),
    'gray.png': encode(pixels(1, 24, 40)[..., 0]),
    'rgba.png': encode(smooth(4)),
    'palette.png': pil(Image.fromarray(smooth()).convert('P'), 'PNG'),
    'deep.png': encode(deep(3)),
    'deep_gray.png': encode(deep(1)),
    'black.png': encode(np.zeros((24, 40, 3), np.uint8)),
    'other.webp': pil(Image.fromarray(smooth()), 'WEBP'),
    'other.bmp': encode(smooth(), '.bmp'),
    'black.bmp': encode(np.zeros((24, 40, 3), np.uint8), '.bmp'),
    'other.tif': pil(Image.fromarray(smooth()), 'TIFF'),
    'other.jp2': pil(Image.fromarray(pixels(0, 64, 96)), 'JPEG2000'),
    **{f'turned_{n}.jpg': turned(n) for n in range(1, 9)},
}


@pytest.fixture(scope='module')
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DeepLakeDataset, Path]]:
    """A dataset of all encoded images, with sizes in columns, and a folder of the same files."""
    from tests.support.datasets import write_dataset

    folder = tmp_path_factory.mktemp('stored')
    for name, data in ENCODED.items():
        (folder / name).write_bytes(data)
    shapes = [mmcv.imread(str(folder / name)).shape for name in ENCODED]
    write_dataset(
        str(folder / 'dataset'),
        len(ENCODED),
        types={'images': types.Image(sample_compression='jpeg'), 'height': 'int32', 'width': 'int32'},
        values={
            'images': list(ENCODED.values()),
            'height': np.array([shape[0] for shape in shapes], 'int32'),
            'width': np.array([shape[1] for shape in shapes], 'int32'),
        },
    )
    yield DeepLakeDataset(str(folder / 'dataset'), test_mode=True), folder


@pytest.mark.parametrize('flag', FLAGS)
@pytest.mark.parametrize('name', ENCODED)
def test_a_stored_image_has_the_pixels_of_its_file(stored: tuple[DeepLakeDataset, Path], name: str, flag: str) -> None:
    dataset, folder = stored
    path = dataset.get_data_info(list(ENCODED).index(name))['img_path']
    from_file = mmcv.imread(str(folder / name), flag=flag)
    from_column = mmcv.imread(path, flag=flag)
    assert from_column.dtype == from_file.dtype
    assert np.array_equal(from_column, from_file)


def test_stored_bytes_are_given_untouched(stored: tuple[DeepLakeDataset, Path]) -> None:
    dataset, _ = stored
    assert dataset.images.reader.encoded(list(range(len(ENCODED)))) == list(ENCODED.values())


@pytest.mark.parametrize('flag', FLAGS)
@pytest.mark.parametrize(
    ('kind', 'dtype', 'channels'),
    [
        (types.Image('uint8', 'null'), 'uint8', 3),
        (types.Image('uint8', 'null'), 'uint8', 4),
        (types.Image('uint8', 'null'), 'uint8', 1),
        (types.Image('uint16', 'null'), 'uint16', 3),
        (types.Array('uint8', 3), 'uint8', 3),
        (types.Array('uint8', 3), 'uint8', 1),
        (types.Array('uint8', 2), 'uint8', 0),
        (types.Array('uint16', 3), 'uint16', 3),
        (types.Array('uint16', 3), 'uint16', 4),
    ],
)
def test_plain_pixels_are_those_of_a_lossless_file(
    make_dataset: MAKE, tmp_path: Path, kind: Any, dtype: str, channels: int, flag: str
) -> None:
    shape = (24, 40, channels) if channels else (24, 40)
    values = np.random.default_rng(9).integers(0, np.iinfo(dtype).max, (3, *shape), dtype, endpoint=True)
    file = tmp_path / 'image.png'
    file.write_bytes(encode(values[1]))
    path = make_dataset(count=3, types={'images': kind}, values={'images': list(values)})
    dataset = DeepLakeDataset(path, deeplake_tensors={'img': 'images'}, test_mode=True)
    info = dataset.get_data_info(1)
    assert (info['height'], info['width']) == (24, 40)
    found, expected = mmcv.imread(info['img_path'], flag=flag), mmcv.imread(str(file), flag=flag)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    # OpenCV's PNG reader rounds gray values in its own way; other readers agree with each other.
    assert np.abs(found.astype(int) - expected).max() <= (flag == 'grayscale' and channels == 3 and dtype == 'uint8')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (b'', 'is empty'),
        (bytes(500), 'is of no known image format'),
        (b'this is not an image at all', r"is of no known image format \(it begins with b'this is '\)"),
        (png(1)[:100] + bytes(400), 'ends in zeros: its storage is damaged'),
        (encode(smooth(), '.jpg')[:300] + bytes(400), 'ends in zeros: its storage is damaged'),
        (b'\x89PNG\r\n\x1a\n', None),
    ],
)
def test_what_is_no_image_is_named_with_dataset_column_and_row(
    make_dataset: MAKE, damage: bytes, message: str | None
) -> None:
    images = [png(0), png(1), damage, png(3)]
    path = make_dataset(count=4, values={'images': images})
    found = reader(path).encoded([0, 2, 3])
    assert (found[0], found[2]) == (png(0), png(3)), 'the other rows of a batch are read'
    if message is None:
        assert not decodes(found[1]), 'only decoding tells'
        return
    assert isinstance(found[1], ImageReadError)
    text = str(found[1])
    with pytest.raises(ImageReadError, match=message):
        raise found[1]
    assert text.startswith(f'{path} @ main:')
    assert "the image in column 'images', row 2, " in text
    assert "on_error='skip'" in text


def test_a_row_without_an_image_is_named(make_dataset: MAKE) -> None:
    values = [pixels(0), None, pixels(2)]
    path = make_dataset(count=3, types={'images': types.Nullable(types.Array('uint8', 3))}, values={'images': values})
    found = reader(path).encoded([0, 1])
    assert isinstance(found[0], bytes)
    assert 'row 1, is empty' in str(found[1])


@pytest.mark.parametrize(
    ('dtype', 'shape', 'message'),
    [
        ('float32', (4, 5, 3), 'has float32 pixels; uint8 or uint16 are needed'),
        ('uint8', (4, 5, 2), 'has 2 channels; 1, 3 or 4 are needed'),
        ('uint8', (0, 5, 3), 'is empty'),
    ],
)
def test_pixels_that_make_no_image_are_named(
    make_dataset: MAKE, dtype: str, shape: tuple[int, ...], message: str
) -> None:
    path = make_dataset(count=1, types={'images': types.Array(dtype, 3)}, values={'images': [np.ones(shape, dtype)]})
    assert message in str(reader(path).encoded([0])[0])


def test_a_chunk_file_cut_short_is_noticed_although_deep_lake_reads_zeros(make_dataset: MAKE) -> None:
    images = [png(row, 64, 64) for row in range(8)]
    path = make_dataset(values={'images': images})
    chunk = max(
        (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names), key=os.path.getsize
    )
    os.truncate(chunk, os.path.getsize(chunk) // 2)
    found = reader(path).encoded(list(range(8)))
    whole = [row for row, item in enumerate(found) if item == images[row]]
    damaged = [row for row, item in enumerate(found) if isinstance(item, ImageReadError)]
    assert whole and damaged
    assert sorted(whole + damaged) == list(range(8)), 'no row passes with other bytes than it had'


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
def test_the_size_in_the_header_is_the_size_that_the_decoder_gives(form: str, orientation: int) -> None:
    data = turned(orientation, form)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert size_of(data) == decoded.shape[:2]
    if form in ('JPEG', 'PNG'):
        assert swaps_axes(data) == (decoded.shape[:2] == (40, 24))


def test_an_orientation_behind_a_long_header_is_seen() -> None:
    data = turned(6)
    comment = b'\xff\xfe\xff\xff' + b'x' * 0xFFFD
    late = data[:2] + comment + data[2:]
    assert cv2.imdecode(np.frombuffer(late, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (40, 24)
    assert swaps_axes(late)


def test_a_malformed_exif_block_is_passed_over_as_decoders_do() -> None:
    data = turned(6)
    broken = data.replace(b'Exif\0\0MM\0*', b'Exif\0\0\xff\xff\xff\xff').replace(
        b'Exif\0\0II*\0', b'Exif\0\0\xff\xff\xff\xff'
    )
    assert broken != data
    assert cv2.imdecode(np.frombuffer(broken, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (24, 40)
    assert not swaps_axes(broken)


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_an_image_turned_on_its_side_is_refused_where_sizes_come_from_headers(
    make_dataset: MAKE, orientation: int
) -> None:
    path = make_dataset(
        count=3,
        types={'images': types.Image(sample_compression='jpeg')},
        values={'images': [turned(1), turned(orientation), turned(3)]},
    )
    dataset = DeepLakeDataset(path, test_mode=True)
    with pytest.raises(ImageReadError, match=r"row 1, is turned on its side.*columns 'height' and 'width'"):
        mmcv.imread(dataset.get_data_info(1)['img_path'])
    for row in (0, 2):
        info = dataset.get_data_info(row)
        assert mmcv.imread(info['img_path']).shape[:2] == (info['height'], info['width'])


def test_an_image_turned_on_its_side_is_read_where_columns_give_its_size(stored: tuple[DeepLakeDataset, Path]) -> None:
    info = stored[0].get_data_info(list(ENCODED).index('turned_6.jpg'))
    assert (info['height'], info['width']) == (40, 24)
    assert mmcv.imread(info['img_path']).shape[:2] == (40, 24)


def test_bytes_of_another_format_than_the_column_declares_are_read(make_dataset: MAKE) -> None:
    images = [encode(smooth(), '.jpg'), pil(Image.fromarray(smooth()), 'WEBP'), png(2, 24, 40)]
    dataset = DeepLakeDataset(make_dataset(count=3, values={**rows(range(3)), 'images': images}), test_mode=True)
    for row in range(3):
        info = dataset.get_data_info(row)
        assert (info['height'], info['width']) == mmcv.imread(info['img_path']).shape[:2] == (24, 40)
