"""Datasets whose images are links: the samples of the same dataset with stored images, wherever the images lie."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
from deeplake import types
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from deeplake_mmdet import DeepLakeDataset
from deeplake_mmdet.errors import ConfigError, EmptyDatasetError, ImageReadError, SourceError
from deeplake_mmdet.source import images as images_module
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.links import LinkReader
from tests.support.datasets import encode, pixels, write_dataset
from tests.support.s3_server import SECRET_KEY, S3Server
from tests.support.web_server import Site, serving

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]
LINK = types.Link(types.Image(sample_compression='jpeg'))
ROWS = 8


@pytest.fixture(autouse=True)
def mmdet_scope() -> None:
    init_default_scope('mmdet')


def image(row: int) -> bytes:
    """Images of all sorts: JPEG, PNG, gray, and BMP, whose size Deep Lake's own headers would not tell."""
    rgb = pixels(row, 30 + row, 50 - row)
    return encode(rgb[..., :1] if row == 2 else rgb, ('.jpg', '.png', '.jpg', '.bmp')[row % 4])


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The images as files."""
    for row in range(ROWS):
        (tmp_path / f'{row}.img').write_bytes(image(row))
    return [str(tmp_path / f'{row}.img') for row in range(ROWS)]


@pytest.fixture
def objects(s3: S3Server) -> list[str]:
    """The same as objects in a bucket."""
    prefix = s3.path.removeprefix('s3://bucket/') + '/images'
    for row in range(ROWS):
        s3.client.put_object(Bucket='bucket', Key=f'{prefix}/{row}.jpg', Body=image(row))
    return [f's3://bucket/{prefix}/{row}.jpg' for row in range(ROWS)]


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The same as pages of the web."""
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setattr(Site, 'asked', {})
    with serving(lambda name: image(int(name.partition('.')[0]))) as url:
        yield [f'{url}/{row}.jpg' for row in range(ROWS)]


def write(path: Path | str, images: Sequence[Any], kind: Any = LINK, metadata: Any = None, **kwargs: Any) -> str:
    """A dataset of these images, or links, and of the annotations that they all share."""
    values = {'images': list(images)}
    write_dataset(
        str(path), len(images), types={'images': kind}, values=values, metadata={'images': metadata or {}}, **kwargs
    )
    return str(path)


def stored(tmp_path: Path) -> DeepLakeDataset:
    """The dataset that all linked ones must equal; its heights and widths are in columns."""
    decoded = [mmcv.imfrombytes(image(row)) for row in range(ROWS)]
    sizes = {name: np.array([item.shape[axis] for item in decoded], 'int32') for axis, name in enumerate(SIZES)}
    values = {'images': [image(row) for row in range(ROWS)], **sizes}
    kinds = {'images': types.Image(sample_compression='jpeg'), **dict.fromkeys(SIZES, 'int32')}
    write_dataset(str(tmp_path / 'stored'), ROWS, types=kinds, values=values)
    return DeepLakeDataset(str(tmp_path / 'stored'), pipeline=PIPELINE)


SIZES = ('height', 'width')


