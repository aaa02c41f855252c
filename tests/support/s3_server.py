"""An S3 server on loopback that logs every request and can be told to misbehave.

Moto's application behind a small WSGI layer, in a thread of this process. It accepts one pair of keys only, so that
wrong ones are refused as AWS refuses them; moto by itself accepts any.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ACCESS_KEY = 'AKIATESTACCESSKEY001'
SECRET_KEY = 'sEcReTpRoBe/0123456789abcdefghij'
BUCKET = 'bucket'
_ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'


@dataclass(frozen=True)
class Request:
    """One request that arrived: its method, the path with the bucket, and the range of bytes asked for."""

    method: str
    path: str
    range: str = ''


@dataclass
class Fault:
    """What the server does instead of answering.

    Attributes:
        matches: Chooses the requests that it strikes.
        status: What they get, such as ``'403 Forbidden'``; None to keep them waiting until the server stops.
        code: Error code in the body.
        times: How many requests it strikes; None for all.
        struck: How many it struck so far.
    """

    matches: Callable[[Request], bool]
    status: str | None = None
    code: str = ''
    times: int | None = None
    struck: int = field(default=0, init=False)


class S3Server:
    """The running server.

    Attributes:
        endpoint: Its URL.
        path: Where the running test may put its dataset.
        delay_s: Seconds before each answer.
        access_key: The key that is accepted.
        requests: The log, in order of arrival; clear it before what you count.
        most_at_once: Largest number of requests that waited for their answer together; set it to 0 before.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.path = f's3://{BUCKET}/dataset'
        self.delay_s = 0.0
        self.access_key = ACCESS_KEY
        self.most_at_once = 0
        self._waiting = 0
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server('127.0.0.1', 0, self._answer, threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True
        self.endpoint = f'http://127.0.0.1:{self._server.server_port}'
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> S3Server:
        self._thread.start()
        self.client.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    @property
    def creds(self) -> dict[str, str]:
        """Credentials as ``deeplake_credentials['creds']`` takes them."""
        return {
            'aws_access_key_id': ACCESS_KEY,
            'aws_secret_access_key': SECRET_KEY,
            'endpoint_url': self.endpoint,
            'aws_region': 'us-east-1',
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables."""
        return {
            'AWS_ACCESS_KEY_ID': ACCESS_KEY,
            'AWS_SECRET_ACCESS_KEY': SECRET_KEY,
            'AWS_ENDPOINT_URL': self.endpoint,
            'AWS_REGION': 'us-east-1',
        }

    @property
    def client(self) -> Any:
        """A boto3 client of this server."""
        return boto3.client(
            's3',
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name='us-east-1',
        )

    @contextmanager
    def fault(
        self,
        status: str | None,
        code: str = '',
        *,
        times: int | None = None,
        matches: Callable[[Request], bool] = lambda request: True,
    ) -> Iterator[Fault]:
        """Misbehave inside the ``with`` block; see `Fault`."""
        fault = Fault(matches, status, code, times)
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ['REQUEST_METHOD'], environ['PATH_INFO'], environ.get('HTTP_RANGE', ''))
        self.requests.append(request)
        self._delay()
        fault = self._next_fault(request)
        if fault and fault.status is None:
            self._stopping.wait()
            return []
        if fault:
            return _refuse(start_response, fault.status or '', fault.code, 'injected')
        key = re.search(r'Credential=([^/,]*)', environ.get('HTTP_AUTHORIZATION', ''))
        if key is None:
            return _refuse(start_response, '403 Forbidden', 'AccessDenied', 'no signature')
        if key[1] != self.access_key:
            message = f'The AWS Access Key Id you provided ({key[1]}) does not exist in our records.'
            return _refuse(start_response, '403 Forbidden', 'InvalidAccessKeyId', message)
        return self._moto(environ, start_response)

    def _delay(self) -> None:
        with self._lock:
            self._waiting += 1
            self.most_at_once = max(self.most_at_once, self._waiting)
        time.sleep(self.delay_s)
        with self._lock:
            self._waiting -= 1

    def _next_fault(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if (fault.times is None or fault.struck < fault.times) and fault.matches(request):
                    fault.struck += 1
                    return fault
        return None


class _Quiet(WSGIRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log(self, *args: object, **kwargs: object) -> None:
        pass


def _refuse(start_response: Callable[..., Any], status: str, code: str, message: str) -> list[bytes]:
    body = _ERROR.format(code=code, message=message).encode()
    start_response(status, [('Content-Type', 'application/xml'), ('Content-Length', str(len(body)))])
    return [body]
