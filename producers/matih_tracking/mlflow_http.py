"""HTTP to MLflow's server: logged in as MLflow's own clients do it, connections kept alive, no retries of errors."""

from __future__ import annotations

import base64
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from ssl import SSLContext

API: Final = "/api/2.0/mlflow"
_CHUNK: Final = 1 << 18
_IDLE_MAX: Final = 16


class Answer(NamedTuple):
    """What the server answered."""

    status: int
    body: bytes


class MlflowHttp:
    """Sends requests to one tracking URI. Safe in several threads, and in forked children."""

    def __init__(self, tracking_uri: str) -> None:
        """Connects to nothing.

        Args:
            tracking_uri: http(s), with or without a path, and `user:password@`.
        """
        parts = urlsplit(tracking_uri.strip())
        self._host, self._port = parts.hostname or "", parts.port
        self._tls = parts.scheme == "https"
        self._path = parts.path.rstrip("/")
        self._user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        at = f"{self._host}:{self._port}" if self._port else self._host
        self.base = f"{parts.scheme}://{at}{self._path}"
        """The address without user and password."""
        self._idle: deque[tuple[int, HTTPConnection]] = deque(maxlen=_IDLE_MAX)

    def send(self, method: str, path: str, timeout: float, body: object = None) -> Answer:
        """One request and its answer, of whatever status.

        A connection that was kept may have been closed by the server meanwhile; then a new one is tried.

        Args:
            method: of HTTP.
            path: behind MLflow's API's own.
            timeout: seconds for each step of it, and for the answer's body; finding the host's address is not bounded.
            body: sent as JSON.

        Raises:
            OSError: no answer.
            http.client.HTTPException: half of one.
        """
        import json  # these take longer to import than all of the SDK
        from http.client import HTTPException

        data = None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + timeout
        kept = self._kept()
        if kept is not None:
            try:
                return self._exchange(kept, method, path, data, deadline)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                self._idle.clear()
        return self._exchange(self._connection(deadline), method, path, data, deadline)

    def close(self) -> None:
        """Closes the connections that are kept."""
        while self._idle:
            self._idle.pop()[1].close()

    def _kept(self) -> HTTPConnection | None:
        """A connection that nobody uses; those of a forked process's parent stay the parent's."""
        while self._idle:
            try:
                pid, connection = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if pid == os.getpid():
                return connection
        return None

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, data: bytes | None, deadline: float
    ) -> Answer:
        try:
            connection.timeout = _left(deadline)
            if connection.sock is not None:
                connection.sock.settimeout(connection.timeout)
            connection.request(method, self._target(path), data, self._headers())
            response = connection.getresponse()
            chunks = []
            while chunk := response.read(_CHUNK):
                chunks.append(chunk)
                connection.timeout = _left(deadline)
        except BaseException:
            connection.close()
            raise
        if not response.will_close:
            self._idle.append((os.getpid(), connection))
        return Answer(response.status, b"".join(chunks))

    def _connection(self, deadline: float) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        proxy = self._proxy()
        host, port = (self._host, self._port) if proxy is None else (proxy.hostname or "", proxy.port or 8080)
        if not self._tls:
            return HTTPConnection(host, port, timeout=_left(deadline))
        connection = HTTPSConnection(host, port, timeout=_left(deadline), context=_tls_context())
        if proxy is not None:
            connection.set_tunnel(self._host, self._port, _proxy_login(proxy))
        return connection

    def _target(self, path: str) -> str:
        """What stands in the request's first line: a proxy without TLS wants the whole address."""
        return (self.base if not self._tls and self._proxy() else self._path) + API + path

    def _proxy(self) -> Any:
        from urllib.request import getproxies, proxy_bypass

        found = getproxies().get("https" if self._tls else "http")
        if not found or proxy_bypass(self._host):
            return None
        return urlsplit(found if "://" in found else f"http://{found}")

    def _headers(self) -> dict[str, str]:
        proxy = None if self._tls else self._proxy()
        return {"Content-Type": "application/json", **_proxy_login(proxy), **login(self._user)}


def login(user: str | None = None) -> dict[str, str]:
    """The headers of MLflow's own variables for logging in to its server; `user:password` of the address go first."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user is None and name:
        user = f"{name}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
    if user is not None:
        return {"Authorization": _basic(user)}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _proxy_login(proxy: Any) -> dict[str, str]:
    if proxy is None or not proxy.username:
        return {}
    return {"Proxy-Authorization": _basic(f"{unquote(proxy.username)}:{unquote(proxy.password or '')}")}


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()


def _tls_context() -> SSLContext:
    """Trusts what the system trusts, or what MLflow's variables say."""
    import ssl

    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"1", "true"}:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
