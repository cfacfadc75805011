"""The whole system as a person runs it: up, status, env, crash, down, kill -9, up again, on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from tests.local.shell import Matih, alive
from tests.waiting import until

from matih_api.auth.editing import with_tenant
from matih_api.auth.token_file import change
from matih_kafka.admin import check_topics, create_topics
from matih_kafka.settings import KafkaSettings
from matih_local.cache import cache_folder
from matih_local.lock import holder
from matih_local.system import PARTS
from matih_schemas.topics import Topic, catalogue
from matih_workers.audit.events import archived_events
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.storage import LocalFolder

KEPT = Topic("kept", "test", partitions=1)
ARCHIVED = "archived"
"""An experiment that is made through the API, and not of `Data`."""


class Data:
    """Something of ours in Kafka, PostgreSQL and MLflow, in several rounds; all of it has to be there always."""

    def __init__(self, parts: dict[str, dict]) -> None:
        self._kafka = parts["kafka"]["url"]
        self._postgres = parts["postgres"]["url"].replace("+psycopg", "")
        self._mlflow = parts["mlflow"]["url"]

    def write(self, word: str) -> None:
        asyncio.run(self._produce(word.encode()))
        with psycopg.connect(self._postgres, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
            connection.execute("INSERT INTO kept VALUES (%s)", (word,))
        self._call("experiments/create", {"name": word})

    def read(self) -> tuple[list[str], list[str], set[str]]:
        """What Kafka, PostgreSQL and MLflow have."""
        with psycopg.connect(self._postgres) as connection:
            rows = [word for (word,) in connection.execute("SELECT word FROM kept ORDER BY word")]
        found = self._call(
            "experiments/search", {"max_results": 100, "filter": f"name != 'Default' AND name != '{ARCHIVED}'"}
        )
        names = {experiment["name"] for experiment in found["experiments"]}
        return asyncio.run(self._consume()), rows, names

    async def _produce(self, word: bytes) -> None:
        await create_topics(KafkaSettings(bootstrap_servers=self._kafka), [KEPT])
        async with AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all") as producer:
            await producer.send_and_wait(KEPT.name, word)

    async def _consume(self) -> list[str]:
        partition = TopicPartition(KEPT.name, 0)
        async with AIOKafkaConsumer(bootstrap_servers=self._kafka, auto_offset_reset="earliest") as consumer:
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            return sorted([(await consumer.getone()).value.decode() for _ in range(end)])

    def _call(self, what: str, body: dict) -> dict:
        request = urllib.request.Request(
            f"{self._mlflow}/api/2.0/mlflow/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """One MATIH_HOME that is up when a test begins, and gone after the last, with whatever it ran."""
    matih = Matih(tmp_path_factory.mktemp("up") / "home", MATIH_CACHE_DIR=str(cache_folder()))
    yield matih
    matih.run("down")
    remove_database(matih)


@pytest.fixture
def parts(system):
    return {part["name"]: part for part in system.report("up")["parts"]}


def remove_database(matih):
    """Root's database is outside MATIH_HOME."""
    pointer = matih.home / "postgres.location"
    if pointer.exists():
        subprocess.run(["rm", "-rf", pointer.read_text().strip()], check=True)


def a_strangers_process():
    """Of the user whom PostgreSQL runs as: it would take the process for another server."""
    account = "nobody" if os.geteuid() == 0 else None
    return subprocess.Popen(["sleep", "120"], user=account)


def forge_pid_file(matih, pid):
    """As if the system had given the dead server's number to somebody else."""
    pointer = matih.home / "postgres.location"
    folder = Path(pointer.read_text().strip()) if pointer.exists() else matih.home / "postgres"
    lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
    (folder / "data" / "postmaster.pid").write_text("\n".join([str(pid), *lines[1:]]) + "\n")


def processes(matih):
    """The supervisor and all below it."""
    supervisor = psutil.Process(holder(matih.home).pid)
    return [supervisor, *supervisor.children(recursive=True)]


def ports(parts):
    return {name: part["url"] for name, part in parts.items()}


def test_all_parts_run_and_a_second_up_finds_them(system, parts):
    assert set(parts) == set(PARTS)
    assert {part["state"] for part in parts.values()} == {"running"}
    assert all(alive(part["pid"]) and Path(part["log"]).exists() for part in parts.values())
    again = {part["name"]: part for part in system.report("up")["parts"]}
    assert again == parts == system.parts()


