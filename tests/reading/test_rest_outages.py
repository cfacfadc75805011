"""What the reader over HTTP says when MLflow does not answer as it should: one line, in time, without secrets."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from matih_tracking.reading.errors import NotReadable, ReadsUnavailable
from matih_tracking.reading.queries import RunQuery
from matih_tracking.reading.rest import RestReader

SECRETS = ("s3cret", "t0ken")


class Fake(ThreadingHTTPServer):
    """Answers what it is told to; keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections: set[tuple[str, int]] = set()
        self.drop_idle = False
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.path, dict(self.headers)))
        self.server.connections.add(self.client_address)
        answers = self.server.answers
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.server.drop_idle  # without a word: as a server that is restarted

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server():
    with Fake() as server:
        yield server
        server.shutdown()


def said(code: str) -> bytes:
    return json.dumps({"error_code": code, "message": "bad\nthing s3cret is not for you"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "MLFLOW_TRACKING_USERNAME"),
        (403, said("PERMISSION_DENIED"), "permissions"),
        (404, b"<html>", "check MLFLOW_TRACKING_URI"),
        (404, said("ENDPOINT_NOT_FOUND"), "check MLFLOW_TRACKING_URI"),
        (302, b"", "check MLFLOW_TRACKING_URI"),
        (429, b"", "busy"),
        (500, said("INTERNAL_ERROR"), "try again later"),
        (503, b"<html>", "try again later"),
        (200, b"<html>", "no JSON object"),
        (200, b"[]", "no JSON object"),
    ],
)
def test_what_is_no_answer_of_mlflow_is_an_outage(server, monkeypatch, status, body, words):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    server.answers = [(status, body)]
    reader = RestReader(server.uri.replace("//", "//user:s3cret@"), 5)
    with pytest.raises(ReadsUnavailable, match=words) as raised:
        reader.check()
    line = str(raised.value)
    assert server.uri in line
    assert "\n" not in line
    assert not any(secret in line for secret in SECRETS)


def test_refused_and_no_such_host_and_no_answer():
    for uri, words in (("http://127.0.0.1:9", "can't be reached"), ("http://no-such-host.invalid", "can't be reached")):
        with pytest.raises(ReadsUnavailable, match=words):
            RestReader(uri, 5).check()


def test_a_server_that_never_answers_and_a_name_that_is_never_found_cost_no_more_than_the_timeout(monkeypatch):
    def ask(uri):
        start = time.monotonic()
        with pytest.raises(ReadsUnavailable, match=r"did not answer within 0\.4 s"):
            RestReader(uri, 0.4).run(None, "a" * 32)
        return time.monotonic() - start

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert 0.4 <= ask(f"http://127.0.0.1:{silent.getsockname()[1]}") < 30
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(60))
    assert 0.4 <= ask("http://mlflow:5000") < 30
    done.set()


def test_a_server_that_drips_costs_no_more_than_the_timeout():
    def drip(server):
        connection, _ = server.accept()
        with connection:
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b" " * 99:
                if over.wait(0.05):
                    return
                connection.send(bytes([byte]))

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        with pytest.raises(ReadsUnavailable, match="did not answer"):
            RestReader(f"http://127.0.0.1:{server.getsockname()[1]}", 0.4).check()
        over.set()
        thread.join()


def test_what_is_too_much_for_the_time_is_not_an_outage(server):
    page = json.dumps({"runs": [], "next_page_token": "more"}).encode()
    experiments = {"experiments": [{"experiment_id": "1", "name": "e"}]}
    server.answers = [(200, json.dumps(experiments).encode()), (200, page)]
    reader = RestReader(server.uri, 0.5)
    with pytest.raises(NotReadable, match=r"within 0\.5 s.*narrow the question"):
        reader.runs(None, RunQuery())


def test_connections_are_kept_and_made_anew_when_the_server_has_closed_them(server):
    server.answers = [(200, b"{}")]
    reader = RestReader(server.uri, 5)
    for _ in range(3):
        reader.check()
    assert len(server.connections) == 1
    server.drop_idle = True
    for _ in range(3):
        reader.check()
    assert len(server.asked) == 6
    assert 2 <= len(server.connections) <= 4


def test_a_forked_child_has_connections_of_its_own(server):
    server.answers = [(200, b"{}")]
    reader = RestReader(server.uri, 5)
    reader.check()
    child = os.fork()
    if child == 0:
        try:
            reader.check()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    reader.check()
    assert len(server.connections) == 2


def test_it_logs_in_as_mlflows_clients_do(server, monkeypatch):
    server.answers = [(200, b"{}")]

    def header(uri=server.uri):
        RestReader(uri, 5).check()
        return server.asked[-1][1].get("Authorization")

    assert header() is None
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert header() == "Bearer t0ken"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw")
    assert header() == "Basic bWU6cHc="
    assert header(server.uri.replace("//", "//you:p%40@")) == "Basic eW91OnBA"


def test_a_path_before_the_api_and_a_proxy(server, monkeypatch):
    server.answers = [(200, b"{}")]
    RestReader(f"{server.uri}/under/here/", 5).check()
    assert server.asked[-1][0] == "/under/here/api/2.0/mlflow/experiments/search"
    monkeypatch.setenv("http_proxy", server.uri.replace("//", "//pu:pp@"))
    RestReader("http://mlflow.example:5000/x", 5).check()
    path, headers = server.asked[-1]
    assert path == "http://mlflow.example:5000/x/api/2.0/mlflow/experiments/search"
    assert headers["Host"] == "mlflow.example:5000"
    assert headers["Proxy-Authorization"] == "Basic cHU6cHA="
