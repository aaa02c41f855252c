"""Bytes behind links: of every kind, many at a time; what fails is that link's error, and says no secret."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.link_credentials import LinkCredentials
from deeplake_mmdet.errors import ImageReadError, SourceError
from deeplake_mmdet.source import links as links_module
from deeplake_mmdet.source.link_address import LinkAddress
from deeplake_mmdet.source.links import LinkReader
from deeplake_mmdet.source.waiting import DeadlineError
from tests.support.children import in_child, run_script
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.web_server import Site, serving

KEYS = ('images/1.jpg', 'images/a b+ü%41.jpg', 'top.jpg')


def body(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest() * 100


@pytest.fixture(scope='module')
def bucket(s3_server: S3Server) -> str:
    """The URL of a bucket with the objects KEYS and an empty one."""
    client = s3_server.client
    client.create_bucket(Bucket='linked')
    for key in KEYS:
        client.put_object(Bucket='linked', Key=key, Body=body(key))
    client.put_object(Bucket='linked', Key='empty.jpg', Body=b'')
    return 's3://linked'


@pytest.fixture
def reader(s3: S3Server) -> LinkReader:
    return LinkReader(Credentials(None, s3.creds))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a web server on loopback, not to be reached through a proxy."""
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setattr(Site, 'asked', {})
    with serving(body) as url:
        yield url


def only(found: Sequence[Any]) -> Any:
    (item,) = found
    return item


def write(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).write_bytes(body(name))
    return [str(folder / name) for name in names]


def test_links_of_all_kinds_are_read_in_the_order_that_they_are_given_in(
    reader: LinkReader, bucket: str, site: str, tmp_path: Path
) -> None:
    (path,) = write(tmp_path, 'a file.jpg')
    links = [f'{bucket}/{KEYS[0]}', path, f'{site}/page', Path(path).as_uri(), *[f'{bucket}/{key}' for key in KEYS[1:]]]
    names = [KEYS[0], 'a file.jpg', 'page', 'a file.jpg', *KEYS[1:]]
    assert reader.read(links * 10) == [body(name) for name in names] * 10, 'more than are read at once'
    assert reader.read([]) == []


def test_only_the_first_bytes_are_read_where_no_more_are_wanted(
    reader: LinkReader, bucket: str, site: str, tmp_path: Path, s3: S3Server
) -> None:
    links = [*write(tmp_path, 'x'), f'{site}/x', f'{bucket}/top.jpg', f'{bucket}/empty.jpg']
    assert reader.read(links, 10) == [body('x')[:10], body('x')[:10], body('top.jpg')[:10], b'']
    assert [request.range for request in s3.requests][:1] == ['bytes=0-9']
    assert reader.read(links, 10**6) == [body('x'), body('x'), body('top.jpg'), b'']


def test_relative_paths_are_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 'here.jpg')
    monkeypatch.chdir(tmp_path)
    assert LinkReader().read(['here.jpg', './here.jpg']) == [body('here.jpg')] * 2


def test_an_escaped_file_url_is_the_file_of_that_name(tmp_path: Path) -> None:
    (path,) = write(tmp_path, 'ü %41.jpg')
    assert LinkReader().read([Path(path).as_uri()]) == [body('ü %41.jpg')]


@pytest.mark.parametrize(
    ('link', 'message'),
    [
        ('', r"the link '' names no file"),
        ('/no/such/file.jpg', r"'/no/such/file.jpg' cannot be read: No such file"),
        ('/etc', r"'/etc' is no regular file"),
        ('/dev/zero', r"'/dev/zero' is no regular file"),
        ('file://elsewhere/a.jpg', r"names a file of another machine, 'elsewhere'"),
        (
            'ftp://host/a.jpg',
            r"'ftp://host/a.jpg' is of a kind that is not followed. Followed are local paths, file://",
        ),
        ('data://x', 'is of a kind that is not followed'),
        ('s3://bucket', r"'s3://bucket' names no object"),
        ('s3:///key', 'names no object'),
        ('azure://account/container', 'names no object'),
        ('http://user:hunter2@host/a.jpg', r"'http://\*\*\*@host/a.jpg' holds a user or a password"),
        ('http://127.0.0.1:x/', 'is no address'),
        ('http://', "the link 'http://' names no page"),
    ],
)
def test_a_link_that_leads_nowhere_is_named_with_the_reason(link: str, message: str) -> None:
    error = only(LinkReader().read([link]))
    assert isinstance(error, ImageReadError)
    with pytest.raises(ImageReadError, match=message):
        raise error


