"""In open mode: names that lead here by a trick, and writes by other sites' pages; and what people use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.api.guard.apps import MAX_BODY, call, problem, routes

from matih_api.app import create
from matih_api.auth.token_records import TokensFile, written
from matih_api.guard.metrics import Metrics
from matih_api.guard.settings import LimitSettings
from matih_api.guard.stack import guarded

if TYPE_CHECKING:
    from matih_api.guard.asgi import App

HOST = "127.0.0.1:8080"


def open_to(*hosts: str) -> App:
    return guarded(routes(), LimitSettings(), Metrics(), MAX_BODY, hosts=hosts)


def read(host: str, *hosts: str):
    return call(open_to(*hosts), "GET", "/api/runs/a", headers={"Host": host})


def write(origin: str | None, host: str = HOST, *hosts: str):
    sent = {"Host": host} if origin is None else {"Host": host, "Origin": origin}
    return call(open_to(*hosts), "POST", "/api/echo", headers=sent, json={"a": 1})


@pytest.mark.parametrize(
    "host",
    [
        HOST,
        "127.0.0.1",
        "127.8.8.8:1",
        "localhost:8080",
        "LocalHost",
        "localhost.",
        "matih.localhost",
        "[::1]:8080",
        "10.1.2.3:8080",
        "[fd00::1]",
    ],
)
def test_the_loopback_and_addresses_are_this_server(host: str) -> None:
    assert read(host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "evil.example@127.0.0.1.nip.io"),
        *("localhost.evil.example", "evillocalhost", "2130706433.example", "[::1", ""),
    ],
)
def test_a_name_that_was_made_to_lead_here_is_refused(host: str) -> None:
    found = problem(read(host), 403, "foreign-host")
    assert found["errors"] == [{"loc": ["header", "Host"], "msg": "not this server's"}]
    assert "MATIH_API_ALLOWED_HOSTS" in found["detail"]


def test_names_that_are_allowed() -> None:
    assert read("Tracking.Example.org:8080", "tracking.example.org").status_code == 200
    problem(read("other.example.org", "tracking.example.org"), 403, "foreign-host")
    assert read("whatever.example.org", "*").status_code == 200


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, HOST),
        (f"http://{HOST}", HOST),
        ("http://LOCALHOST:8080", "localhost:8080"),
        ("http://localhost", "localhost"),
        ("http://localhost:80", "localhost"),
        ("https://127.0.0.1", "127.0.0.1:443"),
    ],
)
def test_scripts_and_the_servers_own_pages_write(origin: str | None, host: str) -> None:
    assert write(origin, host).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8080", "http://127.0.0.1", "", "://"],
)
def test_another_sites_page_does_not_write(origin: str) -> None:
    found = problem(write(origin), 403, "foreign-origin")
    assert found["errors"] == [{"loc": ["header", "Origin"], "msg": "not this server's"}]


def test_another_sites_page_may_ask_and_is_not_told_by_its_browser() -> None:
    answer = call(open_to(), "GET", "/api/runs/a", headers={"Host": HOST, "Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_an_allowed_host_writes_by_way_of_a_proxy() -> None:
    assert write("https://tracking.example.org", HOST, "tracking.example.org").status_code == 200
    problem(write("https://evil.example", HOST, "tracking.example.org"), 403, "foreign-origin")


def test_the_api_itself_has_it_while_nobody_has_to_log_in(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("MATIH_HOME", str(tmp_path))
    rebound = {"Host": "evil.example"}
    problem(call(create(), "GET", "/healthz", headers=rebound), 403, "foreign-host")
    assert call(create(), "GET", "/healthz", headers={"Host": HOST}).status_code == 200
    monkeypatch.setenv("MATIH_API_ALLOWED_HOSTS", " Evil.example, b")
    assert call(create(), "GET", "/healthz", headers=rebound).status_code == 200
    monkeypatch.delenv("MATIH_API_ALLOWED_HOSTS")
    (tmp_path / "tokens.json").write_bytes(written(TokensFile()))
    (tmp_path / "tokens.json").chmod(0o600)
    assert call(create(), "GET", "/healthz", headers=rebound).status_code == 200
