"""A system with a schema registry: it is remembered, used by all parts, and its data outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.waiting import until

from matih_kafka.reading import topic_reader
from matih_kafka.registry.client import RegistryClient
from matih_kafka.registry.settings import RegistrySettings
from matih_kafka.settings import KafkaSettings
from matih_local import apicurio
from matih_local.cache import cache_folder
from matih_local.errors import JarsMissing
from matih_local.jars import JarCache
from matih_local.system import PARTS, LocalSystem
from matih_schemas import codec

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.shell import Matih

SCRIPT = """
from matih_tracking import ExperimentTracker
with ExperimentTracker().start_run("framed") as run:
    run.log_metrics({"loss": 0.5})
    assert run.wait_applied(120)
"""
SUBJECT = "matih.tracking.events.v1-value"


def test_a_home_that_was_given_one_keeps_it(tmp_path: Path) -> None:
    without = LocalSystem(tmp_path)
    assert (without.schema_registry, without.names) == (None, PARTS)
    assert "SCHEMA_REGISTRY_URL" not in without.environment()
    given = LocalSystem(tmp_path, schema_registry=True)
    again = LocalSystem(tmp_path)
    assert again.names == given.names == (*PARTS, "schema-registry")
    assert again.environment() == given.environment()
    assert given.environment()["MATIH_EVENTS_FRAMING"] == "confluent"
    for part in (given.worker, given.api):
        used = part.server().environment
        assert {name: used[name] for name in ("SCHEMA_REGISTRY_URL", "MATIH_EVENTS_FRAMING")}.items() <= (
            given.environment().items()
        )


def test_what_is_not_what_the_lock_names_is_not_unpacked(tmp_path: Path) -> None:
    cache = JarCache(tmp_path)
    packed = cache.path(apicurio.archive())
    packed.parent.mkdir(parents=True)
    packed.write_bytes(b"something else")
    with pytest.raises(JarsMissing, match="not what the lock names"):
        apicurio.unpack(cache)
    assert not apicurio.program_folder(cache).exists()


@pytest.mark.soak
def test_what_it_has_answered_outlives_a_kill(schema_registry: str, registry_system: LocalSystem) -> None:
    client = RegistryClient(RegistrySettings(url=schema_registry, timeout=30))
    assert client.versions(SUBJECT) == [1]
    assert client.compatibility(SUBJECT) == "BACKWARD_TRANSITIVE"
    kept = client.register("kept-value", '{"type": "record", "name": "Kept", "fields": []}')
    registry_system.kill("schema-registry")
    registry_system.start("schema-registry")
    assert [version.id for version in client.newest_first("kept-value")] == [kept]


def test_it_listens_on_its_two_ports_of_this_machine_only(schema_registry: str, registry_system: LocalSystem) -> None:
    pid = registry_system.runners["schema-registry"].pid
    process = psutil.Process(pid)
    connections = getattr(process, "net_connections", None) or process.connections  # as psutil 5 calls it
    listening = [one.laddr for one in connections() if one.status == psutil.CONN_LISTEN]
    ports = {registry_system.home.port(name) for name in ("schema-registry", apicurio.MANAGEMENT)}
    assert {port for _, port in listening} == ports
    assert {address.removeprefix("::ffff:") for address, _ in listening} == {"127.0.0.1"}


@pytest.mark.soak
def test_up_with_a_registry_as_a_person_does_it(matih: Matih, request: pytest.FixtureRequest) -> None:
    matih = type(matih)(matih.home, MATIH_CACHE_DIR=str(cache_folder()))
    request.addfinalizer(lambda: matih.run("down"))
    parts = {part["name"]: part for part in matih.report("up", "--schema-registry")["parts"]}
    assert set(parts) == {*PARTS, "schema-registry"}
    variables = matih.report("env")
    assert variables["SCHEMA_REGISTRY_URL"] == parts["schema-registry"]["url"]
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    values = asyncio.run(read_all(variables["KAFKA_BOOTSTRAP_SERVERS"]))
    assert {value[:1] for value in values} == {codec.CONFLUENT}
    doctor = [sys.executable, "-m", "matih_console.main", "doctor", "--json"]
    told = json.loads(subprocess.run(doctor, env=environment, capture_output=True, text=True, check=False).stdout)
    assert told["checks"]["schema registry"]["state"] == "ok"
    os.kill(parts["schema-registry"]["pid"], signal.SIGKILL)
    until(lambda: matih.parts()["schema-registry"]["restarts"] == 1, "it is started again")
    assert matih.run("down").returncode == 0
    again = {part["name"]: part for part in matih.report("up")["parts"]}
    assert again["schema-registry"]["url"] == parts["schema-registry"]["url"]
    client = RegistryClient(RegistrySettings(url=variables["SCHEMA_REGISTRY_URL"], timeout=30))
    assert client.versions(SUBJECT) == [1]


async def read_all(brokers: str) -> list[bytes]:
    settings = KafkaSettings(bootstrap_servers=brokers)
    async with topic_reader(settings) as reader:
        return [record.value async for record in reader.scan(settings.events_topic)]