def assert_equal(samples: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> None:
    for sample, other in zip(samples, expected, strict=True):
        assert sample['inputs'].equal(other['inputs'])
        ours, theirs = sample['data_samples'], other['data_samples']
        assert ours.gt_instances.bboxes.tensor.equal(theirs.gt_instances.bboxes.tensor)
        assert ours.gt_instances.labels.equal(theirs.gt_instances.labels)
        for key in ('ori_shape', 'img_shape', 'img_id'):
            assert ours.metainfo[key] == theirs.metainfo[key]


@pytest.mark.parametrize('loader', ['python', 'c++', 'auto'])
def test_a_dataset_of_links_gives_the_samples_of_stored_images(
    tmp_path: Path, s3: S3Server, files: list[str], objects: list[str], pages: list[str], loader: str
) -> None:
    links = [*files[:2], *objects[2:4], *pages[4:6], Path(files[6]).as_uri(), objects[7]]
    path = write(tmp_path / 'linked', links)
    given = {'creds': s3.creds}
    linked = DeepLakeDataset(path, pipeline=PIPELINE, deeplake_dataloader_type=loader, deeplake_credentials=given)
    expected = list(stored(tmp_path))
    assert_equal(list(linked), expected)
    assert_equal(linked.__getitems__(list(range(ROWS))), expected)
    infos = [linked.get_data_info(i) for i in range(ROWS)]
    assert [(info['height'], info['width']) for info in infos] == [item['data_samples'].ori_shape for item in expected]
    assert [linked.images.get(row) for row in range(ROWS)] == [image(row) for row in range(ROWS)]


@pytest.mark.parametrize(('method', 'loader'), [('fork', 'python'), ('fork', 'auto'), ('spawn', 'auto')])
def test_workers_read_links_with_the_credentials_of_their_parent(
    tmp_path: Path, s3: S3Server, objects: list[str], method: str, loader: str
) -> None:
    given = {'links': {'fleet': s3.creds}}
    path = write(tmp_path / 'linked', objects, metadata={'link_creds': 'fleet'})
    linked = DeepLakeDataset(path, pipeline=PIPELINE, deeplake_dataloader_type=loader, deeplake_credentials=given)
    linked[0]
    assert SECRET_KEY.encode() not in pickle.dumps(linked)
    batches = DataLoader(linked, 3, num_workers=1 + (method == 'fork'), collate_fn=list, multiprocessing_context=method)
    assert_equal([sample for batch in batches for sample in batch], list(stored(tmp_path)))


def test_a_dataset_in_a_bucket_reads_links_to_its_kind_of_storage_with_its_own_credentials(
    tmp_path: Path, s3: S3Server, objects: list[str]
) -> None:
    path = write(s3.path, objects, creds=s3.creds)
    linked = DeepLakeDataset(path, pipeline=PIPELINE, deeplake_credentials={'creds': s3.creds})
    assert_equal(list(linked), list(stored(tmp_path)))


def test_named_credentials_come_from_the_environment_where_the_config_has_none(
    tmp_path: Path, s3: S3Server, objects: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / 'linked', objects, metadata={'link_creds': 'fleet'})
    with pytest.raises(ConfigError, match=r"calls 'fleet'.*DEEPLAKE_LINK_CREDS_FLEET"):
        DeepLakeDataset(path, pipeline=PIPELINE, deeplake_credentials={'creds': s3.creds}).full_init()
    monkeypatch.setenv('DEEPLAKE_LINK_CREDS_FLEET', json.dumps(s3.creds))
    assert DeepLakeDataset(path, pipeline=PIPELINE).images.get(3) == image(3)


def test_wrong_credentials_are_a_failure_even_where_unreadable_images_are_skipped(
    tmp_path: Path, s3: S3Server, objects: list[str]
) -> None:
    wrong = {**s3.creds, 'aws_access_key_id': 'AKIAWRONGKEY00000001'}
    linked = sized(tmp_path, objects, on_error='skip', deeplake_credentials={'creds': wrong})
    with pytest.raises(SourceError, match=r"column 'images', row 1, .*1\.jpg.*INVALID_ACCESS_KEY_ID") as caught:
        linked[1]
    assert 'AKIAWRONGKEY00000001' not in str(caught.value)


def sized(tmp_path: Path, links: Sequence[str], **keys: Any) -> DeepLakeDataset:
    """A linked dataset with heights and widths, so that opening it reads no image."""
    kinds = {'images': LINK, **dict.fromkeys(SIZES, 'int32')}
    values = {'images': list(links), **dict.fromkeys(SIZES, np.full(len(links), 40, 'int32'))}
    write_dataset(str(tmp_path / 'sized'), len(links), types=kinds, values=values)
    return DeepLakeDataset(str(tmp_path / 'sized'), pipeline=PIPELINE, **keys)


def test_opening_reads_no_image_where_heights_and_widths_are_stored(tmp_path: Path) -> None:
    linked = sized(tmp_path, ['/no/such/file.jpg'] * 3)
    assert [linked.get_data_info(i)['height'] for i in range(len(linked))] == [40] * 3


def test_sizes_are_read_from_the_beginnings_of_files_in_one_round(
    tmp_path: Path, s3: S3Server, objects: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, '_HEAD', 700)
    path, calls = write(tmp_path / 'linked', objects), []
    original = LinkReader.read

    def counting(self: LinkReader, locations: Sequence[str], stop: int | None = None) -> Any:
        calls.append((len(locations), stop))
        return original(self, locations, stop)

    monkeypatch.setattr(LinkReader, 'read', counting)
    s3.requests.clear()
    linked = DeepLakeDataset(path, pipeline=PIPELINE, deeplake_credentials={'creds': s3.creds})
    heights = [linked.get_data_info(i)['height'] for i in range(ROWS)]
    assert heights == [mmcv.imfrombytes(image(row)).shape[0] for row in range(ROWS)]
    assert calls == [(ROWS, 700), (1, None), (1, None)], 'the two BMP files are looked at as a whole'
    assert len(s3.requests) == ROWS + 2
    assert sum(request.range == 'bytes=0-699' for request in s3.requests) == ROWS


@pytest.mark.parametrize('loader', ['python', 'auto'])
def test_an_image_that_is_not_there_is_named_by_its_row_and_its_link(
    tmp_path: Path, s3: S3Server, objects: list[str], pages: list[str], loader: str
) -> None:
    links = [*objects[:2], f'{s3.path}/none.jpg', pages[3].replace('3.jpg', '404?sig=hunter2'), '/none.jpg']
    linked = sized(tmp_path, links, deeplake_credentials={'creds': s3.creds}, deeplake_dataloader_type=loader)
    for row, what in ((2, r"none\.jpg' does not exist \(404 NoSuchKey\)"), (3, r'404\?….*404'), (4, "'/none.jpg'")):
        with pytest.raises(ImageReadError, match=rf"column 'images', row {row}, is behind a link .*{what}") as caught:
            linked.__getitems__([0, row])
        assert 'hunter2' not in str(caught.value)
    assert linked[1]['inputs'].shape[1:] == mmcv.imfrombytes(image(1)).shape[:2]


def test_unreadable_links_are_skipped_where_that_is_wanted(tmp_path: Path, files: list[str]) -> None:
    links = [files[0], '/none.jpg', files[2], '/etc/hostname', files[4]]
    training = sized(tmp_path, links, on_error='skip')
    assert training[1]['data_samples'].img_id == 2, 'the next readable one'
    assert training[3]['data_samples'].img_id == 4
    testing = DeepLakeDataset(str(tmp_path / 'sized'), pipeline=PIPELINE, on_error='skip', test_mode=True)
    assert [sample['data_samples'].img_id for sample in testing] == [0, 2, 4]


def test_links_that_all_lead_nowhere_leave_nothing_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(EmptyDatasetError):
        sized(tmp_path, ['/none.jpg'] * 3, on_error='skip', test_mode=True).full_init()


def test_sizes_of_unreadable_links_are_an_error_unless_skipped(tmp_path: Path, files: list[str]) -> None:
    path = write(tmp_path / 'linked', [files[0], '/none.jpg', files[2]])
    with pytest.raises(ImageReadError, match=r"row 1, is behind a link that cannot be followed: '/none.jpg'"):
        DeepLakeDataset(path, pipeline=PIPELINE).full_init()
    skipping = DeepLakeDataset(path, pipeline=PIPELINE, on_error='skip')
    assert [skipping.get_data_info(i)['height'] for i in range(3)] == [30, 0, 32]


def test_what_is_no_image_is_refused_wherever_a_link_leads(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match='row 0, is of no known image format'):
        sized(tmp_path, ['/etc/passwd'])[0]


def test_an_empty_link_is_an_empty_image(tmp_path: Path, files: list[str]) -> None:
    linked = sized(tmp_path, [files[0], ''])
    with pytest.raises(ImageReadError, match='row 1, is empty'):
        linked[1]


def test_a_dead_server_is_a_failure_that_names_row_and_link(
    tmp_path: Path, s3: S3Server, objects: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = sized(tmp_path, objects, on_error='skip', deeplake_credentials={'creds': s3.creds})
    monkeypatch.setattr('deeplake_mmdet.source.links.READ_DEADLINE_S', 0.3)
    with s3.fault('503 Slow Down', 'SlowDown'), pytest.raises(SourceError, match=r'row 5, .*5\.jpg.*gave no answer in'):
        linked[5]


def test_relative_links_are_relative_to_the_working_directory(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = sized(tmp_path, ['0.img', './1.img'])
    monkeypatch.chdir(tmp_path)
    assert [linked.images.get(row) for row in range(2)] == [image(0), image(1)]


def test_views_queries_and_paths_of_links_lead_to_the_same_images(tmp_path: Path, files: list[str]) -> None:
    path = write(tmp_path / 'linked', files)
    chosen = DeepLakeDataset(path, deeplake_query='select * where number > 4 order by number desc')
    assert [chosen.images.get(row) for row in chosen.source.rows] == [image(row) for row in (7, 6, 5)]
    shown = mmcv.imread(chosen.get_data_info(0)['img_path'])
    assert np.array_equal(shown, cv2.imread(files[7]))


def test_links_of_an_opened_dataset_are_followed_too(tmp_path: Path, files: list[str]) -> None:
    import deeplake

    from deeplake_mmdet.source.adopted import adopt, release

    view = deeplake.open_read_only(write(tmp_path / 'linked', files)).query('select * order by random() limit 5')
    keys = adopt(view)
    try:
        data = DeepLakeDataset(**keys)
        numbers = SourceHandle.read(data.source, 'number', data.source.rows)
        assert [data.images.get(row) for row in data.source.rows] == [image(int(number)) for number in numbers]
    finally:
        release(keys['deeplake_path'])