def test_a_registry_is_not_put_under_what_runs(system, parts):
    done = system.run("up", "--schema-registry")
    assert done.returncode == 1
    assert "`matih local down` first" in done.stderr
    assert set(system.parts()) == set(PARTS)


def test_the_topics_are_those_of_the_catalogue_and_the_brokers_log_is_not_empty(parts):
    settings = KafkaSettings(bootstrap_servers=parts["kafka"]["url"])
    assert asyncio.run(check_topics(settings, catalogue())) == []
    assert "Kafka Server started" in Path(parts["kafka"]["log"]).read_text()


def test_env_is_what_a_shell_takes(system, parts):
    script = (
        'eval "$1" && printf "%s\\n" '
        '"$KAFKA_BOOTSTRAP_SERVERS" "$MLFLOW_TRACKING_URI" "$MATIH_API_URL" "$MATIH_SPOOL_DIR" "$MATIH_HOME"'
    )
    lines = system.run("env").stdout
    shell = ["/bin/sh", "-euc", script, "sh", lines]
    done = subprocess.run(shell, env={}, capture_output=True, text=True, check=True)
    home = str(system.home)
    servers = [parts[name]["url"] for name in ("kafka", "mlflow", "api")]
    assert done.stdout.split("\n")[:-1] == [*servers, f"{home}/spool", home]


@pytest.mark.soak
def test_the_archive_has_all_events_and_verifies(system, parts):
    variables = system.report("env")
    assert (system.home / "audit.key").stat().st_mode & 0o777 == 0o600
    assert variables["MATIH_AUDIT_PUBLIC_KEYS"] == (system.home / "audit.pub").read_text().strip()
    made = httpx.post(f"{parts['api']['url']}/api/v1/experiments", json={"name": ARCHIVED}, timeout=20)
    assert made.status_code == 201, made.text
    storage = LocalFolder(Path(variables["MATIH_AUDIT_ARCHIVE"]))
    events = lambda: archived_events(ArchiveReader(storage))  # noqa: E731
    until(lambda: any(one.event.kind == "ExperimentCreated" for one in events()), "the event is archived")
    key = (system.home / "audit.key").read_text()
    kill(system, "audit")
    assert (system.home / "audit.key").read_text() == key
    command = [sys.executable, "-m", "matih_console.main", "audit", "verify"]
    # It notes its reading in the archive, with its user's umask.
    verified = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False, umask=0o077
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "everything is as it was written" in verified.stdout


@pytest.mark.soak
def test_an_archive_that_is_damaged_stops_nobody_else(system, parts):
    checkpoint = system.home / "audit" / "log" / "checkpoint"
    until(checkpoint.exists, "something is archived")
    kept = checkpoint.read_bytes()
    checkpoint.write_bytes(kept.replace(b"matih.local", b"matih.other"))
    try:
        os.kill(parts["audit"]["pid"], signal.SIGKILL)
        until(lambda: system.parts()["audit"]["state"] == "failed", "it refuses")
        again = {part["name"]: part for part in system.report("up")["parts"]}
        assert {name: part["state"] for name, part in again.items() if name != "audit"} == dict.fromkeys(
            set(PARTS) - {"audit"}, "running"
        )
        assert "no accepted key" in Path(parts["audit"]["log"]).read_text()
    finally:
        checkpoint.write_bytes(kept)
    until(lambda: system.parts()["audit"]["state"] == "running", "it goes on")


def test_nobody_else_can_look_into_the_home(system, parts):
    assert system.home.stat().st_mode & 0o77 == 0
    for path in system.home.rglob("*"):
        assert path.lstat().st_mode & 0o77 == 0 or path.is_symlink(), path


