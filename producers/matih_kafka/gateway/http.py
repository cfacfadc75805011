"""One HTTP/1.1 connection to a gateway, kept open: the standard library's, each request in a thread."""

from __future__ import annotations

import asyncio
import base64
import http.client
import socket
import ssl
import threading
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from matih_kafka.gateway.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_MAX_BYTES: Final = 64 << 10
FAILURES: Final = (OSError, http.client.HTTPException, ValueError)
"""What a request may raise; `ssl.SSLError` and time-outs are kinds of OSError, a host that is none is a ValueError."""
_STALE: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


class Connection:
    """Sends one request at a time. After `abort` it is of no more use.

    Certificates are verified against the system's authorities, or those in SSL_CERT_FILE. Proxies are those of
    HTTPS_PROXY, HTTP_PROXY and NO_PROXY (or the system's settings); the connection to the proxy itself is plain.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """Connects with the first request.

        Args:
            url: where to post to.
            timeout: seconds for each step of a request (connecting, sending, waiting for the answer).
        """
        self._url = urllib.parse.urlsplit(url)
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self._path = self._url.path
        self._aborted = False

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to a POST.

        Raises:
            OSError, http.client.HTTPException, ValueError: there was none, or none that can be read; the request may
                have been taken.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()

        def tell(answer: Answer | None, error: BaseException | None) -> None:
            if future.done():
                return
            if answer is not None:
                future.set_result(answer)
            elif error is not None:
                future.set_exception(error)

        def work() -> None:
            outcome: tuple[Answer | None, BaseException | None]
            try:
                outcome = (self._post(body, headers), None)
            except Exception as error:  # noqa: BLE001 - it is raised again, where somebody waits for it
                outcome = (None, error)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell, *outcome)

        # A daemon of its own: the end of the process never waits for a server that does not answer.
        threading.Thread(target=work, name="matih-gateway", daemon=True).start()
        return await future

    def abort(self) -> None:
        """Ends it at once, a request under way too."""
        self._aborted = True
        connection = self._connection
        opened: Any = connection.sock if connection is not None else None
        if opened is not None:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in it; only that closes it

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        used = self._connection is not None
        try:
            return self._exchange(body, headers)
        except _STALE:
            # Servers end connections that were idle for a while: that is only seen by trying.
            if not used or self._aborted:
                raise
            return self._exchange(body, headers)

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._connection is None:
            self._connection = self._open()
        connection = self._connection
        try:
            if connection.sock is None:
                connection.connect()
            if self._aborted:
                raise ConnectionAbortedError("given up")
            connection.request("POST", self._path, body, dict(headers))
            response = connection.getresponse()
            answer = _answer(response)
        except BaseException:
            self._drop(connection)
            raise
        if response.will_close or not response.isclosed() or self._aborted:
            self._drop(connection)
        return answer

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        proxy = _proxy(self._url.scheme, host)
        self._path = self._url.path
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            if proxy is None:
                return http.client.HTTPSConnection(host, port or 443, timeout=self._timeout, context=context)
            secure = http.client.HTTPSConnection(
                proxy.hostname or "", proxy.port or 8080, timeout=self._timeout, context=context
            )
            secure.set_tunnel(host, port or 443, _proxy_headers(proxy))
            return secure
        if proxy is None:
            return http.client.HTTPConnection(host, port or 80, timeout=self._timeout)
        self._path = self._url.geturl()
        return http.client.HTTPConnection(proxy.hostname or "", proxy.port or 8080, timeout=self._timeout)


def _answer(response: http.client.HTTPResponse) -> Answer:
    body = response.read(ANSWER_MAX_BYTES)
    if response.length and len(body) < ANSWER_MAX_BYTES:
        raise http.client.IncompleteRead(body, response.length)
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, response.reason or "", headers, body)


def _proxy(scheme: str, host: str) -> urllib.parse.SplitResult | None:
    """The proxy for that host, if there is one."""
    address = urllib.request.getproxies().get(scheme)
    if not address or urllib.request.proxy_bypass(host):
        return None
    return urllib.parse.urlsplit(address if "://" in address else f"http://{address}")


def _proxy_headers(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    user = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
