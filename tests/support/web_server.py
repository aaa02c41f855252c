"""A web server on loopback whose pages are what a function says, and whose odd pages misbehave as their names say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site(BaseHTTPRequestHandler):
    """Answers: a number is a status, ``once-…`` fails the first time, ``cut`` breaks off, ``moved…`` redirect.

    Attributes:
        asked: How often each page was asked for; empty it before what you count.
        content: Gives the body of a page.
    """

    asked: dict[str, int] = {}
    content: Callable[[str], bytes] = staticmethod(str.encode)

    def do_GET(self) -> None:
        name = self.path.lstrip('/').partition('?')[0]
        self.asked[name] = self.asked.get(name, 0) + 1
        if name.startswith('once-') and self.asked[name] == 1:
            return self._answer(503)
        if name.isdigit():
            return self._answer(int(name))
        if name == 'moved':
            return self._answer(302, location='/page%20here')
        if name == 'moved-away':
            return self._answer(302, location='file:///etc/hostname')
        return self._answer(200, self.content(name), length=10**6 if name == 'cut' else None)

    def _answer(self, status: int, content: bytes = b'', location: str = '', length: int | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header('Location', location)
        self.send_header('Content-Length', str(length or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(content: Callable[[str], bytes]) -> Iterator[str]:
    """Serve pages inside the ``with`` block; gives the URL."""
    handler = type('Pages', (Site,), {'content': staticmethod(content)})
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
