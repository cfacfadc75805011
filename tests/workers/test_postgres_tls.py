"""The SQL store and TLS: set by the URI alone; what does not fit is told in one line, and no password in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.waiting import until
from tests.workers.pipe import Pipe
from tests.workers.secure_postgres import PASSWORD, SecurePostgres, programs
from tests.workers.test_loop import compare, trained

from matih_local import mlflow_schema
from matih_workers.stores.mlflow_sql import MlflowSqlStore
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecurePostgres]:
    yield from running(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[SecurePostgres]:
    """A server whose certificate is another address's."""
    yield from running(tmp_path, "127.0.0.2")


def running(certificates: Path, address: str = "127.0.0.1") -> Iterator[SecurePostgres]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL with TLS here: the wheel's has none; install Debian's package `postgresql`")
    server = SecurePostgres(found, certificates, address)
    try:
        server.start()
        yield server
    finally:
        server.stop()


WRONG = {
    "authority": ({"sslrootcert": "{certificates}/stranger.pem"}, "certificate verify failed"),
    "no file of it": ({"sslrootcert": "{certificates}/none.pem"}, "none.pem"),
    "no TLS": ({"sslmode": "disable"}, "no encryption"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told_in_one_line_without_the_password(server: SecurePostgres, case: str) -> None:
    changed, said = WRONG[case]
    options = {name: value.format(certificates=server.certificates) for name, value in changed.items()}
    refused(server.uri(**options), said)


def test_a_certificate_of_another_address_is_refused(impostor: SecurePostgres) -> None:
    refused(impostor.uri(), "does not match host name")


def refused(uri: str, said: str) -> None:
    store = MlflowSqlStore(uri, timeout=5)
    with pytest.raises(StoreUnavailable, match=f"no connection: .*{said}") as caught:
        store.open()
    store.close()
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_worker_waits_for_the_right_authority_and_works_encrypted(
    server: SecurePostgres, kafka: str, events_topic: str, tmp_path: Path
) -> None:
    mlflow_schema.main(server.uri().replace("postgresql:", "postgresql+psycopg:"))
    authority = tmp_path / "authority.pem"
    authority.write_bytes((server.certificates / "stranger.pem").read_bytes())
    pipe = Pipe(kafka, events_topic, server.uri(sslrootcert=str(authority)), tmp_path)
    producers, events = trained(runs=2, events=3, points=100)
    pipe.publish(events)
    pipe.start(MATIH_WORKER_BACKOFF_MAX="0.5")
    try:
        until(
            lambda: "certificate verify failed" in str((pipe.page("/readyz") or {}).get("problems")), "/readyz says it"
        )
        assert pipe.committed() == 0
        authority.write_bytes((server.certificates / "ca.pem").read_bytes())
        assert pipe.settled()["dead_letters"] == {}
        assert set(server.encrypted("matih")) == {True}
        assert PASSWORD not in pipe.log()
    finally:
        pipe.close()
    pipe.store_uri = pipe.store_uri.replace("postgresql:", "postgresql+psycopg:")
    compare(pipe, producers)
