"""Paths, queries and headers that are refused, and their like that are not."""

from __future__ import annotations

import pytest
from tests.api.guard.apps import call, problem, raw, served

RUN = b"/api/runs/"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/api/runs/../x", "malformed-path"),
        (b"/api/runs/%2e%2e", "malformed-path"),
        (b"/api/runs/..%2f..%2fetc", "malformed-path"),
        (b"/api/runs/..%5cx", "malformed-path"),
        (b"/api/./runs/x", "malformed-path"),
        (b"/api/runs/a%2Fb", "malformed-path"),
        (b"/api/runs/a%5Cb", "malformed-path"),
        (b"/api/runs/a%2fb/metrics/loss", "malformed-path"),
        (b"/api/runs/a%00b", "malformed-path"),
        (b"/api/runs/a%0d%0ab", "malformed-path"),
        (b"/api/runs/%ff", "malformed-path"),
        (b"/api/runs/%ed%a0%80", "malformed-path"),
    ],
)
def test_bad_paths(path: bytes, kind: str) -> None:
    problem(raw(served(), "GET", path), 400, kind)


def test_what_is_no_path_of_an_artifact_is_422() -> None:
    found = problem(raw(served(), "GET", b"/api/runs/x/artifacts/../../etc/passwd"), 422, "invalid-request")
    assert found["errors"][0]["loc"] == ["path", "path"]


@pytest.mark.parametrize(
    ("path", "json"),
    [
        ("/api/runs/a..b", {"run_id": "a..b"}),
        ("/api/runs/caf%C3%A9", {"run_id": "café"}),
        ("/api/runs/x/metrics/val%2Floss", {"run_id": "x", "metric": "val/loss"}),
        ("/api/runs/x/metrics/val/loss", {"run_id": "x", "metric": "val/loss"}),
    ],
)
def test_good_paths(path: str, json: object) -> None:
    answer = call(served(), "GET", path)
    assert (answer.status_code, answer.json()) == (200, json)


def test_long_targets_are_414() -> None:
    problem(raw(served(), "GET", RUN + b"a" * 9000), 414, "uri-too-long")
    problem(raw(served(), "GET", RUN + b"a", b"q=" + b"a" * 9000), 414, "uri-too-long")
    assert raw(served(), "GET", RUN + b"a", b"q=" + b"a" * 8000).status_code == 200


def test_bad_queries() -> None:
    problem(raw(served(), "GET", RUN + b"a", b"&".join([b"a=1"] * 101)), 400, "too-many-parameters")
    problem(raw(served(), "GET", RUN + b"a", b"&" * 101), 400, "too-many-parameters")
    problem(raw(served(), "GET", RUN + b"a", b"name=%ff"), 400, "malformed-query")
    problem(raw(served(), "GET", RUN + b"a", b"name=\xff"), 400, "malformed-query")
    found = problem(raw(served(), "GET", RUN + b"a", b"x=1&name=a%00"), 422, "invalid-request")
    assert found["errors"][0]["loc"] == ["query", "name"]
    assert raw(served(), "GET", RUN + b"a", b"&".join([b"a=%C3%A9"] * 100)).status_code == 200


def test_header_bombs_are_431() -> None:
    many = [(b"x-%d" % number, b"1") for number in range(101)]
    problem(raw(served(), "GET", RUN + b"a", headers=many), 431, "headers-too-large")
    large = [(b"x-large", b"a" * (32 << 10))]
    problem(raw(served(), "GET", RUN + b"a", headers=large), 431, "headers-too-large")
    assert raw(served(), "GET", RUN + b"a", headers=many[:100]).status_code == 200
