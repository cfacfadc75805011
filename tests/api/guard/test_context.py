"""Request ids and the headers that every answer has."""

from __future__ import annotations

import pytest
from tests.api.guard.apps import call, raw, served

from matih_api.guard.context import answer_headers, request_id_of


@pytest.mark.parametrize("given", ["abc", "a-1.b_2:3", "x" * 128])
def test_a_sane_id_is_taken(given: str) -> None:
    answer = call(served(), "GET", "/api/missing", headers={"X-Request-ID": given})
    assert answer.headers.get_list("x-request-id") == [given]
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb", "<script>", "é"])
def test_any_other_is_made(given: str) -> None:
    made = request_id_of(given)
    assert len(made) == 32
    assert made != request_id_of(given)


def test_answers_of_the_api() -> None:
    headers = call(served(), "GET", "/api/runs/x").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers
    assert "server" not in headers


def test_pages_may_have_styles_and_are_not_framed() -> None:
    assert call(served(), "GET", "/docs").headers["content-security-policy"].startswith("frame-ancestors 'none'")


def test_refusals_have_them_too() -> None:
    headers = raw(served(), "GET", b"/api/runs/%00").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_tls_is_told_and_what_the_app_says_stays() -> None:
    given = [(b"Cache-Control", b"max-age=60"), (b"Server", b"secret/1.0")]
    found = answer_headers(given, "/api/x", tls=True)
    names = [name.lower() for name, _ in found]
    assert (b"strict-transport-security", b"max-age=31536000") in found
    assert names.count(b"cache-control") == 1
    assert b"server" not in names
    html = [(b"content-type", b"text/html")]  # an artifact somebody uploaded
    assert (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox") in answer_headers(
        html, "/api/v1/experiments/runs/x/artifacts/page.html", tls=False
    )
