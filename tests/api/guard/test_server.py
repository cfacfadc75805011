"""A real server against clients that no HTTP library would be: slow ones, bombs, garbage."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.api.guard.apps import MAX_BODY
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
SECONDS = 0.5
"""The time limits of the server here."""


class Server:
    """The server's process."""

    def __init__(self, log: Path) -> None:
        self._log = log
        limits = {"HEADER_TIMEOUT": SECONDS, "BODY_TIMEOUT": SECONDS, "MAX_HEADER_BYTES": 4096, "MAX_URL_BYTES": 2048}
        environment = {**os.environ, **{f"MATIH_API_{name}": str(value) for name, value in limits.items()}}
        environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, "-m", "tests.api.guard.serving"]
        with log.open("w") as errors:
            self._child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT)
        assert self._child.stdout is not None
        self.port = int(self._child.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self._child.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self._child.terminate()
        self._child.wait(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server") / "log")
    yield started
    started.close()


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def problem(answer: bytes, status: int, kind: str) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().splitlines()
    assert lines[0].split()[1] == str(status), answer
    assert "content-type: application/problem+json" in lines
    assert "x-content-type-options: nosniff" in lines
    assert not any(line.startswith("server:") for line in lines)
    found: dict[str, Any] = json.loads(body)
    assert found["type"] == f"urn:matih:problem:{kind}"
    assert f"x-request-id: {found['request_id']}" in lines
    return found


def works(server: Server) -> None:
    assert httpx.get(f"{server.url}/api/runs/x", timeout=20).json() == {"run_id": "x"}


def test_answers_as_the_middlewares_say(server: Server) -> None:
    answer = httpx.get(f"{server.url}/api/runs/x", headers={"X-Request-ID": "abc"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "abc")
    assert "server" not in answer.headers
    (line,) = until(lambda: [line for line in server.lines() if line.get("request_id") == "abc"], "the request's line")
    assert (line["route"], line["status"], line["tenant"]) == ("/api/runs/{run_id}", 200, "acme")
    assert any(line["logger"] == "uvicorn.error" for line in server.lines())


@pytest.mark.parametrize("start", [b"", b"GET /api/runs/x HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_headers_that_never_end_are_408(server: Server, start: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(start)
        problem(everything(connection), 408, "headers-too-slow")
    works(server)


def test_headers_that_trickle_are_408(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /api/runs/x HTTP/1.1\r\n")
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            connection.sendall(b"X-A: b\r\n")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        problem(answer, 408, "headers-too-slow")


def test_a_second_request_on_the_connection_is_watched_too(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /api/runs/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /api/runs/y HTTP/1.1\r\nHost:")
        problem(everything(connection), 408, "headers-too-slow")


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"GET /api/runs/x HTTP/1.1\r\nX-Bomb: ", b"a" * 65536),
        (b"GET /api/runs/x HTTP/1.1\r\n", b"X-A: b\r\n" * 8192),
        (b"GET /api/runs/", b"a" * 65536),
    ],
    ids=["one header", "many headers", "path"],
)
def test_bombs_before_the_end_of_the_headers_are_431_and_fill_no_memory(
    server: Server, start: bytes, part: bytes
) -> None:
    works(server)
    before = server.memory()
    with server.connect() as connection:
        sent = 0
        try:
            connection.sendall(start)
            for _ in range(2000):  # 128 MiB
                connection.sendall(part)
                sent += len(part)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert sent < 64 << 20
    assert server.memory() - before < 16 << 20
    works(server)


def test_headers_that_end_but_are_too_many_are_431(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /api/runs/x HTTP/1.1\r\nConnection: close\r\n" + b"X-A: b\r\n" * 101 + b"\r\n")
        problem(everything(connection), 431, "headers-too-large")


def test_trailers_are_no_way_around(server: Server) -> None:
    with server.connect() as connection:
        head = b"POST /api/echo HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"2\r\n{}\r\n0\r\n" + b"X-A: b\r\n" * 4000 + b"\r\n")
        assert everything(connection) == b""
    works(server)


def test_a_body_that_never_ends_is_408(server: Server) -> None:
    head = b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head + b'{"a"')
        problem(everything(connection), 408, "body-too-slow")
    with server.connect() as connection:  # a byte now and then does not help
        connection.sendall(head)
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            connection.sendall(b" ")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        connection.settimeout(20)
        problem(answer + everything(connection), 408, "body-too-slow")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_writes_on_still_sees_its_413(server: Server, chunked: bool) -> None:
    body = b"x" * (7 * MAX_BODY)
    content: Any = iter([body[:1000], body[1000:]]) if chunked else body
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}/api/echo", content=content, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:matih:problem:request-too-large")


def test_who_asks_before_sending_is_told_at_once(server: Server) -> None:
    with server.connect() as connection:
        head = b"POST /api/echo HTTP/1.1\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        connection.sendall(head + b"Content-Length: 1000000000\r\n\r\n")
        problem(everything(connection), 413, "request-too-large")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["tls", "no path", "version", "length"],
)
def test_garbage_is_400(server: Server, garbage: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(garbage)
        problem(everything(connection), 400, "malformed-request")
    works(server)


def test_smuggling_by_two_lengths_is_refused(server: Server) -> None:
    both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
    with server.connect() as connection:
        connection.sendall(b"POST /api/echo HTTP/1.1\r\nContent-Type: application/json\r\n" + both + b"\r\n0\r\n\r\n")
        problem(everything(connection), 400, "malformed-request")


def test_two_hundred_slow_clients_hinder_nobody(server: Server) -> None:
    connections = [server.connect() for _ in range(200)]
    for connection in connections:
        connection.sendall(b"GET /api/runs/x HTTP/1.1\r\nX-Slow: ")
    works(server)
    for connection in connections:
        assert b"408" in everything(connection)[:20]
        connection.close()


def test_pipelined_requests_are_all_answered(server: Server) -> None:
    one = b"GET /api/runs/%d HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /api/runs/9 HTTP/1.1\r\nConnection: close\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(b"".join(one % number for number in range(9)) + last)
        answers = everything(connection)
    assert [answers.count(b'{"run_id":"%d"}' % number) for number in range(10)] == [1] * 10
