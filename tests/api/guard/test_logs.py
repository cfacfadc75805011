"""The log's lines: what stands in them, what never does, and how a flood is cut."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.guard.apps import call, served

from matih_api.guard.floods import FloodFilter
from matih_api.guard.logs import JsonFormatter, access, log_config

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root, level = logging.getLogger(), access.level
    root.addHandler(handler)
    access.setLevel(logging.INFO)
    yield stream
    access.setLevel(level)
    root.removeHandler(handler)


def lines(stream: io.StringIO, logger: str = "matih_api.access") -> list[dict[str, Any]]:
    return [line for line in map(json.loads, stream.getvalue().splitlines()) if line["logger"] == logger]


def test_one_line_a_request(written: io.StringIO) -> None:
    answer = call(served(), "GET", "/api/runs/r1", headers={"X-Request-ID": "abc"})
    (line,) = lines(written)
    assert line.pop("time").endswith("Z")
    assert line.pop("duration_ms") > 0
    assert line == {
        "level": "info",
        "logger": "matih_api.access",
        "message": "GET /api/runs/{run_id} 200",
        "request_id": "abc",
        "tenant": "acme",
        "actor": "alice",
        "method": "GET",
        "route": "/api/runs/{run_id}",
        "path": "/api/runs/r1",
        "client": "127.0.0.1",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": len(answer.content),
    }


def test_a_problem_is_named_and_bytes_are_counted(written: io.StringIO) -> None:
    call(served(), "POST", "/api/echo", content=b"[" * 100, headers={"Content-Type": "application/json"})
    call(served(), "GET", "/api/broken")
    refused, broken = lines(written)
    assert (refused["status"], refused["error"], refused["bytes_in"]) == (400, "json-too-deep", 100)
    assert (broken["status"], broken["error"], broken["level"]) == (500, "internal-error", "error")
    (trace,) = lines(written, "matih_api.guard.answers")
    assert trace["request_id"] == broken["request_id"]
    assert "RuntimeError" in trace["exception"]


def test_no_secret_is_written(written: io.StringIO) -> None:
    headers = {"Authorization": "Bearer s3cret", "Cookie": "session=s3cret", "Content-Type": "application/json"}
    call(served(), "POST", "/api/echo?token=s3cret", content=b'{"password": "s3cret"}', headers=headers)
    call(served(), "POST", "/api/echo?token=s3cret", content=b'{"password": "s3cret"', headers=headers)
    assert len(lines(written)) == 2
    assert "s3cret" not in written.getvalue()


def test_nobody_writes_lines_of_their_own(written: io.StringIO) -> None:
    call(served(), "GET", "/api/runs/%E2%80%A8x%C2%85")
    call(served(), "GET", '/api/runs/"},{"a')
    assert len(written.getvalue().splitlines()) == 2
    assert [line["path"] for line in lines(written)] == ["/api/runs/\u2028x\u0085", '/api/runs/"},{"a']


def test_machines_that_look_often_are_not_told(written: io.StringIO) -> None:
    call(served(), "GET", "/healthz")
    assert [line["status"] for line in lines(written)] == [404]


def test_a_flood_is_cut_and_told_and_errors_come_through() -> None:
    now = 0.0
    flood = FloodFilter(3, lambda: now)

    def record(level: int) -> logging.LogRecord:
        return logging.LogRecord("x", level, "", 0, "message", (), None)

    assert [flood.filter(record(logging.INFO)) for _ in range(10)] == [True] * 3 + [False] * 7
    error = record(logging.ERROR)
    assert flood.filter(error)
    assert json.loads(JsonFormatter().format(error))["suppressed"] == 7
    now = 1.0
    later = record(logging.INFO)
    assert flood.filter(later)
    assert "suppressed" not in json.loads(JsonFormatter().format(later))


def test_uvicorns_lines_have_the_same_form(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        logging.config.dictConfig({**log_config(), "incremental": False})
        logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
        logging.getLogger("uvicorn.access").info("never")
        (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    finally:
        logging.getLogger().handlers[:] = before
    assert (line["level"], line["logger"], line["message"]) == ("info", "uvicorn.error", "Started server process [7]")
