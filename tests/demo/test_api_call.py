"""The demo's one call of the API: what counts as the answer that it should have, and both ways to make it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from matih_local.demo import api_call

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTED = {"experiments": [{"id": "1", "name": "demo-1"}], "total": 1}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/api/v1/experiments?search=demo-1"
        body = json.dumps(LISTED if found else {"status": 503}).encode()
        self.send_response(200 if found else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("curl", [True, False])
def test_the_call_is_made_with_curl_or_without(url: str, curl: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    if not curl:
        monkeypatch.setattr(api_call.shutil, "which", lambda _: None)
    found = api_call.find_experiment(url, "demo-1")
    assert found == api_call.ApiCall(f"curl -s '{url}/api/v1/experiments?search=demo-1'", LISTED, None)
    assert json.loads(found.shown) == LISTED
    other = api_call.find_experiment(url, "demo-2")
    assert (other.answer, other.problem) == ({"status": 503}, api_call.problem_of({}, "demo-2"))
    assert api_call.find_experiment("http://127.0.0.1:1", "demo-1").shown == "no answer"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"status": 503},
        {"experiments": []},
        {"experiments": [{"name": "x"}]},
        {"experiments": 2 * [{"name": "a"}]},
    ],
)
def test_any_other_answer_is_a_problem(answer: object) -> None:
    assert api_call.problem_of(answer, "a") is not None
    assert api_call.problem_of({"experiments": [{"name": "a"}]}, "a") is None
