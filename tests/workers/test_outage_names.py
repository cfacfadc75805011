"""What is an outage for sure, and what the probe has to judge."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from tests.workers.test_store_contract import producer

from matih_workers.operations import operations
from matih_workers.stores.mlflow_client import MlflowClientStore
from matih_workers.stores.protocol import StoreTooSlow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers everything with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def apply_to(uri: str, timeout: float = 5.0) -> None:
    store = MlflowClientStore(uri, timeout)
    try:
        store.apply([operations(producer().created())])  # type: ignore[list-item]
    finally:
        store.close()


@pytest.mark.parametrize("answering", [401, 403, 429, 502, 503, 504], indirect=True)
def test_not_let_in_and_turned_away_are_outages(answering: str) -> None:
    with pytest.raises(StoreUnavailable):
        apply_to(answering)


@pytest.mark.parametrize("answering", [500], indirect=True)
def test_an_error_500_is_for_the_probe_to_judge(answering: str) -> None:
    with pytest.raises(Exception) as caught:
        apply_to(answering)
    assert not isinstance(caught.value, StoreUnavailable)
    store = MlflowClientStore(answering, 5.0)
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        store.probe()


def test_a_refused_connection_is_an_outage() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StoreUnavailable):
        apply_to(f"http://127.0.0.1:{port}")


def test_a_server_that_hangs_costs_one_time_out_and_is_too_slow() -> None:
    """So fewer are tried at once, and one by itself is waited for: no event is poison because MLflow is slow."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreTooSlow, match="timeout"):
        apply_to(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=1.0)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        apply_to("postgresql+psycopg://me:geheim@127.0.0.1:1/none", timeout=1.0)
    assert "geheim" not in str(caught.value)
