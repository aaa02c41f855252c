"""Imports that store where the images are: local files, and objects of an S3 server, with or without their sizes."""

from __future__ import annotations

import json

import deeplake
import pytest

from deeplake_mmdet.convert import convert_coco
from deeplake_mmdet.errors import ConversionError
from tests.support.s3_server import BUCKET


def content(path):
    dataset = deeplake.open_read_only(str(path))
    return dataset, [dataset['images'].get_bytes(row) for row in range(len(dataset))]


def heights(path):
    dataset, _ = content(path)
    return dataset['height'][:].tolist()


def texts(path):
    return [link.decode() if isinstance(link, bytes) else link for link in content(path)[1]]


@pytest.fixture
def bucket(coco, s3):
    """The images of the COCO file in a bucket; gives the file, the URL of the images, their bytes, and the server."""
    path, folder, document = coco()
    prefix = s3.path.removeprefix(f's3://{BUCKET}/')
    stored = {}
    for image in document['images']:
        stored[image['file_name']] = (folder / image['file_name']).read_bytes()
        s3.client.put_object(Bucket=BUCKET, Key=f'{prefix}/{image["file_name"]}', Body=stored[image['file_name']])
    return path, s3.path, stored, s3


def test_absolute_paths_are_stored_and_sizes_are_those_of_the_files(coco, tmp_path, monkeypatch):
    path, folder, document = coco()
    monkeypatch.chdir(tmp_path)
    report = convert_coco(path, 'out', images='images', link=True, link_creds='mine')
    dataset, _ = content(tmp_path / 'out')
    assert texts(tmp_path / 'out') == [str(folder / image['file_name']) for image in document['images']]
    assert dataset['height'][:].tolist() == [40, 32, 48, 40, 20] and dataset['width'][:].tolist() == [
        60,
        32,
        64,
        50,
        30,
    ]
    assert dataset.schema['images'].dtype.is_link and dataset['images'].metadata['link_creds'] == 'mine'
    assert report.rows == 5 and report.views == {'train': 5}


def test_no_name_of_credentials_is_stored_where_none_is_given(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder, link=True)
    dataset, _ = content(tmp_path / 'out')
    assert list(dataset['images'].metadata.keys()) == []


def test_a_linked_file_of_another_size_than_annotated_is_refused(coco, tmp_path):
    path, folder, _ = coco(lambda document: document['images'][0].update(height=41))
    with pytest.raises(ConversionError, match=r"'a\.jpg' to be 60 x 41 pixels as annotated, but got 60 x 40"):
        convert_coco(path, tmp_path / 'out', images=folder, link=True)


def test_a_linked_file_that_is_missing_is_refused(coco, tmp_path):
    path, folder, _ = coco()
    (folder / 'a.jpg').unlink()
    with pytest.raises(ConversionError, match=r'5 image files, but got 1 missing: .*a\.jpg'):
        convert_coco(path, tmp_path / 'out', images=folder, link=True)


def test_urls_are_stored_and_only_what_has_no_size_is_read(bucket, tmp_path):
    path, url, stored, s3 = bucket
    s3.requests.clear()
    convert_coco(path, tmp_path / 'out', images=url, link=True, credentials={'creds': s3.creds})
    assert texts(tmp_path / 'out') == [f'{url}/{name}' for name in stored]
    read = [
        request.path for request in s3.requests if request.method == 'GET' and request.path.endswith(('jpg', 'png'))
    ]
    assert {name.rpartition('/')[2] for name in read} == {'unmeasured.png'}
    assert heights(tmp_path / 'out') == [40, 32, 48, 40, 20]


def test_no_secret_is_in_the_dataset(bucket, tmp_path):
    path, url, _, s3 = bucket
    options = {'link': True, 'link_creds': 'mine', 'credentials': {'creds': s3.creds}}
    convert_coco(path, tmp_path / 'out', images=url, **options)
    everything = b''.join(item.read_bytes() for item in (tmp_path / 'out').rglob('*') if item.is_file())
    assert s3.creds['aws_secret_access_key'].encode() not in everything


def test_images_behind_urls_are_copied_without_link(bucket, tmp_path):
    path, url, stored, s3 = bucket
    convert_coco(path, tmp_path / 'out', images=url, credentials={'creds': s3.creds})
    assert content(tmp_path / 'out')[1] == list(stored.values())
    assert heights(tmp_path / 'out') == [40, 32, 48, 40, 20]


def test_urls_are_measured_when_it_is_asked_for(bucket, tmp_path):
    path, url, _, s3 = bucket
    document = json.loads(path.read_text())
    document['images'][0].update(height=99)
    path.write_text(json.dumps(document))
    report = convert_coco(
        path, tmp_path / 'out', images=url, link=True, sizes='measured', credentials={'creds': s3.creds}
    )
    assert heights(tmp_path / 'out')[0] == 40
    assert report.oddities['images of another size than annotated, which was taken'] == ['a.jpg']


def test_an_image_that_is_not_behind_its_url_is_named_or_left_out(bucket, tmp_path):
    path, url, _, s3 = bucket
    s3.client.delete_object(Bucket=BUCKET, Key=f'{url.removeprefix(f"s3://{BUCKET}/")}/sub/crowd.jpg')
    with pytest.raises(ConversionError, match=r'got 1 missing: .*sub/crowd\.jpg'):
        convert_coco(path, tmp_path / 'out', images=url, credentials={'creds': s3.creds})
    report = convert_coco(path, tmp_path / 'out', images=url, credentials={'creds': s3.creds}, on_error='skip')
    assert report.oddities['images that are missing, left out'] == ['sub/crowd.jpg'] and report.rows == 4


def test_a_server_that_refuses_the_credentials_is_no_fault_of_the_images(bucket, tmp_path):
    path, url, _, s3 = bucket
    creds = {**s3.creds, 'aws_access_key_id': 'AKIAWRONG'}
    for on_error in ('raise', 'skip'):
        with pytest.raises(ConversionError, match='Check the network and the credentials') as error:
            convert_coco(path, tmp_path / 'out', images=url, credentials={'creds': creds}, on_error=on_error)
        assert s3.creds['aws_secret_access_key'] not in str(error.value)


def test_linked_rows_are_added_to_linked_rows_only(coco, tmp_path):
    path, folder, _ = coco()
    convert_coco(path, tmp_path / 'out', images=folder, link=True)

    def move(document):
        for image in document['images']:
            image['id'] += 10**6
        document['annotations'] = []

    path, folder, _ = coco(move)
    with pytest.raises(ConversionError, match=r'expected images .*but got links to images'):
        convert_coco(path, tmp_path / 'out', images=folder, split='val', append=True)
    convert_coco(path, tmp_path / 'out', images=folder, split='val', append=True, link=True)
    assert len(texts(tmp_path / 'out')) == 10


def test_a_name_for_credentials_without_links_is_refused(coco, tmp_path):
    path, folder, _ = coco()
    with pytest.raises(ConversionError, match=r'link_creds=\) expected link=True with it'):
        convert_coco(path, tmp_path / 'out', images=folder, link_creds='mine')


@pytest.mark.parametrize('link', [False, True])
@pytest.mark.parametrize('images', ['ftp://host/images', 'htps://host/images', 'file://other/images'])
def test_images_where_nobody_can_read_them_are_refused_before_anything_is_read(images, link, coco, tmp_path):
    path, _, _ = coco()
    with pytest.raises(ConversionError, match=r'convert_coco\(images=\) expected a folder or URL of images, but got'):
        convert_coco(path, tmp_path / 'out', images=images, link=link)
    assert not (tmp_path / 'out').exists()