def test_one_failing_link_is_no_other_links_error(reader: LinkReader, bucket: str, site: str, tmp_path: Path) -> None:
    good = [f'{bucket}/top.jpg', f'{site}/page', *write(tmp_path, 'x')]
    bad = [f'{bucket}/none.jpg', f'{site}/404', str(tmp_path / 'none'), 's3://no-such-bucket/x.jpg', 'ftp://x/y']
    mixed = [link for pair in zip(bad, [*good, *good], strict=False) for link in pair]
    found = reader.read(mixed)
    assert found[1::2] == [body('top.jpg'), body('page'), body('x'), body('top.jpg'), body('page')]
    assert all(isinstance(error, ImageReadError) for error in found[::2])
    assert str(found[0]) == f"'{bucket}/none.jpg' does not exist (404 NoSuchKey)"
    assert '404 NoSuchBucket' in str(found[6])


@pytest.mark.parametrize('status', [401, 403, 404, 410])
def test_a_page_that_a_server_does_not_give_is_the_fault_of_its_link(site: str, status: int) -> None:
    error = only(LinkReader().read([f'{site}/{status}?token=hunter2']))
    assert isinstance(error, ImageReadError)
    assert str(error).startswith(f"'{site}/{status}?…': the server answered {status} ")
    assert Site.asked == {str(status): 1}


def test_a_server_that_fails_once_is_asked_again_and_one_that_stays_down_is_a_failure(site: str) -> None:
    found = LinkReader().read([f'{site}/once-more', f'{site}/503'])
    assert found[0] == body('once-more')
    assert isinstance(found[1], SourceError)
    assert 'the server answered 503' in str(found[1])
    assert Site.asked == {'once-more': 2, '503': 3}


def test_a_server_that_is_not_there_is_a_failure(site: str, unused_port: int) -> None:
    error = only(LinkReader().read([f'http://127.0.0.1:{unused_port}/x']))
    assert isinstance(error, SourceError)
    assert 'cannot be fetched: ConnectionRefusedError' in str(error)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def test_a_page_that_breaks_off_is_no_shorter_image(site: str) -> None:
    error = only(LinkReader().read([f'{site}/cut']))
    assert isinstance(error, SourceError)
    assert f'{len(body("cut"))} of 1000000 bytes arrived' in str(error)


def test_a_redirection_is_followed_to_the_web_only(site: str) -> None:
    found = LinkReader().read([f'{site}/moved', f'{site}/moved-away'])
    assert found[0] == body('page%20here')
    assert isinstance(found[1], ImageReadError | SourceError)


def test_denied_objects_are_the_fault_of_their_links_and_refused_credentials_are_not(
    s3: S3Server, reader: LinkReader, bucket: str
) -> None:
    with s3.fault('403 Forbidden', 'AccessDenied', times=1):
        error, good = reader.read([f'{bucket}/top.jpg', f'{bucket}/{KEYS[0]}'])
    assert isinstance(error, ImageReadError) != isinstance(good, ImageReadError), 'one of the two was struck'
    assert any('may not be read, or does not exist (403 AccessDenied)' in str(item) for item in (error, good))
    wrong = LinkReader(Credentials(None, {**s3.creds, 'aws_access_key_id': 'AKIAWRONGKEY00000001'}))
    refused = only(wrong.read([f'{bucket}/top.jpg']))
    assert isinstance(refused, SourceError)
    assert 'INVALID_ACCESS_KEY_ID' in str(refused)
    assert 'AKIAWRONGKEY00000001' not in str(refused)
    assert reader.read([f'{bucket}/top.jpg']) == [body('top.jpg')], 'and what failed is read once it is well again'


def test_secrets_that_the_server_repeats_are_scrubbed(s3: S3Server, reader: LinkReader, bucket: str) -> None:
    with s3.fault('400 Bad Request', f'No-{SECRET_KEY}-{ACCESS_KEY}'):
        error = only(reader.read([f'{bucket}/top.jpg']))
    assert 'No-***-***' in str(error)
    assert SECRET_KEY not in repr(error)


def test_waiting_for_a_silent_web_server_ends_too(monkeypatch: pytest.MonkeyPatch, site: str) -> None:
    held = threading.Event()
    monkeypatch.setattr(Site, 'do_GET', lambda self: held.wait(20))
    monkeypatch.setattr(links_module, 'READ_DEADLINE_S', 0.2)
    try:
        assert isinstance(only(LinkReader().read([f'{site}/x'])), DeadlineError)
    finally:
        held.set()