@pytest.mark.parametrize(
    "name", ["worker", *(pytest.param(name, marks=pytest.mark.soak) for name in ("mlflow", "postgres", "api", "audit"))]
)
def test_a_crash_is_seen_restarted_and_told(system, parts, name):
    before = parts[name]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: system.parts()[name]["restarts"] == before["restarts"] + 1, "the crash is seen")
    after = until(lambda: (part := system.parts()[name])["state"] == "running" and part, f"{name} is back")
    assert (after["url"], after["last_exit"]) == (before["url"], -signal.SIGKILL)
    assert after["pid"] != before["pid"]
    assert all(part["restarts"] == parts[other]["restarts"] for other, part in system.parts().items() if other != name)
    assert f"{name}: restarting (it was killed by SIGKILL)" in (system.home / "logs" / "supervisor.log").read_text()
    Data(parts).write(f"after {name}")


def status_of(parts, token=None):
    """What the API answers to somebody who asks for the list."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{parts['api']['url']}/api/v1/experiments", headers=headers, timeout=20).status_code


@pytest.mark.soak
def test_the_homes_tokens_are_the_apis_once_it_starts_again(system, parts):
    assert status_of(parts) == 200
    tokens = system.home / "tokens.json"
    try:
        change(tokens, lambda file: with_tenant(file, "churn", datetime.now(timezone.utc)))
        environment = {**os.environ, "MATIH_HOME": str(system.home)}
        command = [sys.executable, "-m", "matih_console.main", "tenants", "token", "churn:reader"]
        command += ["--reason", "a test", "--unrecorded"]
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        kill(system, "api")
        assert (status_of(parts), status_of(parts, made.stdout.strip())) == (401, 200)
    finally:
        tokens.unlink()
    kill(system, "api")
    assert status_of(parts) == 200


def kill(system, name):
    """Kills a part, and waits until it runs again."""
    before = system.parts()[name]
    os.kill(before["pid"], signal.SIGKILL)
    until(
        lambda: (part := system.parts()[name])["state"] == "running" and part["pid"] != before["pid"], f"{name} is back"
    )


@pytest.mark.soak
def test_down_and_up_keep_all_data_and_all_ports(system, parts):
    Data(parts).write("before down")
    running = processes(system)
    down = system.report("down")
    assert {part["state"] for part in down["parts"]} == {"stopped"}
    assert not [process for process in running if alive(process.pid)]
    assert system.run("down").returncode == 0
    again = {part["name"]: part for part in system.report("up")["parts"]}
    assert ports(again) == ports(parts)
    assert all("before down" in found for found in Data(again).read())


@pytest.mark.soak
def test_a_killed_supervisor_takes_all_with_it_and_up_starts_again_with_all_data(system, parts):
    Data(parts).write("before the supervisor's death")
    supervisor, *children = processes(system)
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not [process for process in children if alive(process.pid)], "all children are gone")
    status = system.report("status")
    assert status["runner"] is None
    assert {(part["state"], part["pid"]) for part in status["parts"]} == {("stopped", None)}
    again = {part["name"]: part for part in system.report("up")["parts"]}
    assert ports(again) == ports(parts)
    assert all("before the supervisor's death" in found for found in Data(again).read())


@pytest.mark.soak
def test_kill_of_everything_at_once_loses_nothing_and_a_stale_pid_file_stops_nobody(system, parts):
    Data(parts).write("before the end of all")
    for process in processes(system):
        process.kill()
    until(lambda: holder(system.home) is None, "nobody runs it")
    with a_strangers_process() as stranger:
        forge_pid_file(system, stranger.pid)
        again = {part["name"]: part for part in system.report("up")["parts"]}
        assert stranger.poll() is None
        stranger.kill()
    assert ports(again) == ports(parts)
    kafka, rows, experiments = Data(again).read()
    assert "before the end of all" in kafka
    assert kafka == rows
    assert experiments == set(rows)


@pytest.mark.soak
def test_a_second_home_runs_beside_it_with_nothing_in_common(system, parts, tmp_path):
    # Its path is too long for a socket.
    beside = Matih(tmp_path / ("long" * 30) / "home", MATIH_CACHE_DIR=str(cache_folder()))
    try:
        others = {part["name"]: part for part in beside.report("up")["parts"]}
        assert not set(ports(others).values()) & set(ports(parts).values())
        Data(parts).write("ours")
        Data(others).write("theirs")
        assert Data(others).read() == (["theirs"], ["theirs"], {"theirs"})
        assert all("theirs" not in found for found in Data(parts).read())
    finally:
        beside.run("down")
        remove_database(beside)
    assert system.parts() == parts
