"""Bodies and times: what is refused with which answer, and what passes unchanged."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.guard.apps import MAX_BODY, call, problem, raw, served

from matih_api.guard.limits import BodyRule, Limits
from matih_api.guard.settings import LimitSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
UPLOADS = (BodyRule(re.compile(r"/api/upload"), frozenset({"multipart/form-data"}), 3 * MAX_BODY),)


def text(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_may_have_so_many_bytes_and_none_more(chunked: bool) -> None:
    def sent(size: int) -> Any:
        return call(served(), "POST", "/api/echo", content=chunks(text(size)) if chunked else text(size), headers=JSON)

    assert sent(MAX_BODY).json() == {"bytes": MAX_BODY, "json": "x" * (MAX_BODY - 2)}
    assert str(MAX_BODY) in problem(sent(MAX_BODY + 1), 413, "request-too-large")["detail"]
    problem(sent(30 * MAX_BODY), 413, "request-too-large")


def test_a_length_that_is_no_number_is_refused() -> None:
    for length in (b"-1", b"1_0", b"x", b"\xb2"):
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        problem(raw(served(), "POST", b"/api/echo", headers=headers), 400, "malformed-request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None])
def test_writes_take_json_only(kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    found = problem(call(served(), "POST", "/api/echo", content=b"{}", headers=headers), 415, "unsupported-media-type")
    assert "application/json" in found["detail"]


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_json_by_any_of_its_names(kind: str) -> None:
    answer = call(served(), "POST", "/api/echo", content=b"[1]", headers={"Content-Type": kind})
    assert answer.json() == {"bytes": 3, "json": [1]}


def test_without_a_body_no_type_is_needed() -> None:
    assert call(served(), "POST", "/api/publish").status_code == 200
    assert (
        call(served(), "POST", "/api/publish", headers={"Content-Type": "text/plain"}, content=b"").status_code == 200
    )


def test_bodies_are_scanned() -> None:
    problem(call(served(), "POST", "/api/echo", content=b"[" * 3000, headers=JSON), 400, "json-too-deep")
    problem(call(served(), "POST", "/api/echo", content=b'"\xff"', headers=JSON), 400, "malformed-json")
    problem(call(served(), "POST", "/api/echo", content=rb'"\u0000"', headers=JSON), 422, "invalid-request")


def test_a_rule_lets_other_types_through_unread_and_bounded() -> None:
    def sent(size: int) -> Any:
        return call(served(UPLOADS), "POST", "/api/upload", content=b"\xff" * size, headers=FORM)

    assert sent(3 * MAX_BODY).json() == {"bytes": 3 * MAX_BODY}
    problem(sent(3 * MAX_BODY + 1), 413, "request-too-large")
    problem(call(served(UPLOADS), "POST", "/api/upload", json={}), 415, "unsupported-media-type")


def test_a_refusal_while_the_app_reads_is_the_answer() -> None:
    answer = call(served(UPLOADS), "POST", "/api/upload", content=chunks(b"y" * 4 * MAX_BODY), headers=FORM)
    problem(answer, 413, "request-too-large")


@pytest.mark.parametrize("path", ["/api/echo", "/api/upload"])
def test_a_body_that_stops_is_408(path: str) -> None:
    async def stopping() -> AsyncIterator[bytes]:
        yield b"--x"
        await asyncio.Event().wait()

    app, headers = served(UPLOADS, body_timeout=0.05), JSON if path == "/api/echo" else FORM
    answer = call(app, "POST", path, content=stopping(), headers=headers)
    problem(answer, 408, "body-too-slow")
    assert answer.headers["connection"] == "close"


def test_an_answer_that_does_not_begin_is_503() -> None:
    answer = call(served(request_timeout=0.05), "GET", "/api/slow")
    assert "Idempotency-Key" in problem(answer, 503, "request-timeout")["detail"]
    assert answer.headers["retry-after"] == "5"


def test_an_answer_that_has_begun_may_take_its_time() -> None:
    pauses: list[Any] = []

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.3)
        pauses.append(True)
        await send({"type": "http.response.body", "body": b"done"})

    answer = raw(Limits(slow, LimitSettings(request_timeout=0.05), 1), "GET", b"/")
    assert (answer.status_code, answer.content, pauses) == (200, b"done", [True])


def test_the_time_of_an_upload_is_not_the_time_of_its_answer() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"--x"
        await asyncio.sleep(0.4)
        yield b"abc"

    answer = call(served(UPLOADS, request_timeout=0.2), "POST", "/api/upload", content=slowly(), headers=FORM)
    assert answer.json() == {"bytes": 6}


def test_what_the_app_raises_is_a_problem_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    problem(call(served(), "GET", "/api/missing"), 404, "run-not-found")
    answer = call(served(), "GET", "/api/broken")
    problem(answer, 500, "internal-error")
    assert "secret-token" not in answer.text
    assert "RuntimeError" in caplog.text
