"""Everything that a PostgreSQL server does to a worker, on a server of its own: nothing is lost, no hand is needed."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from mlflow import MlflowClient
from tests.waiting import until
from tests.workers.pipe import Pipe
from tests.workers.small_disk import filled, small_disk
from tests.workers.test_loop import compare, trained

from matih_kafka.admin import create_topics
from matih_kafka.settings import KafkaSettings
from matih_local.system import LocalSystem
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import psycopg

ROLE = "tracker"
DATABASE = "mlflow"
TIMEOUT_S = 2
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "stores.md"
SLEEPER = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(TG_ARGV[0]::float); RETURN NEW; END $$
"""
TABLES = ("runs", "params", "tags", "metrics", "latest_metrics")


def grants() -> str:
    """What the guide says that a worker's role needs; all that the role has."""
    listed = "\n".join(re.findall(r"^GRANT .*;$", GUIDE.read_text(), re.MULTILINE))
    return listed.replace("matih_worker", ROLE)


class Server:
    """A PostgreSQL that can be ill-treated, with a role for the worker that needs a password."""

    def __init__(self, system: LocalSystem, folder: Path) -> None:
        self._system = system
        self._postgres = system.postgres
        self.uri_file = folder / "uri"
        self.passwords: list[str] = []
        system.start("postgres")
        self.uri = self._postgres.create_database(DATABASE)
        MlflowClient(self.uri).search_experiments()  # makes its tables
        self.data = self._postgres.folder / "data"
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"local all {ROLE} scram-sha-256\n" + rules.read_text())
        self.run(f"SELECT pg_reload_conf(); CREATE ROLE {ROLE} LOGIN;")
        self.run("REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE ALL ON DATABASE mlflow FROM PUBLIC;")
        self.run(grants() + SLEEPER)
        self.set_password()

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return self._postgres.connect(DATABASE)

    def run(self, statements: str) -> None:
        with self.connect() as connection:
            connection.execute(statements)

    def set_password(self, *, told: bool = True) -> None:
        """A new password, in the worker's file too unless nobody tells it."""
        password = secrets.token_hex(8)
        self.passwords.append(password)
        self.run(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        if told:
            socket = self.uri.partition("?host=")[2]
            self.uri_file.write_text(f"postgresql://{ROLE}:{password}@/{DATABASE}?host={socket}")

    def send_away(self) -> None:
        """Ends the worker's connections."""
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")

    @contextmanager
    def another_password(self) -> Iterator[None]:
        self.set_password(told=False)
        self.send_away()
        yield
        self.set_password()

    @contextmanager
    def no_connection_free(self) -> Iterator[None]:
        self.run(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
        self.send_away()
        yield
        self.run(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """As a machine that swaps: connections stay, nothing answers."""
        processes = [each for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == str(self.data)]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        yield
        for process in processes:
            process.send_signal(signal.SIGCONT)

    @contextmanager
    def killed(self) -> Iterator[None]:
        self._system.kill("postgres")
        yield
        self._system.start("postgres")

    @contextmanager
    def points_on(self, disk: Path) -> Iterator[None]:
        """The table of points is on that disk."""
        place = disk / "space"
        place.mkdir()
        owner = self.data.stat()
        os.chown(place, owner.st_uid, owner.st_gid)
        for statement in (f"CREATE TABLESPACE small LOCATION '{place}'", "ALTER TABLE metrics SET TABLESPACE small"):
            self.run(statement)
        try:
            yield
        finally:
            for statement in ("ALTER TABLE metrics SET TABLESPACE pg_default", "DROP TABLESPACE small"):
                self.run(statement)

    @contextmanager
    def slow(self, seconds: float, tables: tuple[str, ...], each: str) -> Iterator[None]:
        """So many seconds for each statement on these tables, or for each row; an upsert takes it twice."""
        for table in tables:
            when = "AFTER" if each == "STATEMENT" else "BEFORE"
            self.run(
                f"CREATE TRIGGER slow {when} INSERT OR UPDATE ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION slow('{seconds}')"
            )
        try:
            yield
        finally:
            for table in tables:
                self.run(f"DROP TRIGGER slow ON {table}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with LocalSystem(tmp_path_factory.mktemp("ill")) as system:
        yield Server(system, tmp_path_factory.mktemp("server"))
    shutil.rmtree(system.postgres.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def pipe(kafka: str, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    """One worker for all tests: it lives through everything."""
    topic = f"test.{secrets.token_hex(6)}.events.v1"
    asyncio.run(create_topics(KafkaSettings(bootstrap_servers=kafka), catalogue(topic)))
    pipe = Pipe(kafka, topic, server.uri, tmp_path_factory.mktemp("worker"))
    start(pipe, server, TIMEOUT_S)
    yield pipe
    pipe.close()


def start(pipe: Pipe, server: Server, timeout: float) -> None:
    pipe.start(
        MATIH_STORE_URI="",
        MATIH_STORE_URI_FILE=str(server.uri_file),
        MATIH_STORE_TIMEOUT=str(timeout),
        MATIH_WORKER_BACKOFF_MAX="0.5",
    )


def outlive(pipe: Pipe, outage: AbstractContextManager[None], why: str, *, takes: int = 0) -> None:
    """The worker tells of the outage, acknowledges nothing that it could not apply, and goes on when it is over.

    `takes` is how many events the server may take all the same.
    """
    producers, events = trained(runs=3, events=6, points=200)
    pipe.publish(events[:6])
    pipe.settled()
    settled, said = pipe.published, len(pipe.log())
    with outage:
        pipe.publish(events[6:])
        until(lambda: pipe.status()["store"]["state"] == "down", "the outage is seen")
        retries = pipe.status()["retries"]
        until(lambda: pipe.status()["retries"] > retries + 1, "more tries")
        assert re.search(why, pipe.status()["store"]["message"])
        assert pipe.page("/readyz")["ready"] is False  # type: ignore[index]
        assert pipe.page("/healthz") == {"status": "alive"}
        assert settled <= pipe.committed() <= settled + takes
        lines = [line for line in pipe.log()[said:].splitlines() if "the store is unavailable" in line]
        assert len(lines) == 1, "an outage is one line, not one per try"
        assert re.search(why, lines[0])
    report = pipe.settled()
    assert (report["dead_letters"], report["store"]["state"]) == ({}, "up")
    compare(pipe, producers)


@pytest.mark.parametrize(
    ("outage", "why"),
    [
        (Server.another_password, "no connection: .*password authentication failed"),
        (Server.no_connection_free, "no connection: .*too many connections"),
        (Server.stopped, "too slow, given up|no connection"),
        (Server.killed, "no connection|shut down"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_outage_is_told_and_outlived(
    pipe: Pipe, server: Server, outage: Callable[[Server], AbstractContextManager[None]], why: str
) -> None:
    outlive(pipe, outage(server), why)


def test_a_full_disk_is_told_and_outlived(pipe: Pipe, server: Server) -> None:
    with small_disk(server.data.parent / "disk", 16) as disk, server.points_on(disk):
        # A small batch may find room in the pages that the table has.
        outlive(pipe, filled(disk), "out of disk, memory or connections: .*No space left", takes=3)


def test_a_slow_server_gets_everything(pipe: Pipe, server: Server) -> None:
    """Each statement takes up to half of its time-out (an upsert: INSERT and UPDATE), a batch many times that."""
    producers, events = trained(runs=2, events=3, points=200)
    with server.slow(TIMEOUT_S / 4, TABLES, "STATEMENT"):
        pipe.publish(events)
        report = pipe.settled(120)
    assert report["dead_letters"] == {}
    compare(pipe, producers)


def test_a_batch_that_takes_longer_than_its_time_out_is_parted(pipe: Pipe, server: Server) -> None:
    producers, events = trained(runs=3, events=8, points=100)
    pipe.publish(events[:3])
    pipe.settled()
    with server.slow(0.002, ("metrics",), "ROW"):
        pipe.publish(events[3:])
        report = pipe.settled(120)
    assert report["dead_letters"] == {}
    assert "too slow, given up" in pipe.log(), "no batch was too slow: no test of one"
    compare(pipe, producers)


def test_no_password_was_told(pipe: Pipe, server: Server) -> None:
    assert server.passwords
    assert not [password for password in server.passwords if password in pipe.log() + str(pipe.status())]


@pytest.mark.soak
def test_ten_seconds_a_call(kafka: str, events_topic: str, server: Server, tmp_path: Path) -> None:
    pipe = Pipe(kafka, events_topic, server.uri, tmp_path)
    producers, events = trained(runs=2, events=2, points=200)
    pipe.publish(events)
    try:
        with server.slow(5.0, TABLES, "STATEMENT"):
            start(pipe, server, timeout=20)
            until(lambda: pipe.status().get("in_flight", 0), "the worker is at work")
            assert pipe.end(signal.SIGTERM, seconds=10) == 0
            start(pipe, server, timeout=20)
            report = pipe.settled(600)
    finally:
        pipe.close()
    assert report["dead_letters"] == {}
    compare(pipe, producers)