def test_an_interruption_cancels_what_is_under_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[Any] = []

    class Never:
        cancelled = False

        def __init__(self, work: Callable[..., Any]) -> None:
            begun.append(self)

        def is_completed(self) -> bool:
            raise KeyboardInterrupt

        def cancel(self) -> None:
            self.cancelled = True

    monkeypatch.setattr(links_module, 'Task', Never)
    with pytest.raises(KeyboardInterrupt):
        LinkReader().read(['a', 'b', 'c'])
    assert [fetch.cancelled for fetch in begun] == [True] * 3


CTRL_C = """
import os, signal, socket, threading, time
from deeplake_mmdet.source.links import LinkReader
silent = socket.create_server(('127.0.0.1', 0))
def interrupt():
    held = silent.accept()  # it waits now
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    print(LinkReader().read([f'http://127.0.0.1:{silent.getsockname()[1]}/x'] * 3))
except KeyboardInterrupt:
    print('interrupted')
"""


def test_ctrl_c_ends_the_wait_and_the_process() -> None:
    ran = run_script(CTRL_C, timeout=100)
    assert (ran.returncode, ran.stdout) == (0, 'interrupted\n'), ran.stderr


def send_read(connection: Any, reader: LinkReader, links: list[str]) -> None:
    connection.send(reader.read(links))


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_a_child_process_reads_with_the_reader_of_its_parent(reader: LinkReader, bucket: str, method: str) -> None:
    links = [f'{bucket}/{key}' for key in KEYS]
    here = reader.read(links)
    assert in_child(method, send_read, reader, links) == here == [body(key) for key in KEYS]


def test_forks_while_links_are_read_harm_neither_side(reader: LinkReader, bucket: str) -> None:
    links, stop = [f'{bucket}/{key}' for key in KEYS] * 20, threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            fresh = LinkReader(reader.credentials)
            wrong.extend(item for item in fresh.read(links) if not isinstance(item, bytes))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        answers = [in_child('fork', send_read, reader, links[:3]) for _ in range(5)]
    finally:
        stop.set()
        thread.join(30)
    assert answers == [[body(key) for key in KEYS]] * 5
    assert not wrong


def test_no_pickle_or_text_of_a_reader_holds_a_secret(reader: LinkReader, bucket: str) -> None:
    reader.read([f'{bucket}/top.jpg'])
    pickled = pickle.dumps(reader)
    for secret in (SECRET_KEY, ACCESS_KEY):
        assert secret not in repr(vars(reader)) + repr(reader)
        assert secret.encode() not in pickled
    assert pickle.loads(pickled).read([f'{bucket}/top.jpg']) == [body('top.jpg')]


def test_credentials_for_one_kind_of_storage_are_kept_from_the_others(s3: S3Server, bucket: str) -> None:
    elsewhere = LinkCredentials(Credentials(None, s3.creds), 'gcs')
    assert elsewhere.of('gcs').creds == s3.creds
    assert not elsewhere.of('s3')
    assert LinkCredentials(Credentials(None, s3.creds)).of('s3').creds == s3.creds


def test_the_environment_provides_what_nobody_gives(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    assert LinkReader().read([f'{bucket}/top.jpg']) == [body('top.jpg')]


@pytest.mark.parametrize(
    ('link', 'store', 'root', 'key'),
    [
        ('s3://b/k/e y?x#1', 's3', 's3://b', 'k/e y?x#1'),
        ('GS://b/k', 'gcs', 'gs://b', 'k'),
        ('gcs://b/k', 'gcs', 'gcs://b', 'k'),
        ('azure://account/container/k/1', 'azure', 'azure://account/container', 'k/1'),
        ('az://account/container/k', 'azure', 'az://account/container', 'k'),
    ],
)
def test_an_object_is_found_by_its_bucket_and_its_key(link: str, store: str, root: str, key: str) -> None:
    address = LinkAddress.parse(link)
    assert (address.store, address.root, address.key) == (store, root, key)


# Last, because a fork waits some seconds for what was given up.
def test_a_storage_that_never_answers_is_given_up(
    s3: S3Server, reader: LinkReader, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader.read([f'{bucket}/top.jpg']) == [body('top.jpg')]
    monkeypatch.setattr(links_module, 'READ_DEADLINE_S', 0.3)
    with s3.fault(None, matches=lambda request: request.path.endswith('top.jpg'), times=1):
        error, good = reader.read([f'{bucket}/top.jpg', f'{bucket}/{KEYS[0]}'])
    assert isinstance(error, DeadlineError)
    assert f"Reading the link '{bucket}/top.jpg': the storage gave no answer in" in str(error)
    assert good == body(KEYS[0])
    assert reader.read([f'{bucket}/top.jpg']) == [body('top.jpg')]
