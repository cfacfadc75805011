"""A server that answers as no registry should, and says what it was asked."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Faulty:
    """What is asked, and what is answered: (status, body) by method and path; None hangs until the end.

    Attributes:
        answer: may be changed while it serves.
        asked: method and path of each request.
        authorizations: what stood in that header.
    """

    def __init__(self, answer: Callable[[str], tuple[int, Any] | None]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        self.url = ""
        self.ended = threading.Event()


@contextmanager
def faulty(answer: Callable[[str], tuple[int, Any] | None]) -> Iterator[Faulty]:
    """Serves for the time of the block."""
    told = Faulty(answer)

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            told.asked.append(f"{self.command} {self.path}")
            told.authorizations.append(self.headers["Authorization"])
            found = told.answer(told.asked[-1])
            if found is None:
                told.ended.wait()
                return
            status, body = found
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if 300 <= status < 400:
                self.send_header("Location", f"{told.url}/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        told.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
