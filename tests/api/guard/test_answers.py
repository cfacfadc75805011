"""Exceptions that no handler took are answers all the same, once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.guard.apps import raw

from matih_api.guard.answers import Answers
from matih_api.problems import not_found


def raising(error: Exception, *before: Any) -> Any:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in before:
            await send(message)
        raise error

    return Answers(app)


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"x", "more_body": True}
END = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(("error", "status"), [(not_found("run", "x"), 404), (KeyError("secret"), 500)])
def test_before_an_answer(error: Exception, status: int) -> None:
    answer = raw(raising(error), "GET", b"/api/x")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"secret" not in answer.content


def test_behind_an_answer_it_is_told_only(caplog: pytest.LogCaptureFixture) -> None:
    assert raw(raising(KeyError("x"), START, END), "GET", b"/api/x").status_code == 200
    assert "KeyError" in caplog.text


def test_within_an_answer_the_server_has_to_end_the_connection() -> None:
    with pytest.raises(KeyError):
        raw(raising(KeyError("x"), START, PART), "GET", b"/api/x")
