"""uvicorn's HTTP protocol with limits on headers: without, a client fills the memory or keeps a connection for ever.

The middlewares see a request once its headers are complete; what never completes is refused here.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from matih_api.guard.context import answer_headers
from matih_api.guard.heads import headers_too_large
from matih_api.guard.settings import LimitSettings, limit_settings
from matih_api.problems import MEDIA_TYPE, Problem, bad_request

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Its limits are those of the process's environment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = _limits()
        self._head_bytes = self._field_bytes = 0
        self._in_head = True
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begins to wait for headers."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Passes the data on, unless the headers that it belongs to are too many."""
        if self.transport.is_closing():
            return
        if self._in_head and self._timer is None:
            self._expect_head()
        self._head_bytes += len(data)
        super().data_received(data)
        most = self._limits.max_header_bytes + self._limits.max_url_bytes
        if self._in_head and self._head_bytes > most and not self.transport.is_closing():
            self._refuse(headers_too_large(f"more than {most} bytes of headers and path"))

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._field_bytes = True, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer: those come behind the body and are of no use here."""
        self._field_bytes += len(name) + len(value)
        if self._in_head:
            super().on_header(name, value)
        elif self._field_bytes > 2 * self._limits.max_header_bytes:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """The request begins."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes now are the next request's headers; the first of them starts the clock."""
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0

    def send_400_response(self, msg: str) -> None:
        """What can't be parsed at all."""
        self._refuse(bad_request("malformed-request", f"{msg.rstrip('.')}: send HTTP/1.1"))

    def _expect_head(self) -> None:
        self._timer = self.loop.call_later(self._limits.header_timeout, self._too_late)

    def _too_late(self) -> None:
        self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_head()  # the request before it is still worked on
        elif not self.transport.is_closing():
            detail = f"no complete headers within {self._limits.header_timeout:g} s: send them faster"
            self._refuse(Problem(408, "headers-too-slow", detail))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, problem: Problem) -> None:
        """Answers and closes. Nobody works on this connection's request yet; if one is answered before it, closes."""
        self._stop_timer()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_answer(problem))
        self.transport.close()


@cache
def _limits() -> LimitSettings:
    return limit_settings()


def _answer(problem: Problem) -> bytes:
    request_id = uuid4().hex
    body = problem.body("", request_id)
    data = json.dumps(body, separators=(",", ":")).encode()
    given = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(data)).encode()),
        (b"connection", b"close"),
    ]
    headers = [*answer_headers(given, "/api/", tls=False), (b"x-request-id", request_id.encode())]
    lines = [b"HTTP/1.1 %d %s" % (problem.status, body["title"].encode())]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", data])
